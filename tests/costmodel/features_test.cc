#include "costmodel/features.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/view.h"
#include "costmodel/model_format.h"
#include "costmodel/nest.h"
#include "tests/support/random_dag.h"
#include "tests/support/source_file.h"
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

int ColumnNamed(std::string_view name) {
  for (int i = 0; i < FeatureCount(ir::TargetKind::kX86); ++i) {
    if (FeatureColumns(ir::TargetKind::kX86)[i].name == name) return i;
  }
  FAIL("no column " << name);
  return -1;
}

te::OpSpec Product() { return {"p", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}}; }

TEST_CASE("columns have unique names, and each says what it is", "[features]") {
  for (const RowKind& row : kRowKinds) {
    std::set<std::string> names;
    for (const FeatureColumn& column : FeatureColumns(row.example)) {
      CAPTURE(column.name);
      CHECK(names.insert(column.name).second);
      CHECK_FALSE(column.group.empty());
      CHECK_FALSE(column.unit.empty());
      CHECK_FALSE(column.meaning.empty());
    }
    CHECK(static_cast<int>(names.size()) == FeatureCount(row.example));
    CHECK(names.size() > 50);
  }
}

TEST_CASE("rows of different kinds of devices differ in width and version", "[features]") {
  std::set<int> widths, versions;
  for (const RowKind& row : kRowKinds) {
    const int width = FeatureCount(row.example);
    CHECK(FeatureVersionOfRows(width) == row.version);
    CHECK(FeatureVersion(row.example) == row.version);
    CHECK(widths.insert(width).second);
    CHECK(versions.insert(row.version).second);
  }
  CHECK(FeatureVersionOfRows(12) == 0);
  CHECK(ProgramFeatures() == "4 (CPUs), 6 (GPUs) or 8 (VTA)");
}

std::string TableOf(absl::Span<const FeatureColumn> columns) {
  std::string table = "| Column | Group | Unit | Meaning |\n|---|---|---|---|\n";
  for (const FeatureColumn& column : columns) {
    absl::StrAppend(&table, "| `", column.name, "` | ", AbslView(column.group), " | ",
                    AbslView(column.unit), " | ", AbslView(column.meaning), " |\n");
  }
  return table;
}

TEST_CASE("docs/features.md has the tables of all columns", "[features][docs]") {
  const std::string document = ReadSourceFile("docs/features.md");
  const absl::Span<const FeatureColumn> all = FeatureColumns(ir::TargetKind::kOpenCl);
  const auto common = static_cast<size_t>(FeatureCount(ir::TargetKind::kX86));
  const std::pair<std::string, std::string> sections[] = {
      {"## Columns", TableOf(all.first(common))},
      {"## Further columns of GPUs", TableOf(all.subspan(common))},
      {"## Columns of VTA", TableOf(FeatureColumns(ir::TargetKind::kVta))}};
  for (const auto& [title, table] : sections) {
    const std::string section = absl::StrCat(title, "\n\n", table);
    INFO("docs/features.md should have:\n" << section);
    const size_t at = document.find(section);
    REQUIRE(at != std::string::npos);
    // Nothing more of the table.
    CHECK_FALSE(document.substr(at + section.size()).starts_with("|"));
  }
  for (const RowKind& row : kRowKinds) {
    CHECK(absl::StrContains(document, absl::StrCat("version ", row.version)));
  }
}

