// Whole lowered programs, compiled and run, against the reference evaluator.

#include <catch2/catch.hpp>
#include <cmath>
#include <tuple>

#include "absl/strings/str_replace.h"
#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/instructions.h"
#include "tests/compiler/codegen/loaded_kernel.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/random_dag.h"
#include "tests/support/random_trace.h"
#include "tests/support/random_workload.h"
#include "tests/support/reference_check.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

// Elements stored by a run: random placements may recompute a stage without bounds.
class StoreCount final : public ir::Visitor {
 public:
  int64_t total = 0;

 private:
  void VisitFor(const ir::For& node) override {
    times_ *= static_cast<double>(node.extent);
    ir::Visitor::VisitFor(node);
    times_ /= static_cast<double>(node.extent);
  }
  void VisitStore(const ir::Store& node) override {
    total += static_cast<int64_t>(times_ * node.value.type().lanes);
  }
  double times_ = 1;
};
constexpr int64_t kMaxStores = 20'000'000;

absl::Status LowerRunAndCheck(const te::Workload& workload, const te::Expected& expected,
                              const schedule::Trace& trace, const ir::Target& target,
                              Checks checks = Checks::kNone) {
  TESSERA_ASSIGN_OR_RETURN(const te::Candidate candidate, passes::LowerTrace(workload, trace));
  StoreCount stores;
  stores.Visit(candidate.program.body);
  if (stores.total > kMaxStores) return absl::OkStatus();
  return te::CheckAgainst(workload, expected, candidate,
                          [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                            return RunCompiled(p, target, b, checks);
                          });
}

// The levels that this machine can run.
std::vector<ir::Target> Targets() {
  std::vector<ir::Target> targets;
  const ir::Target host = HostTarget();
  if (host.kind != ir::TargetKind::kX86) return {host};
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    const ir::Target target = ir::X86Target(isa).value();
    if (target.vector_bytes <= host.vector_bytes) targets.push_back(target);
  }
  if (host.Has("vnni") || host.Has("bf16")) targets.push_back(host);
  return targets;
}

}  // namespace

TEST_CASE("default traces of every operator run right on every level", "[codegen]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CAPTURE(spec.name);
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 1);
    REQUIRE(expected.ok());
    int threads = 1;
    for (ir::Target target : Targets()) {
      target.max_threads = threads++;
      CAPTURE(ir::ToString(target));
      const schedule::Trace trace = schedule::DefaultTrace(workload->dag, target).value();
      CHECK(LowerRunAndCheck(*workload, *expected, trace, target) == absl::OkStatus());
    }
  }
}

TEST_CASE("partial results of rows that vectors don't divide stay in registers", "[codegen]") {
  for (const auto& [op, stage] :
       {std::pair("reduce_sum", "reduce"), std::pair("argmax", "value")}) {
    const auto workload = te::MakeWorkload({"rows", op, {{"m", "4"}, {"n", "1000"}}});
    REQUIRE(workload.ok());
    const std::string text = absl::StrReplaceAll(
        "trace 1\nsplit S n 64\nrfactor S n.1\ncompute_at S.rf S m\nsplit S.rf n.1 16\n"
        "reorder S.rf m n.0 n.1.0 n.1.1\nunroll S.rf n.1.0\nvectorize S.rf n.1.1\nvectorize S "
        "n.1\n",
        {{"S", stage}});
    CAPTURE(text);
    const auto trace = schedule::ParseTrace(text);
    REQUIRE(trace.ok());
    const auto lowered = passes::LowerTrace(*workload, *trace);
    REQUIRE(lowered.ok());
    const auto assembly = GenerateAssembly(lowered->program, ir::X86Target("avx512").value());
    REQUIRE(assembly.ok());
    CHECK(assembly->find("(%rsp), %zmm") == std::string::npos);
    const auto expected = te::ComputeExpected(*workload, 3);
    REQUIRE(expected.ok());
    CHECK(LowerRunAndCheck(*workload, *expected, *trace, HostTarget()) == absl::OkStatus());
  }
}

