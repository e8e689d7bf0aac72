#include "tuner/nearest_tasks.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "compiler/ir/target.h"
#include "compiler/te/operators.h"

namespace tessera::test {
namespace {

db::Task TaskOf(const std::string& name, const te::OpSpec& spec, std::string_view isa = "avx512",
                int threads = 1) {
  const auto workload = te::MakeWorkload(spec);
  INFO(workload.status());
  REQUIRE(workload.ok());
  db::Task task;
  task.name = name;
  task.workload = te::Print(*workload);
  task.workload_hash = HashToHex(te::StructuralHash(workload->dag));
  task.target = ir::ToString(*ir::X86Target(isa));
  task.threads = threads;
  return task;
}

te::OpSpec Convolution(int size, int channels, int kernel = 3) {
  return {"x",
          "conv2d",
          {{"size", absl::StrCat(size)},
           {"ic", absl::StrCat(channels)},
           {"oc", absl::StrCat(channels)},
           {"k", absl::StrCat(kernel)},
           {"pad", absl::StrCat(kernel / 2)}}};
}

std::vector<std::string> Find(tuner::NearestTasks& nearest, const db::Task& task,
                              const std::vector<db::Task>& log, int count) {
  std::vector<std::string> names;
  for (const size_t i : nearest.Find(tuner::KeyedTask(task), tuner::WithKeys(log), count)) {
    names.push_back(log[i].name);
  }
  return names;
}

TEST_CASE("near tasks are those of alike shapes, targets and kinds", "[tuner]") {
  const db::Task task = TaskOf("c", Convolution(28, 128));
  const std::vector<db::Task> log = {
      TaskOf("matmul", {"x", "matmul", {{"m", "784"}, {"n", "128"}, {"k", "1152"}}}),
      TaskOf("far", Convolution(224, 4, 7)),
      TaskOf("softmax", {"x", "softmax", {{"m", "128"}, {"n", "256"}}}),
      task,
      TaskOf("half", Convolution(14, 256)),
      TaskOf("avx2", Convolution(28, 128), "avx2"),
  };
  tuner::NearestTasks nearest;
  for (int round = 0; round < 2; ++round) {  // the second from memory
    std::vector<std::string> names = Find(nearest, task, log, 2);
    std::ranges::sort(names);
    CHECK(names == std::vector<std::string>{"avx2", "half"});
  }
  const std::vector<std::string> all = Find(nearest, task, log, 10);
  REQUIRE(all.size() == 5);
  CHECK(all.back() == "softmax");
}

TEST_CASE("tasks of CPUs and of GPUs are not near", "[tuner]") {
  const db::Task on_cpu = TaskOf("cpu", Convolution(28, 128));
  db::Task on_gpu = on_cpu, on_small_gpu = on_cpu;
  on_gpu.name = "gpu", on_small_gpu.name = "small gpu";
  on_gpu.target = "opencl block=1024", on_small_gpu.target = "opencl block=128";
  const std::vector<db::Task> log = {on_cpu, on_gpu, on_small_gpu};
  tuner::NearestTasks nearest;
  CHECK(Find(nearest, on_cpu, log, 4).empty());
  CHECK(Find(nearest, on_gpu, log, 4) == std::vector<std::string>{"small gpu"});
}

TEST_CASE("tasks that can't be described are near to none", "[tuner]") {
  const db::Task task = TaskOf("c", Convolution(14, 16));
  db::Task broken = task;
  broken.name = "broken";
  broken.workload = "workload of another version";
  tuner::NearestTasks nearest;
  CHECK(Find(nearest, task, {broken}, 4).empty());
  CHECK(Find(nearest, broken, {task}, 4).empty());
  CHECK_FALSE(tuner::TaskRow(broken).ok());
}

TEST_CASE("rows are as far apart as their columns together", "[tuner]") {
  const std::vector<float> a = {1, 2, 3}, b = {2, 0, 3};
  CHECK(tuner::RowDistance(a, b) == 3);
  CHECK(tuner::RowDistance(a, a) == 0);
}

}  // namespace
}  // namespace tessera::test