// Raise kCpuFeatureVersion with it: models were trained on these rows.
TEST_CASE("rows of CPUs are what models of their version learned from", "[features]") {
  const auto hash_of = [](const te::OpSpec& spec, std::string_view trace) {
    const te::Workload workload = *te::MakeWorkload(spec);
    const ir::Target target = *ir::ParseTarget("x86/avx2 l1=32768 l2=1048576 threads=2");
    const std::vector<float> row = *TraceFeatures(workload.dag, target, 2, trace);
    StableHasher hasher;
    for (const float x : row) hasher.Add(static_cast<uint64_t>(std::llround(double{x} * 64)));
    return hasher.Finish();
  };
  REQUIRE(kCpuFeatureVersion == 4);
  CHECK(hash_of(Product(),
                "trace 1\ncache_read B matmul\nsplit matmul m 4\nsplit matmul n 8\n"
                "reorder matmul n.0 m.0 k m.1 n.1\nunroll matmul m.1\nvectorize matmul n.1\n"
                "parallel matmul n.0\ncompute_at matmul.B matmul n.0\n") == 0xb58ada56b4224d48u);
  CHECK(hash_of({"s", "softmax", {{"m", "6"}, {"n", "50"}}}, "trace 1\n") == 0x319c1fba07e8bc1au);
  CHECK(
      hash_of({"c", "conv2d", {{"ic", "8"}, {"oc", "8"}, {"size", "9"}, {"k", "3"}, {"pad", "1"}}},
              "trace 1\nwinograd conv 4\ninline pad\n") == 0xc74585139210ead2u);
}

TEST_CASE("a program's row tells the task's threads from the device's cores", "[features]") {
  const te::Workload workload = *te::MakeWorkload({"r", "relu", {{"m", "3"}, {"n", "64"}}});
  const schedule::Trace trace = *schedule::ParseTrace("trace 1\nparallel relu m\n");
  ir::Target target = *ir::X86Target("avx512");
  target.max_threads = 2;
  const std::vector<float> one = *TraceFeatures(workload.dag, target, 1, trace);
  const std::vector<float> two = *TraceFeatures(workload.dag, target, 2, trace);
  std::set<std::string> differ;
  for (int i = 0; i < FeatureCount(ir::TargetKind::kX86); ++i) {
    if (one[i] != two[i]) differ.insert(FeatureColumns(ir::TargetKind::kX86)[i].name);
  }
  CHECK(differ == std::set<std::string>{"target.threads", "parallel.balance"});
  CHECK(one[ColumnNamed("parallel.balance")] == 1);
  CHECK(two[ColumnNamed("parallel.balance")] == 0.75F);  // three rows for two
  CHECK(one[ColumnNamed("target.cores")] == two[ColumnNamed("target.cores")]);
}

TEST_CASE("rows describe the target", "[features]") {
  const te::Workload workload = *te::MakeWorkload(Product());
  const auto row = [&](const char* target) {
    return *TraceFeatures(workload.dag, *ir::ParseTarget(target), 1, schedule::Trace{});
  };
  const std::vector<float> avx512 = row("x86/avx512,vnni l1=49152 l2=1048576 threads=2");
  const std::vector<float> sse = row("x86/sse4.2 l1=32768 l2=1048576 threads=2");
  const auto differs = [&](const char* name) {
    return avx512[ColumnNamed(name)] != sse[ColumnNamed(name)];
  };
  CHECK(differs("target.vector_bytes"));
  CHECK(differs("target.vector_registers"));
  CHECK(differs("target.fused_multiply_add"));
  CHECK(differs("target.byte_products"));
  CHECK(differs("target.l1_bytes"));
  CHECK_FALSE(differs("target.l2_bytes"));
  CHECK_FALSE(differs("target.cores"));
  CHECK(avx512[ColumnNamed("target.vector_bytes")] == std::log2(65.0F));
}

TEST_CASE("features of sampled configs of every operator are finite and bounded", "[features]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const space::ConfigSpace space = SpaceOf(spec, 2);
    const uint64_t seed = 17;
    CAPTURE(spec.name, seed);
    Rng rng(seed);
    std::vector<space::Config> configs;
    for (int i = 0; i < 10; ++i) configs.push_back(space.Sample(rng));
    const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(space, 2, configs);
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
    const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(*space, 2, configs);
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
      const absl::StatusOr<std::vector<float>> rows = ConfigFeatures(space, threads, configs);
      REQUIRE(rows.ok());
      const auto count = static_cast<size_t>(FeatureCount(ir::TargetKind::kX86));
      for (size_t i = 0; i < configs.size(); ++i) {
        const absl::StatusOr<schedule::Trace> trace =
            schedule::ParseTrace(schedule::Print(*space.ToTrace(configs[i])));
        REQUIRE(trace.ok());
        CAPTURE(space.ToJson(configs[i]), schedule::Print(*trace));
        const absl::StatusOr<std::vector<float>> expected =
            TraceFeatures(workload.dag, space.target(), threads, *trace);
        REQUIRE(expected.ok());
        CHECK(std::equal(expected->begin(), expected->end(),
                         rows->begin() + static_cast<int64_t>(i * count)));
      }
    }
  }
}

