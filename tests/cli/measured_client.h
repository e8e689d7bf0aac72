#pragma once

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/hash.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "db/record/memory_store.h"
#include "schedule_space/config_space.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {

inline const te::OpSpec kSpec = {"mm", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}};

inline db::Task MatmulTask() {
  const te::Workload workload = *te::MakeWorkload(kSpec);
  db::Task task;
  task.name = kSpec.name;
  task.workload = te::Print(workload);
  task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
  task.target = ir::ToString(*ir::X86Target("avx512"));
  return task;
}

// A server with a log of one task, on whose device programs are the faster the more loops they
// unroll.
class MeasuredClient final : public FakeClient {
 public:
  explicit MeasuredClient(int programs) {
    const te::Workload workload = *te::MakeWorkload(kSpec);
    const space::ConfigSpace space = *space::BuildSpace(workload, *ir::X86Target("avx512"), 1);
    Rng rng(3);
    for (int i = 0; i < programs; ++i) {
      const space::Config config = space.Sample(rng);
      const schedule::Trace trace = *space.ToTrace(config);
      int64_t unrolled = 0;
      for (const schedule::Step& step : trace) {
        unrolled += step.primitive == schedule::Primitive::kUnroll;
      }
      const schedule::Schedule schedule = *space.ToSchedule(config);
      const uint64_t hash = schedule::LoopHash(schedule, *schedule::InferBounds(schedule));
      Append(schedule::Print(trace), db::Outcome::kOk, 1e-3 / static_cast<double>(1 + unrolled),
             space.ToJson(config), HashToHex(hash));
    }
  }

  void Append(const std::string& trace, db::Outcome outcome, double seconds,
              const std::string& config = "", const std::string& loop_hash = "") {
    db::Record record;
    record.task_key = task.Key();
    record.attempt_key = absl::StrCat(++appended_);
    record.trace = trace;
    record.config = config;
    record.loop_hash = loop_hash;
    record.device_class = "x86/test";
    record.measurement.outcome = outcome;
    if (outcome == db::Outcome::kOk) record.measurement.sample_seconds = {seconds};
    REQUIRE(store_.Append({record}, {}).ok());
  }

  absl::Status QueryRecords(const db::RecordFilter& filter,
                            const std::function<void(const db::Record&)>& take) override {
    const auto records = store_.QueryRecords(filter);
    if (!records.ok()) return records.status();
    for (const db::Record& record : *records) take(record);
    return absl::OkStatus();
  }
  absl::StatusOr<db::Job> GetJob(int64_t) override { return job; }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return tasks; }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>& keys) override {
    std::vector<RecordedClass> found = classes;
    for (RecordedClass& one : found) {
      if (keys.size() == 1 && unmeasured.contains(keys[0])) one.tasks = 0;
    }
    return found;
  }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return devices; }

  db::Job job;
  const db::Task task = MatmulTask();
  std::vector<db::Task> tasks = {task};
  std::vector<db::Device> devices;
  std::set<std::string> unmeasured;  // keys of tasks
  std::vector<RecordedClass> classes = {{"x86/test", 1}};

 private:
  int appended_ = 0;
  ManualClock clock_;
  db::MemoryStore store_{clock_};
};

}  // namespace tessera::cli
