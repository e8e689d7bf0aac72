// What extracting features takes from the heap.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>

#include "costmodel/features.h"
#include "tests/support/workloads.h"

namespace {

thread_local int64_t allocations = 0;

}  // namespace

// Not inlined: a compiler that sees through only one of a pair takes it for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tessera::costmodel {
namespace {

void CheckThatItAllocatesNothing(const te::OpSpec& spec, const ir::Target& target) {
  const int threads = target.max_threads;
  const auto space = space::BuildSpace(*te::MakeWorkload(spec), target, threads);
  REQUIRE(space.ok());
  const uint64_t seed = 41;
  CAPTURE(spec.name, ir::ToString(target), seed);
  Rng rng(seed);
  std::vector<schedule::Schedule> schedules;
  std::vector<schedule::LoopStructure> loops;
  for (int i = 0; i < 20; ++i) {
    schedules.push_back(*space->ToSchedule(space->Sample(rng)));
    loops.push_back(*schedule::InferBounds(schedules.back()));
  }
  FeatureExtractor extractor(target, threads);
  std::vector<float> row(FeatureCount(target.kind));
  const auto extract_all = [&] {
    const int64_t before = allocations;
    for (size_t i = 0; i < schedules.size(); ++i) {
      extractor.Extract(schedules[i], loops[i], absl::MakeSpan(row));
    }
    return allocations - before;
  };
  CHECK(extract_all() > 0);  // the counter counts
  CHECK(extract_all() == 0);
}

TEST_CASE("an extractor that has seen a task's programs allocates nothing", "[features]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    for (const char* name : {"x86/avx512 threads=2", "opencl"})
      CheckThatItAllocatesNothing(spec, *ir::ParseTarget(name));
  }
  CheckThatItAllocatesNothing({"conv",
                               "conv2d",
                               {{"ic", "32"},
                                {"oc", "64"},
                                {"size", "12"},
                                {"k", "3"},
                                {"pad", "1"},
                                {"bias", "true"},
                                {"dtype", "i8"},
                                {"shift", "5"},
                                {"layout", "nchwc16"}}},
                              *ir::ParseTarget("vta"));
}

}  // namespace
}  // namespace tessera::costmodel