TEST_CASE("lanes that meet leave points beyond the edge to the thread that owns them",
          "[codegen]") {
  const auto workload = te::MakeWorkload(
      {"c", "conv2d", {{"ic", "2"}, {"oc", "2"}, {"size", "10"}, {"k", "3"}, {"pad", "1"}}});
  REQUIRE(workload.ok());
  // The last of three slices of columns has two that are beyond the edge.
  const auto trace = schedule::ParseTrace(
      "trace 1\ninline pad\nsplit conv ow 4\nreorder conv ow.0 n oc oh ic kh kw ow.1\n"
      "parallel conv ow.0\nunroll conv kh\nvectorize conv kw\n");
  REQUIRE(trace.ok());
  const auto lowered = passes::LowerTrace(*workload, *trace);
  REQUIRE(lowered.ok());
  const auto kernel = LoadedKernel::Load(lowered->program, HostTarget());
  REQUIRE(kernel.ok());
  const AlignedBytes x(2 * 100 * 4), w(2 * 2 * 9 * 4), y(2 * 100 * 4);
  std::memset(x.data(), 0, x.size());
  std::memset(w.data(), 0, w.size());
  auto* out = reinterpret_cast<float*>(y.data());
  std::fill(out, out + 200, -0.0f);  // whoever adds to it leaves 0.0
  tessera_launcher last_slice{[](tessera_launcher*, int64_t count, tessera_parallel_body body,
                                 void* context) { body(count - 1, count, 0, context); },
                              1};
  kernel->Run({x.data(), w.data(), y.data()}, &last_slice);
  for (int i = 0; i < 200; ++i) {
    CAPTURE(i);
    CHECK(std::signbit(out[i]) == (i % 10 < 8));
  }
}

TEST_CASE("random traces of every operator run right", "[codegen]") {
  constexpr uint64_t kTracesPerWorkload = 5;
  const std::vector<ir::Target> targets = Targets();
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 2);
    REQUIRE(expected.ok());
    for (uint64_t seed = 100; seed < 100 + kTracesPerWorkload; ++seed) {
      ir::Target target = targets[seed % targets.size()];
      target.max_threads = 2;
      const schedule::Trace trace =
          schedule::RandomTrace(workload->dag, Rng(seed).Fork(spec.name)).Draw();
      CAPTURE(spec.name, seed, ir::ToString(target), schedule::Print(trace));
      CHECK(LowerRunAndCheck(*workload, *expected, trace, target) == absl::OkStatus());
    }
  }
}

TEST_CASE("sums of groups of products become instructions that compute the same", "[codegen]") {
  struct Case {
    const char *instruction, *mnemonic, *dtype;
    int lanes, group;
  };
  // The last has too few lanes in its last vector for any instruction.
  constexpr Case kCases[] = {
      {"vpdpbusd_512", "vpdpbusd", "i8", 16, 4},     {"vpdpbusd_256", "vpdpbusd", "i8", 8, 4},
      {"vpdpbusd_128", "vpdpbusd", "i8", 4, 4},      {"vpmaddwd_512", "vpdpwssd", "i8", 16, 2},
      {"vpmaddwd_256", "vpdpwssd", "i8", 8, 2},      {"pmaddwd_128", "vpdpwssd", "i8", 4, 2},
      {"vdpbf16ps_512", "vdpbf16ps", "bf16", 16, 2}, {"vdpbf16ps_256", "vdpbf16ps", "bf16", 8, 2},
      {"vdpbf16ps_128", "vdpbf16ps", "bf16", 4, 2},  {"vpdpbusd_512", "", "i8", 10, 4}};
  const ir::Target all = ir::ParseTarget("x86/avx512,vnni,bf16").value();
  for (const Case& c : kCases) {
    const auto workload = te::MakeWorkload(
        {"product", "matmul", {{"m", "3"}, {"n", "48"}, {"k", "21"}, {"dtype", c.dtype}}});
    REQUIRE(workload.ok());
    const std::string text = absl::StrReplaceAll(
        "trace 1\ntensorize matmul I\nlayout matmul.b 1/L 0/G 1%L 0%G\nsplit matmul.dot n L\n"
        "reorder matmul.dot m n.0 k n.1 k_g\nvectorize matmul.dot k_g\nvectorize matmul.dot n.1\n",
        {{"I", c.instruction}, {"L", absl::StrCat(c.lanes)}, {"G", absl::StrCat(c.group)}});
    CAPTURE(text);
    const auto trace = schedule::ParseTrace(text);
    REQUIRE(trace.ok());
    const auto lowered = passes::LowerTrace(*workload, *trace);
    REQUIRE(lowered.ok());
    const auto assembly = GenerateAssembly(lowered->program, all);
    REQUIRE(assembly.ok());
    CHECK(assembly->find(c.mnemonic) != std::string::npos);
    const auto expected = te::ComputeExpected(*workload, 3);
    REQUIRE(expected.ok());
    // Levels without the instruction compute the same with others.
    for (const ir::Target& target : Targets()) {
      CAPTURE(ir::ToString(target));
      CHECK(LowerRunAndCheck(*workload, *expected, *trace, target) == absl::OkStatus());
    }
  }
}

