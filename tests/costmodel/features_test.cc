#include "costmodel/features.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "costmodel/nest.h"
#include "tests/support/random_dag.h"
#include "tests/support/workloads.h"

namespace tessera::costmodel {
namespace {

space::ConfigSpace SpaceOf(const te::OpSpec& spec, int threads = 1) {
  const absl::StatusOr<te::Workload> workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  ir::Target target = *ir::X86Target("avx512");
  target.max_threads = threads;
  absl::StatusOr<space::ConfigSpace> space = space::BuildSpace(*workload, target, threads);
  REQUIRE(space.ok());
  return *std::move(space);
}

te::OpSpec Product() { return {"p", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}}; }

TEST_CASE("feature names are unique and as many as a row has values", "[features]") {
  const std::vector<std::string>& names = FeatureNames();
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  CHECK(static_cast<int>(names.size()) == FeatureCount());
  CHECK(FeatureCount() > 100);
}

TEST_CASE("features of sampled configs of every operator are finite and bounded", "[features]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const space::ConfigSpace space = SpaceOf(spec, 2);
    const uint64_t seed = 17;
    CAPTURE(spec.name, seed);
    Rng rng(seed);
    std::vector<space::Config> configs;
    for (int i = 0; i < 10; ++i) configs.push_back(space.Sample(rng));
    const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(space, configs);
    REQUIRE(rows.ok());
    CHECK(std::all_of(rows->begin(), rows->end(),
                      [](float x) { return std::isfinite(x) && x >= 0 && x < 100; }));
  }
}

TEST_CASE("features of random definitions are finite", "[features]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const te::Workload workload = te::RandomDag(Rng(seed).Fork("features")).Draw();
    CAPTURE(seed, te::Print(workload));
    CHECK(te::ExecutedOperations(workload.dag) >= 0);
    CHECK(te::MinimumTrafficBytes(workload.dag) > 0);
    ir::Target target = *ir::X86Target("avx512");
    target.max_threads = 2;
    const auto space = space::BuildSpace(workload, target, 2);
    REQUIRE(space.ok());
    Rng rng(seed);
    std::vector<space::Config> configs;
    for (int i = 0; i < 4; ++i) configs.push_back(space->Sample(rng));
    const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(*space, configs);
    REQUIRE(rows.ok());
    CHECK(std::all_of(rows->begin(), rows->end(),
                      [](float x) { return std::isfinite(x) && x >= 0; }));
  }
}

TEST_CASE("features of a config are those of its trace applied to the workload, bit for bit",
          "[features]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    for (int threads : {1, 3}) {
      const te::Workload workload = *te::MakeWorkload(spec);
      const space::ConfigSpace space = SpaceOf(spec, threads);
      const uint64_t seed = 29;
      CAPTURE(spec.name, threads, seed);
      Rng rng(seed);
      std::vector<space::Config> configs;
      for (int i = 0; i < 20; ++i) configs.push_back(space.Sample(rng));
      const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(space, configs);
      REQUIRE(rows.ok());
      std::vector<float> expected(FeatureCount());
      for (size_t i = 0; i < configs.size(); ++i) {
        const absl::StatusOr<schedule::Trace> trace =
            schedule::ParseTrace(schedule::Print(*space.ToTrace(configs[i])));
        REQUIRE(trace.ok());
        const absl::StatusOr<schedule::Schedule> schedule =
            schedule::ApplyTrace(workload.dag, *trace);
        REQUIRE(schedule.ok());
        const absl::StatusOr<schedule::LoopStructure> loops = schedule::InferBounds(*schedule);
        REQUIRE(loops.ok());
        ExtractFeatures(*schedule, *loops, space.target(), absl::MakeSpan(expected));
        CAPTURE(space.ToJson(configs[i]), schedule::Print(*trace));
        const auto row = rows->begin() + static_cast<int64_t>(i * expected.size());
        CHECK(std::equal(expected.begin(), expected.end(), row));
      }
    }
  }
}

