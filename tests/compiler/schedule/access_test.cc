#include "compiler/schedule/access.h"

#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/support/cpu_time.h"

namespace tessera::schedule {
namespace {

// y[i] = what `body` makes of i, over 64 values.
std::shared_ptr<const StageAnalysis> AnalysisOf(
    const std::function<ir::Expr(const ir::Expr&)>& body) {
  te::Stage stage;
  stage.axes = {{ir::MakeVar("i"), 64}};
  stage.outputs = {ir::MakeBuffer("y", ir::Float(32), {64})};
  stage.bodies = {body(stage.axes[0].var)};
  return Analyze(stage);
}

}  // namespace

TEST_CASE("reads that differ by constants are one window", "[schedule]") {
  const ir::Buffer x = ir::MakeBuffer("x", ir::Float(32), {256});
  const auto analysis = AnalysisOf([&](const ir::Expr& i) {
    return ir::MakeLoad(x, {i + 3}) + ir::MakeLoad(x, {i * 2}) + ir::MakeLoad(x, {i}) +
           ir::MakeLoad(x, {i + 7});
  });
  REQUIRE(analysis->reads.size() == 4);
  REQUIRE(analysis->windows.size() == 2);
  CHECK(analysis->windows[0].read == 0);
  REQUIRE(analysis->windows[0].offsets.size() == 1);
  CHECK(analysis->windows[0].offsets[0] == std::pair<int64_t, int64_t>(-3, 4));
  CHECK(analysis->windows[1].read == 1);
  CHECK(analysis->windows[1].offsets[0] == std::pair<int64_t, int64_t>(0, 0));
}

TEST_CASE("quotients share a window only if they are the same", "[schedule]") {
  const ir::Buffer x = ir::MakeBuffer("x", ir::Float(32), {64, 64});
  const auto analysis = AnalysisOf([&](const ir::Expr& i) {
    return ir::MakeLoad(x, {i / 4, i}) + ir::MakeLoad(x, {i / 4, i + 1}) +
           ir::MakeLoad(x, {i / 8, i}) + ir::MakeLoad(x, {(i + 1) / 4, i}) +
           ir::MakeLoad(x, {i % 4, i});
  });
  REQUIRE(analysis->reads.size() == 5);
  REQUIRE(analysis->windows.size() == 4);
  CHECK(analysis->windows[0].offsets[1] == std::pair<int64_t, int64_t>(0, 1));
}

TEST_CASE("reads through other tensors are windows of their own", "[schedule]") {
  const ir::Buffer x = ir::MakeBuffer("x", ir::Float(32), {64});
  const ir::Buffer a = ir::MakeBuffer("a", ir::Int(32), {64});
  const ir::Buffer b = ir::MakeBuffer("b", ir::Int(32), {64});
  const auto analysis = AnalysisOf([&](const ir::Expr& i) {
    return ir::MakeLoad(x, {ir::MakeLoad(a, {i})}) + ir::MakeLoad(x, {ir::MakeLoad(b, {i})});
  });
  CHECK(analysis->reads.size() == 4);
  CHECK(analysis->windows.size() == 4);
}

TEST_CASE("of a choice that axes decide one side is counted, of any other both", "[schedule]") {
  const auto additions = [](const char* condition) {
    const te::Workload workload = *te::ParseWorkload(
        absl::StrCat("workload w\ninput X: f32[8]\nstage y: f32[i:8] = select(", condition,
                     ", X[i] + 1.0, select(i == 1, X[i] + 2.0 + X[0], X[i] * 3.0))\noutput y\n"));
    const OperationCounts count = Analyze(workload.dag.stages[0])->operations;
    CHECK(count.float_mul == 1);
    CHECK(count.integer == 0);
    return count.float_add;
  };
  CHECK(additions("i + 3 == 5") == 2);
  CHECK(additions("X[i] < 0.0") == 3);
}

TEST_CASE("many reads of one buffer are compared in a moment", "[schedule]") {
  const ir::Buffer x = ir::MakeBuffer("x", ir::Float(32), {1 << 20});
  const absl::Duration start = test::ThreadCpuTime();
  const auto analysis = AnalysisOf([&](const ir::Expr& i) {
    std::vector<ir::Expr> sums;
    for (int64_t read = 0; read < 1 << 14; ++read) {
      sums.push_back(ir::MakeLoad(x, {i * ir::Expr(read + 1)}));
    }
    for (; sums.size() > 1; sums.resize(sums.size() / 2)) {
      for (size_t s = 0; s < sums.size() / 2; ++s) sums[s] = sums[2 * s] + sums[2 * s + 1];
    }
    return sums[0];
  });
  CHECK(analysis->windows.size() == 1 << 14);
  CHECK(test::ThreadCpuTime() - start < absl::Milliseconds(500));
}

}  // namespace tessera::schedule