TEST_CASE("sums of groups read nothing beyond the end of an axis", "[codegen]") {
  for (const te::Instruction& instruction : te::Instructions()) {
    const bool is_bf16 = instruction.operand_type(0).is_float();
    for (const int beyond : {1, instruction.lanes - 1}) {
      // The columns are groups as they lie: nothing pads them.
      const auto workload = te::MakeWorkload({"product",
                                              "matmul",
                                              {{"m", "3"},
                                               {"n", absl::StrCat(instruction.lanes + beyond)},
                                               {"k", absl::StrCat(3 * instruction.group)},
                                               {"dtype", is_bf16 ? "bf16" : "i8"}}});
      REQUIRE(workload.ok());
      const std::string text = absl::StrReplaceAll(
          "trace 1\ntensorize matmul I\nlayout matmul.b 0/G 1 0%G\nsplit matmul.dot n L\n"
          "reorder matmul.dot m n.0 k n.1 k_g\nvectorize matmul.dot k_g\n"
          "vectorize matmul.dot n.1\n",
          {{"I", instruction.name},
           {"L", absl::StrCat(instruction.lanes)},
           {"G", absl::StrCat(instruction.group)}});
      CAPTURE(text, beyond);
      const auto trace = schedule::ParseTrace(text);
      REQUIRE(trace.ok());
      const auto expected = te::ComputeExpected(*workload, 3);
      REQUIRE(expected.ok());
      for (const ir::Target& target : Targets()) {
        CAPTURE(ir::ToString(target));
        for (const Checks checks : {Checks::kNone, Checks::kBounds}) {
          CHECK(LowerRunAndCheck(*workload, *expected, *trace, target, checks) == absl::OkStatus());
        }
      }
    }
  }
}

TEST_CASE("rows are interleaved into groups by shuffles", "[codegen]") {
  for (const auto& [dtype, instruction, group, shuffle] :
       {std::tuple{"i8", "vpdpbusd_512", "4", "vpunpcklbw"},
        {"i8", "vpmaddwd_256", "2", ""},
        {"bf16", "vdpbf16ps_512", "2", ""}}) {
    const auto workload = te::MakeWorkload(
        {"product",
         "matmul",
         {{"m", "3"}, {"n", "48"}, {"k", "21"}, {"b", "input"}, {"dtype", dtype}}});
    REQUIRE(workload.ok());
    const std::string text = absl::StrReplaceAll(
        "trace 1\ntensorize matmul I\nlayout matmul.b 1/16 0/G 1%16 0%G\n"
        "split matmul.b d0 G\nsplit matmul.b d1 16\nreorder matmul.b d1.0 d0.0 d1.1 d0.1\n"
        "vectorize matmul.b d1.1\nvectorize matmul.b d0.1\n",
        {{"I", instruction}, {"G", group}});
    CAPTURE(text);
    const auto trace = schedule::ParseTrace(text);
    REQUIRE(trace.ok());
    const auto lowered = passes::LowerTrace(*workload, *trace);
    REQUIRE(lowered.ok());
    CHECK(ir::Print(lowered->program).find("\"interleave\"") != std::string::npos);
    const auto assembly = GenerateAssembly(lowered->program, ir::ParseTarget("x86/avx512").value());
    REQUIRE(assembly.ok());
    CHECK(assembly->find(shuffle) != std::string::npos);
    const auto expected = te::ComputeExpected(*workload, 3);
    REQUIRE(expected.ok());
    for (const ir::Target& target : Targets()) {
      CAPTURE(ir::ToString(target));
      CHECK(LowerRunAndCheck(*workload, *expected, *trace, target) == absl::OkStatus());
    }
  }
}

TEST_CASE("whole vectors are rounded and kept within a narrow integer type", "[codegen]") {
  const auto workload = te::MakeWorkload(
      {"requantized",
       "matmul",
       {{"m", "3"}, {"n", "48"}, {"k", "5"}, {"dtype", "i8"}, {"requantize", "true"}}});
  REQUIRE(workload.ok());
  const auto trace =
      schedule::ParseTrace("trace 1\ninline scale\nsplit narrow n 16\nvectorize narrow n.1\n");
  REQUIRE(trace.ok());
  const auto lowered = passes::LowerTrace(*workload, *trace);
  REQUIRE(lowered.ok());
  const auto assembly = GenerateAssembly(lowered->program, ir::ParseTarget("x86/avx512").value());
  REQUIRE(assembly.ok());
  CHECK(assembly->find("vcvttps2dq") != std::string::npos);
  CHECK(assembly->find("vcvttss2si") == std::string::npos);
}