TEST_CASE("a trace that doesn't apply is refused, with its step", "[features]") {
  const te::Workload workload = *te::MakeWorkload(Product());
  const schedule::Trace trace = *schedule::ParseTrace("trace 1\nvectorize matmul q\n");
  const auto row = TraceFeatures(workload.dag, *ir::X86Target("avx512"), 1, trace);
  CHECK(absl::IsInvalidArgument(row.status()));
  CHECK_THAT(std::string(row.status().message()),
             Catch::Contains("step 1: vectorize matmul: no loop q"));
}

TEST_CASE("equal programs have equal features and other programs others", "[features]") {
  const space::ConfigSpace space = SpaceOf(Product());
  Rng rng(3);
  std::set<std::vector<float>> rows;
  std::set<space::Config> configs;
  for (int i = 0; i < 300; ++i) configs.insert(space.Sample(rng));
  for (const space::Config& config : configs) {
    const std::vector<float> row = *ConfigFeatures(space, 1, {config});
    CHECK(row == *ConfigFeatures(space, 1, {config}));
    rows.insert(row);
  }
  CHECK(rows.size() > configs.size() * 9 / 10);
}

TEST_CASE("streaming stores are one feature's difference", "[features]") {
  const te::Workload workload = *te::MakeWorkload({"r", "relu", {{"m", "4096"}, {"n", "1024"}}});
  const auto row = [&](const char* text) {
    return *TraceFeatures(workload.dag, *ir::X86Target("avx512"), 1, *schedule::ParseTrace(text));
  };
  const std::vector<float> plain = row("trace 1\nvectorize relu n\n");
  const std::vector<float> streamed = row("trace 1\nvectorize relu n\nstream relu\n");
  for (int i = 0; i < FeatureCount(ir::TargetKind::kX86); ++i) {
    const std::string& name = FeatureColumns(ir::TargetKind::kX86)[i].name;
    CAPTURE(name);
    CHECK((plain[i] != streamed[i]) == (name == "memory.streamed"));
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
    NestProfiler profiler;
    const NestProfile& nest = profiler.Profile(schedule, loops)[1];
    REQUIRE(nest.depth == 5);
    const AccessProfile& b = nest.accesses[2];
    return std::pair(b.vector_stride, b.stride[3]);  // along n.2 and k
  };
  CHECK(stride_of("0 1") == std::pair(1.0, 32.0));
  CHECK(stride_of("1 0") == std::pair(16.0, 1.0));
  CHECK(stride_of("1/16 0 1%16") == std::pair(1.0, 16.0));
}

TEST_CASE("a copy inside of a loop is the same memory in each iteration", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}, {"b", "input"}}});
  const schedule::Trace trace = *schedule::ParseTrace(
      "trace 1\ncache_read B matmul\nsplit matmul n 32\n"
      "reorder matmul n.0 m n.1 k\ncompute_at matmul.B matmul n.0\n");
  const schedule::Schedule schedule = *schedule::ApplyTrace(workload.dag, trace);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  NestProfiler profiler;
  const auto nests = profiler.Profile(schedule, loops);
  REQUIRE(nests.size() == 2);
  for (const AccessProfile& copy : {nests[0].accesses[0], nests[1].accesses[2]}) {
    CHECK_FALSE(copy.moved[0]);
    CHECK(copy.elements[0] == 32 * 16);
  }
  CHECK(nests[0].accesses[1].moved[0]);  // what it is a copy of
  CHECK(nests[0].accesses[1].elements[0] == 64 * 16);
}

NestProfile NestOf(const schedule::Schedule& schedule, const schedule::LoopStructure& loops) {
  return NestProfiler().Profile(schedule, loops)[0];
}

