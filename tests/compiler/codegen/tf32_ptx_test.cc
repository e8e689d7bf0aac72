// Products of f32 by instructions that round factors to TF32, where the workload allows it.

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "base/rng.h"
#include "compiler/codegen/ptx.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/ptx_assembler.h"
#include "tests/support/run_ptx.h"

namespace tessera::codegen {
namespace {

constexpr char kInstruction[] = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32";

ir::Target Target(std::string_view text = "cuda/sm_80") { return ir::ParseTarget(text).value(); }

te::Workload Product(const std::string& tf32, const std::string& transposed = "false") {
  return te::MakeWorkload({"p",
                           "matmul",
                           {{"m", "64"},
                            {"n", "48"},
                            {"k", "40"},
                            {"relu", "true"},
                            {"transpose_b", transposed},
                            {"tf32", tf32}}})
      .value();
}

// Tiles reach over its last row and column.
te::Workload WithEdges() {
  return te::MakeWorkload(
             {"e", "matmul", {{"m", "50"}, {"n", "35"}, {"k", "24"}, {"tf32", "true"}}})
      .value();
}

te::Workload Convolution() {
  return te::MakeWorkload({"c",
                           "conv2d",
                           {{"ic", "16"},
                            {"oc", "32"},
                            {"size", "10"},
                            {"k", "3"},
                            {"pad", "1"},
                            {"bias", "true"},
                            {"tf32", "true"}}})
      .value();
}

// The second product's left factors have more bits than TF32 holds; those of inputs have fewer.
te::Workload Chain() {
  return te::ParseWorkload(
             "workload chain\n"
             "input A: f32[32,32]\n"
             "input B: f32[32,64]\n"
             "input C: f32[64,48]\n"
             "stage D: f32[i:32,j:64] = sum[k:32] (A[i, k] * B[k, j])\n"
             "stage E: f32[m:32,n:48] = sum[p:64] (tf32(D[m, p]) * tf32(C[p, n]))\n"
             "output E\n")
      .value();
}

TEST_CASE("waves multiply matrices of f32 as TF32 where the workload allows it", "[ptx]") {
  const bool has_assembler = HasAssembler();
  uint64_t seed = 1;
  int together = 0;  // programs that fetch whole matrices
  for (const te::Workload& workload :
       {Product("true"), Product("true", "true"), WithEdges(), Convolution(), Chain()}) {
    CAPTURE(workload.name, seed);
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    const auto space = space::BuildSpace(workload, Target(), 1).value();
    Rng rng(seed++);
    int by_waves = 0, instructions = 0;
    for (int i = 0; i < 300 && by_waves < 12; ++i) {
      const space::Config config = space.Sample(rng);
      const std::string text = space.ToJson(config);
      if (!absl::StrContains(text, "waves")) continue;
      ++by_waves;
      CAPTURE(text);
      const auto candidate = passes::LowerTrace(workload, space.ToTrace(config).value());
      INFO(candidate.status());
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, Target());
      REQUIRE(code.ok());
      instructions += absl::StrContains(code->source, kInstruction) ? 1 : 0;
      together += absl::StrContains(code->source, "ldmatrix") ? 1 : 0;
      CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
      CHECK(te::CheckAgainst(
                workload, expected, *candidate,
                [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) {
                  return RunDeviceCode(*code, buffers);
                }) == absl::OkStatus());
      if (has_assembler) CHECK(AssemblerErrors(code->source, "sm_80") == "");
      const auto older = GeneratePtx({candidate->program}, Target("cuda/sm_75"));
      REQUIRE(older.ok());
      CHECK_FALSE(absl::StrContains(older->source, "tf32"));
    }
    CHECK(by_waves == 12);
    // Operands that are read where they are may be behind tests of padding.
    CHECK(instructions >= 4);
  }
  CHECK(together > 0);
}

TEST_CASE("products of f32 are never rounded unasked", "[ptx]") {
  const te::Workload asked = Product("true"), unasked = Product("false");
  CHECK(te::StructuralHash(asked.dag) != te::StructuralHash(unasked.dag));
  const auto space = space::BuildSpace(unasked, Target(), 1).value();
  const auto rounding = space::BuildSpace(asked, Target(), 1).value();
  const uint64_t seed = 5;
  CAPTURE(seed);
  Rng rng(seed);
  int by_waves = 0;
  for (int i = 0; i < 40; ++i) {
    const space::Config config = space.Sample(rng);
    CHECK_FALSE(absl::StrContains(space.ToJson(config), "waves"));
    // What rounds for one workload, does not for the other.
    const space::Config waves = rounding.Sample(rng);
    if (!absl::StrContains(rounding.ToJson(waves), "waves")) continue;
    ++by_waves;
    const auto candidate = passes::LowerTrace(unasked, rounding.ToTrace(waves).value());
    INFO(candidate.status());
    REQUIRE(candidate.ok());
    const auto code = GeneratePtx({candidate->program}, Target());
    REQUIRE(code.ok());
    CHECK_FALSE(absl::StrContains(code->source, "tf32"));
  }
  CHECK(by_waves > 0);
}

// A warp that multiplies matrices of one number, which is rounded or not.
absl::Status Multiply(const std::string& rounding) {
  const auto kernels = ptx::ParsePtx(
      ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(\n.param .u64 p\n)\n{\n"
      "mov.b32 %r1, 1065353217;\nmov.b32 %r2, %r1;\nmov.b32 %f1, 0f00000000;\n" +
      rounding + kInstruction +
      " {%f2, %f3, %f4, %f5}, {%r2, %r2, %r2, %r2}, {%r2, %r2}, {%f1, %f1, %f1, %f1};\n"
      "ret;\n}\n");
  TESSERA_RETURN_IF_ERROR(kernels.status());
  return ptx::Run(kernels->at("k"), {{1, 1, 1}, {32, 1, 1}, 0, {0}}, {});
}

TEST_CASE("the interpreter of PTX wants numbers of TF32 to be rounded", "[ptx]") {
  CHECK(Multiply("cvt.rna.tf32.f32 %r2, %r1;\n") == absl::OkStatus());
  CHECK(absl::IsOutOfRange(Multiply("")));
}

}  // namespace
}  // namespace tessera::codegen
