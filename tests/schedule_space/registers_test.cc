// What threads of a GPU have registers for.

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/rng.h"
#include "compiler/ir/threads.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/thread_registers.h"
#include "tests/schedule_space/spaces.h"
#include "tests/support/lower_schedule.h"

namespace tessera::space {
namespace {

struct Kernel {
  int64_t threads = 1;
  int64_t private_bytes = 0;  // of a thread, at the same time
};

class KernelReader final : public ir::Visitor {
 public:
  std::vector<Kernel> kernels;

 private:
  void VisitFor(const ir::For& loop) override {
    const bool is_kernel = loop.loop_kind == ir::LoopKind::kThread && !inside_;
    if (is_kernel) kernels.emplace_back();
    const bool was_inside = inside_;
    inside_ |= is_kernel;
    if (ir::IsThreadAxis(loop.thread_axis)) kernels.back().threads *= loop.extent;
    ir::Visitor::VisitFor(loop);
    inside_ = was_inside;
  }
  void VisitAllocate(const ir::Allocate& node) override {
    const int64_t bytes =
        inside_ && node.buffer->scope == ir::Scope::kLocal ? node.buffer->StoredBytes() : 0;
    bytes_ += bytes;
    if (inside_) kernels.back().private_bytes = std::max(kernels.back().private_bytes, bytes_);
    ir::Visitor::VisitAllocate(node);
    bytes_ -= bytes;
  }

  bool inside_ = false;
  int64_t bytes_ = 0;
};

// Kernels of `draws` programs whose threads hold more than `limits` lets them, and such whose
// threads hold half of it or more.
struct Counts {
  int over = 0, near = 0;
};
Counts CountKernels(const te::OpSpec& spec, const ir::Target& target, const ir::Target& limits,
                    int draws) {
  const te::Workload workload = Make(spec);
  const ConfigSpace space = BuildSpace(workload, target, 1).value();
  const uint64_t seed = 5;
  CAPTURE(spec.name, ir::ToString(target), seed);
  Rng rng(seed);
  Counts counts;
  for (int i = 0; i < draws; ++i) {
    const Config config = space.Sample(rng);
    CAPTURE(space.ToJson(config));
    REQUIRE(space.Validate(config).ok());
    const auto lowered = passes::LowerSchedule(space.ToSchedule(config).value());
    REQUIRE(lowered.ok());
    KernelReader reader;
    reader.Visit(lowered->program.body);
    for (const Kernel& kernel : reader.kernels) {
      const int64_t most = schedule::HoldableBytes(limits, kernel.threads);
      if (kernel.private_bytes > most) {
        UNSCOPED_INFO(kernel.threads << " threads hold " << kernel.private_bytes << " of " << most
                                     << " bytes: " << space.ToJson(config));
      }
      counts.over += kernel.private_bytes > most ? 1 : 0;
      counts.near += kernel.private_bytes * 2 >= most ? 1 : 0;
    }
  }
  return counts;
}

const std::vector<te::OpSpec>& Specs() {
  static const std::vector<te::OpSpec> specs = {
      {"f32", "matmul", {{"m", "512"}, {"n", "512"}, {"k", "512"}}},
      {"f16", "matmul", {{"m", "512"}, {"n", "512"}, {"k", "512"}, {"dtype", "f16"}}},
      {"conv",
       "conv2d",
       {{"size", "28"}, {"ic", "32"}, {"oc", "64"}, {"k", "3"}, {"pad", "1"}, {"relu", "true"}}},
      {"softmax", "softmax", {{"m", "64"}, {"n", "1024"}}},
      {"argmax", "argmax", {{"m", "64"}, {"n", "1024"}}}};
  return specs;
}

TEST_CASE("threads hold what a CUDA device has registers for", "[space]") {
  for (const char* text : {"cuda/sm_80 shared=166912", "cuda/sm_80 registers=16384"}) {
    const ir::Target target = ir::ParseTarget(text).value();
    int near = 0;
    for (const te::OpSpec& spec : Specs()) {
      const Counts counts = CountKernels(spec, target, target, 60);
      CHECK(counts.over == 0);
      near += counts.near;
    }
    CHECK(near > 10);
  }
}

TEST_CASE("a target that tells of no registers has programs that would want more", "[space]") {
  const ir::Target limits = ir::ParseTarget("cuda registers=16384").value();
  const ir::Target target = ir::ParseTarget("opencl block=1024").value();
  CHECK(CountKernels(Specs()[0], target, limits, 60).over > 5);
}

}  // namespace
}  // namespace tessera::space