TEST_CASE("reads of one window are one access", "[features]") {
  const te::Workload workload = *te::ParseWorkload(
      "workload w\ninput X: f32[66]\nstage y: f32[i:64] = X[i] * 0.5 + X[i + 1] * 0.25 + "
      "X[i + 2] + X[i]\noutput y\n");
  const schedule::Schedule schedule(workload.dag);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  const NestProfile nest = NestOf(schedule, loops);
  REQUIRE(nest.accesses.size() == 2);
  CHECK(nest.accesses[1].elements[1] == 3);
  CHECK(nest.accesses[1].elements[0] == 66);
  CHECK(nest.accesses[1].stride[0] == 1);
  CHECK(nest.accesses[1].reads == 4);
}

TEST_CASE("reads that lie far apart touch no more than they read", "[features]") {
  const te::Workload workload = *te::ParseWorkload(
      "workload w\ninput X: f32[1024]\nstage y: f32[j:512] = X[j] * X[j + 512]\noutput y\n");
  const schedule::Trace trace = *schedule::ParseTrace("trace 1\nsplit y j 16\nvectorize y j.1\n");
  const schedule::Schedule schedule = *schedule::ApplyTrace(workload.dag, trace);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  const NestProfile nest = NestOf(schedule, loops);
  REQUIRE(nest.accesses.size() == 2);
  CHECK(nest.accesses[1].elements[1] == 32);
  CHECK(nest.accesses[1].lines[1] == 2);
  CHECK(nest.accesses[1].elements[0] == 1024);
}

TEST_CASE("points of a tensor instruction lie next to each other", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "2"}, {"n", "16"}, {"k", "8"}, {"dtype", "i8"}}});
  const auto strides = [&](const char* layout) {
    const schedule::Trace trace = *schedule::ParseTrace(
        absl::StrCat("trace 1\ntensorize matmul vpdpbusd_512\nlayout matmul.b ", layout,
                     "\nreorder matmul.dot m k n k_g\nvectorize matmul.dot k_g\n"
                     "vectorize matmul.dot n\ninline matmul.a\n"));
    const schedule::Schedule schedule = *schedule::ApplyTrace(workload.dag, trace);
    const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
    std::vector<double> found;
    for (const AccessProfile& access : NestOf(schedule, loops).accesses) {
      found.push_back(access.vector_stride);
    }
    return found;
  };
  // The sum, A, of which all points read one group, and B.
  CHECK(strides("0/4 1 0%4") == std::vector<double>{1, 0, 1});
  CHECK(strides("1 0") == std::vector<double>{1, 0, 8});
}

TEST_CASE("a nest follows every dimension that a buffer may have", "[features]") {
  std::string extents, axes, index;
  for (int d = 0; d < te::kMaxRank; ++d) {
    const int extent = d + 1 == te::kMaxRank ? 64 : d == 0 ? 2 : 1;
    const char* const comma = d == 0 ? "" : ",";
    absl::StrAppend(&extents, comma, extent);
    absl::StrAppend(&axes, comma, "a", d, ":", extent);
    absl::StrAppend(&index, comma, "a", d);
  }
  const auto workload =
      te::ParseWorkload(absl::StrCat("workload w\ninput X: f32[", extents, "]\nstage y: f32[", axes,
                                     "] = X[", index, "] + 1.0\noutput y\n"));
  REQUIRE(workload.ok());
  const schedule::Schedule schedule(workload->dag);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  NestProfiler profiler;
  for (const AccessProfile& access : profiler.Profile(schedule, loops)[0].accesses) {
    CHECK(access.elements[0] == 2 * 64);
    CHECK(access.elements[1] == 64);
    CHECK(access.lines[1] == 64 * 4 / kLineBytes);
  }
}

TEST_CASE("a nest counts iterations, distinct elements and lines", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "8"}, {"n", "32"}, {"k", "16"}, {"b", "input"}}});
  const schedule::Schedule schedule(workload.dag);
  const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
  NestProfiler profiler;
  const NestProfile& nest = profiler.Profile(schedule, loops)[0];
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