TEST_CASE("bf16 dot products lose no more than subnormal operands, products and sums",
          "[codegen]") {
  const ir::Target target = HostTarget();
  if (!target.Has("bf16")) return;
  constexpr int kTerms = 31;
  const auto workload =
      te::MakeWorkload({"product",
                        "matmul",
                        {{"m", "5"}, {"n", "32"}, {"k", absl::StrCat(kTerms)}, {"dtype", "bf16"}}});
  REQUIRE(workload.ok());
  const auto trace = schedule::ParseTrace(
      "trace 1\ntensorize matmul vdpbf16ps_512\nlayout matmul.b 1/16 0/2 1%16 0%2\n"
      "split matmul.dot n 16\nreorder matmul.dot m n.0 k n.1 k_g\n"
      "vectorize matmul.dot k_g\nvectorize matmul.dot n.1\n");
  REQUIRE(trace.ok());
  const auto lowered = passes::LowerTrace(*workload, *trace);
  REQUIRE(lowered.ok());
  REQUIRE(GenerateAssembly(lowered->program, target)->find("vdpbf16ps") != std::string::npos);
  const ir::Program reference = te::ReferenceProgram(*workload);
  int lost = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    // Ones, subnormal numbers, and those whose products or sums may be subnormal, of one magnitude
    // a column, so that nothing larger hides what is lost.
    std::vector<std::vector<std::byte>> storage;
    for (const ir::Buffer& param : reference.params) {
      storage.emplace_back(param->StoredBytes());
      if (storage.size() == reference.params.size()) break;
      const int64_t columns = param->shape[1];
      for (int64_t i = 0; i < param->ElementCount(); ++i) {
        static constexpr int kExponents[] = {0, -130, -126, -127, -64, -62, -63};
        const int exponent =
            storage.size() == 1 ? kExponents[rng.Below(7)] : kExponents[i % columns % 7];
        const double value = std::ldexp(rng.Chance(0.5) ? 1.5 : -1.25, exponent);
        ir::WriteElement(param->type, absl::MakeSpan(storage.back()), i, value);
      }
    }
    const std::vector<std::vector<std::byte>> inputs = {storage[0], storage[1]};
    std::vector<absl::Span<std::byte>> spans;
    for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
    REQUIRE(ir::Evaluate(reference, spans).ok());
    const std::vector<double> expected = ir::FromStored(*reference.params[2], storage[2]);
    storage.clear();
    spans.clear();
    for (size_t i = 0; i < lowered->program.params.size(); ++i) {
      const ir::BufferNode& param = *lowered->program.params[i];
      storage.push_back(i < 2 ? ir::ToStored(param, inputs[i])
                              : std::vector<std::byte>(param.StoredBytes()));
    }
    for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
    if (lowered->preparation) {
      REQUIRE(RunCompiled(*lowered->preparation, target, spans, Checks::kNone).ok());
    }
    REQUIRE(RunCompiled(lowered->program, target, spans, Checks::kNone).ok());
    const std::vector<double> actual = ir::FromStored(*lowered->program.params[2], storage[2]);
    const double least = std::ldexp(1.0, -126);
    for (size_t i = 0; i < actual.size(); ++i) {
      CAPTURE(seed, i);
      double magnitudes = 0, dropped = 0;
      for (int64_t k = 0; k < kTerms; ++k) {
        const auto row = static_cast<int64_t>(i) / 32, column = static_cast<int64_t>(i) % 32;
        const double a = std::abs(ir::ReadElement(ir::BFloat16(), inputs[0], row * kTerms + k));
        const double b = std::abs(ir::ReadElement(ir::BFloat16(), inputs[1], k * 32 + column));
        magnitudes += a * b;
        dropped += least * (2 + std::max({a, b, 1.0}));
      }
      const double rounded = std::abs(expected[i]) / 128 + kTerms * magnitudes / (1 << 23);
      CHECK(std::abs(actual[i] - expected[i]) <= rounded + dropped);
      lost += actual[i] != expected[i] ? 1 : 0;
    }
  }
  CHECK(lost > 0);
}

// `traces` random ones of the workload, on the levels in turn.
void CheckTraces(const te::Workload& workload, uint64_t seed, uint64_t traces, Checks checks) {
  static const auto& targets = *new std::vector<ir::Target>(Targets());
  const auto expected = te::ComputeExpected(workload, seed);
  REQUIRE(expected.ok());
  for (uint64_t t = 0; t < traces; ++t) {
    ir::Target target = targets[(seed + t) % targets.size()];
    target.max_threads = 2;
    const schedule::Trace trace =
        schedule::RandomTrace(workload.dag, Rng(seed).Fork(absl::StrCat("trace ", t))).Draw();
    CAPTURE(t, ir::ToString(target), schedule::Print(trace));
    CHECK(LowerRunAndCheck(workload, *expected, trace, target, checks) == absl::OkStatus());
  }
}

