#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <tuple>

#include "base/rng.h"
#include "compiler/schedule/winograd.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/workloads.h"

namespace tessera {
namespace {

te::Workload Convolution(const char* op = "conv2d", const char* k = "3", const char* stride = "1",
                         const char* ic = "48") {
  return te::MakeWorkload({"c",
                           op,
                           {{"ic", ic},
                            {"oc", "3"},
                            {"w", "12"},
                            {std::string(op) == "conv1d" ? "n" : "h", "8"},
                            {"k", k},
                            {"stride", stride},
                            {"pad", "1"}}})
      .value();
}

te::Candidate Rewritten(const te::Workload& workload, int64_t m) {
  const auto candidate =
      passes::LowerTrace(workload, {{schedule::Primitive::kWinograd, "conv", {}, {m}, {}}});
  REQUIRE(candidate.ok());
  REQUIRE(candidate->preparation.has_value());
  return *candidate;
}

// Inputs of full precision, unlike te::TestInput's, with what the definition makes of them.
te::Expected OnUniformInputs(const te::Workload& workload, uint64_t seed) {
  Rng rng(seed);
  te::Expected expected = te::ComputeExpected(workload, seed).value();
  const ir::Program program = te::ReferenceProgram(workload);
  std::vector<std::vector<std::byte>> storage;
  for (std::vector<std::byte>& input : expected.inputs) {
    for (size_t i = 0; i < input.size(); i += sizeof(float)) {
      const auto value = static_cast<float>(2 * rng.Uniform() - 1);
      std::memcpy(&input[i], &value, sizeof(value));
    }
    storage.push_back(input);
  }
  storage.emplace_back(program.params.back()->StoredBytes());
  std::vector<absl::Span<std::byte>> spans;
  for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  REQUIRE(ir::Evaluate(program, spans).ok());
  expected.outputs = {ir::FromStored(*program.params.back(), storage.back())};
  return expected;
}

TEST_CASE("Winograd's algorithm errs less than its bound on values of full precision", "[passes]") {
  for (const auto& [op, k, stride, ic] : {std::tuple{"conv2d", "3", "1", "48"},
                                          {"conv2d", "3", "1", "1"},
                                          {"conv2d", "2", "1", "48"},
                                          {"conv2d", "5", "1", "8"},
                                          {"conv2d", "7", "2", "8"},
                                          {"conv1d", "3", "1", "48"},
                                          {"conv1d", "5", "1", "1"},
                                          {"conv1d", "5", "1", "512"}}) {
    const te::Workload workload = Convolution(op, k, stride, ic);
    for (const int64_t m : {2, 3, 4}) {
      const te::Candidate candidate = Rewritten(workload, m);
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(op, k, ic, m, seed);
        const te::Expected expected = OnUniformInputs(workload, seed);
        CHECK(te::CheckAgainst(workload, expected, candidate, ir::Evaluate) == absl::OkStatus());
      }
    }
  }
  // It needs the bound: the direct sum's is too narrow for large tiles.
  const te::Workload workload = Convolution("conv2d", "3", "1", "1");
  te::Candidate direct_bound = Rewritten(workload, 4);
  direct_bound.error_factors.clear();
  CHECK_FALSE(
      te::CheckAgainst(workload, OnUniformInputs(workload, 1), direct_bound, ir::Evaluate).ok());
}

TEST_CASE("the bound is too narrow for one missing tap of many", "[passes]") {
  const te::Workload workload = Convolution();
  te::Expected expected = te::ComputeExpected(workload, 3).value();
  const size_t tap = (2 * 48 + 17) * 9 + 5;
  std::memset(&expected.inputs[1][tap * sizeof(float)], 0, sizeof(float));
  for (const int64_t m : {2, 4}) {
    CHECK_FALSE(te::CheckAgainst(workload, expected, Rewritten(workload, m), ir::Evaluate).ok());
  }
}

TEST_CASE("Winograd's algorithm transforms what is read of a tensor alone", "[passes]") {
  const te::Workload workload =
      te::ParseWorkload(
          "workload slices\ninput X: f32[9,6,3,7,7]\nconst W: f32[5,4,4,3,3,3] free\n"
          "stage conv: f32[n:4, g:2, oc:4, h:5, w:5] = sum[ic:3, kh:3, kw:3] "
          "(X[n * 2 + 1, 5, ic, h + kh, w + kw] * W[3, 3 - g, oc, ic, kh, kw])\noutput conv\n")
          .value();
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  for (const int64_t m : {2, 4}) {
    CHECK(te::CheckAgainst(workload, expected, Rewritten(workload, m), ir::Evaluate) ==
          absl::OkStatus());
    const auto rewritten = schedule::RewriteByWinograd(workload.dag.stages[0], m);
    REQUIRE(rewritten.ok());
    const auto shape_of = [&](std::string_view name) {
      return std::ranges::find(rewritten->stages, name, &te::Stage::name)->output()->shape;
    };
    const int64_t points = m + 2, tiles = (5 + m - 1) / m;
    CHECK(shape_of("conv.V") == std::vector<int64_t>{points * points, 4, 1, tiles, tiles, 3});
    CHECK(shape_of("conv.U") == std::vector<int64_t>{points * points, 1, 2, 3, 4});
  }
}

}  // namespace
}  // namespace tessera