TEST_CASE("equal programs have equal features and other programs others", "[features]") {
  const space::ConfigSpace space = SpaceOf(Product());
  Rng rng(3);
  std::set<std::vector<float>> rows;
  std::set<space::Config> configs;
  for (int i = 0; i < 300; ++i) configs.insert(space.Sample(rng));
  for (const space::Config& config : configs) {
    const std::vector<float> row = *ConfigFeatures(space, {config});
    CHECK(row == *ConfigFeatures(space, {config}));
    rows.insert(row);
  }
  CHECK(rows.size() > configs.size() * 9 / 10);
}

TEST_CASE("streaming stores are one feature's difference", "[features]") {
  const te::Workload workload = *te::MakeWorkload({"r", "relu", {{"m", "4096"}, {"n", "1024"}}});
  const auto row = [&](const char* text) {
    const schedule::Trace trace = *schedule::ParseTrace(text);
    const schedule::Schedule schedule = *schedule::ApplyTrace(workload.dag, trace);
    std::vector<float> values(FeatureCount());
    ExtractFeatures(schedule, *schedule::InferBounds(schedule), *ir::X86Target("avx512"),
                    absl::MakeSpan(values));
    return values;
  };
  const std::vector<float> plain = row("trace 1\nvectorize relu n\n");
  const std::vector<float> streamed = row("trace 1\nvectorize relu n\nstream relu\n");
  for (int i = 0; i < FeatureCount(); ++i) {
    CAPTURE(FeatureNames()[i]);
    CHECK((plain[i] != streamed[i]) == (FeatureNames()[i] == "memory.streamed"));
  }
}

TEST_CASE("vectors of a copy inside of a loop are as contiguous as its layout says", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}, {"b", "input"}}});
  const auto stride_of = [&](const char* layout) {
    const schedule::Trace trace = *schedule::ParseTrace(
        absl::StrCat("trace 1\ncache_read B matmul\nlayout matmul.B ", layout,
                     "\nsplit matmul n 2 16\nreorder matmul n.0 m n.1 k n.2\nvectorize matmul n.2\n"
                     "compute_at matmul.B matmul n.0\n"));
    const schedule::Schedule schedule = *schedule::ApplyTrace(workload.dag, trace);
    const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
    const NestProfile nest = ProfileNest(schedule, loops, loops.stages[1]);
    REQUIRE(nest.depth == 5);
    const AccessProfile& b = nest.accesses[2];
    return std::pair(b.vector_stride, b.stride[3]);  // along n.2 and k
  };
  CHECK(stride_of("0 1") == std::pair(1.0, 32.0));
  CHECK(stride_of("1 0") == std::pair(16.0, 1.0));
  CHECK(stride_of("1/16 0 1%16") == std::pair(1.0, 16.0));
}

TEST_CASE("a nest counts iterations, distinct elements and lines", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "8"}, {"n", "32"}, {"k", "16"}, {"b", "input"}}});
  const schedule::Schedule schedule(workload.dag);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  const NestProfile nest = ProfileNest(schedule, loops, loops.stages[0]);
  REQUIRE(nest.depth == 3);  // m, n, k
  CHECK(nest.iterations[0] == 8 * 32 * 16);
  REQUIRE(nest.accesses.size() == 3);
  const AccessProfile& store = nest.accesses[0];
  CHECK(store.is_write);
  CHECK(store.elements[0] == 8 * 32);
  CHECK(store.elements[2] == 1);
  CHECK_FALSE(store.moved[2]);
  const AccessProfile& a = nest.accesses[1];
  CHECK(a.elements[2] == 16);  // a row along k
  CHECK(a.lines[2] == 1);      // of 64 bytes
  CHECK(a.stride[2] == 1);
  CHECK(a.stride[0] == 16);
  const AccessProfile& b = nest.accesses[2];
  CHECK(b.elements[2] == 16);  // a column: every element on its own line
  CHECK(b.lines[2] == 16);
  CHECK(b.stride[2] == 32);
  CHECK(b.elements[0] == 16 * 32);
}

}  // namespace
}  // namespace tessera::costmodel