// The same of each of `workloads` random workloads.
void CheckRandomWorkloads(std::string_view stream, uint64_t first_seed, uint64_t workloads,
                          uint64_t traces, Checks checks) {
  for (uint64_t seed = first_seed; seed < first_seed + workloads; ++seed) {
    const te::OpSpec spec = te::RandomWorkload(Rng(seed).Fork(stream)).Draw("random");
    CAPTURE(seed, te::ToText(spec));
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    CheckTraces(*workload, seed, traces, checks);
  }
}

// And of each of `dags` random definitions.
void CheckRandomDags(uint64_t first_seed, uint64_t dags, uint64_t traces, Checks checks) {
  for (uint64_t seed = first_seed; seed < first_seed + dags; ++seed) {
    const te::Workload workload = te::RandomDag(Rng(seed).Fork("dag")).Draw();
    CAPTURE(seed, te::Print(workload));
    CheckTraces(workload, seed, traces, checks);
  }
}

TEST_CASE("random traces of random workloads run right", "[codegen]") {
  CheckRandomWorkloads("codegen", 0, 80, 8, Checks::kNone);
}

TEST_CASE("random traces of random definitions run right", "[codegen]") {
  CheckRandomDags(10'000, 80, 4, Checks::kNone);
}

TEST_CASE("many more traces of random workloads and definitions run right", "[.nightly]") {
  CheckRandomWorkloads("codegen", 1'000'000, 1000, 5, Checks::kNone);
  CheckRandomDags(1'000'000, 1000, 5, Checks::kNone);
  CheckRandomWorkloads("checked", 2'000'000, 200, 5, Checks::kBounds);
  CheckRandomDags(2'000'000, 200, 5, Checks::kBounds);
}

TEST_CASE("random traces touch nothing outside their buffers", "[codegen]") {
  CheckRandomDags(11'000, 30, 3, Checks::kBounds);
  CheckRandomWorkloads("checked", 1000, 40, 4, Checks::kBounds);
}

TEST_CASE("transforms of padded tiles, in loops with vectors, run to the reference's values",
          "[codegen]") {
  const te::Workload workload = te::MakeWorkload({"c",
                                                  "conv2d",
                                                  {{"ic", "16"},
                                                   {"oc", "16"},
                                                   {"h", "7"},
                                                   {"w", "9"},
                                                   {"k", "3"},
                                                   {"pad", "1"},
                                                   {"layout", "any"}}})
                                    .value();
  const schedule::Trace trace =
      schedule::ParseTrace(
          "trace 1\nwinograd conv 4\ninline pad\nlayout X 0 1/16 2 3 1%16\n"
          "split conv oh 1 4\nsplit conv ow 4\nsplit conv oc 16\n"
          "reorder conv n oh.0 oc.0 oh.1 ow.0 ow.1 oh.2 oc.1\nunroll conv oh.2\n"
          "vectorize conv oc.1\n"
          "compute_at conv.Y conv ow.1\nreorder conv.Y x n th tw y oc\nunroll conv.Y y\n"
          "vectorize conv.Y oc\n"
          "compute_at conv.AM conv ow.0\nreorder conv.AM n th tw a x oc\nunroll conv.AM x\n"
          "vectorize conv.AM oc\n"
          "compute_at conv.M conv oh.0\ncompute_at conv.V conv oh.0\n"
          "layout conv.V 0 4/16 1 2 3 4%16\nsplit conv.V e 6\n"
          "reorder conv.V n th tw e.0 e.1 ic\nunroll conv.V e.1\nvectorize conv.V ic\n"
          "compute_at conv.Bd conv.V tw\nreorder conv.Bd n th tw j a ic\nunroll conv.Bd a\n"
          "vectorize conv.Bd ic\n"
          "compute_at conv.d conv.Bd j\nreorder conv.d n x y ic\nunroll conv.d y\n"
          "vectorize conv.d ic\n")
          .value();
  const te::Expected expected = te::ComputeExpected(workload, 5).value();
  for (const ir::Target& target : Targets()) {
    CAPTURE(ir::ToString(target));
    CHECK(LowerRunAndCheck(workload, expected, trace, target) == absl::OkStatus());
  }
}

}  // namespace tessera::codegen
