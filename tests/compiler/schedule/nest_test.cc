#include <catch2/catch.hpp>

#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/operators.h"

namespace tessera::schedule {
namespace {

LoopState Loop(absl::InlinedVector<Digit, 1> digits, ir::LoopKind kind = ir::LoopKind::kSerial) {
  LoopState loop;
  loop.kind = kind;
  loop.digits = std::move(digits);
  return loop;
}

te::Workload Product() {
  auto workload = te::MakeWorkload(
      {"p", "matmul", {{"m", "12"}, {"n", "64"}, {"k", "30"}, {"bias", "true"}, {"relu", "true"}}});
  REQUIRE(workload.ok());
  return *std::move(workload);
}

TEST_CASE("a nest's steps read as a person would write them", "[nest]") {
  const te::Workload workload = Product();
  Schedule direct(workload.dag);
  const int last = static_cast<int>(direct.stages().size()) - 1;
  const int product = 0;
  for (int i = product + 1; i < last; ++i) {
    REQUIRE(direct.Apply({Primitive::kInline, direct.stages()[i].stage->name(), {}, {}, {}}).ok());
  }
  const Schedule base = direct;
  // Axes of the store: m, n. Of the product: m, n, then k.
  direct.SetNest({last,
                  {Loop({{0, 4, 0}, {1, 32, 0}}, ir::LoopKind::kParallel),
                   Loop({{0, 1, 4}}, ir::LoopKind::kUnrolled), Loop({{1, 16, 2}}),
                   Loop({{1, 1, 16}}, ir::LoopKind::kVectorized)}});
  direct.SetNest({product,
                  {Loop({{0, 1, 0}}), Loop({{2, 6, 0}}), Loop({{2, 1, 6}}, ir::LoopKind::kUnrolled),
                   Loop({{1, 1, 0}}, ir::LoopKind::kVectorized)},
                  last,
                  2});
  Trace steps = StepsOf(direct, last);
  CHECK(Print(steps) ==
        "trace 1\n"
        "split relu m 4\n"
        "split relu n 2 16\n"
        "reorder relu m.0 n.0 m.1 n.1 n.2\n"
        "fuse relu m.0 n.0\n"
        "parallel relu m.0+n.0\n"
        "unroll relu m.1\n"
        "vectorize relu n.2\n");
  const Trace inner = StepsOf(direct, product);
  CHECK(Print(inner) ==
        "trace 1\n"
        "compute_at matmul relu n.1\n"
        "split matmul k 6\n"
        "reorder matmul m k.0 k.1 n\n"
        "unroll matmul k.1\n"
        "vectorize matmul n\n");

  steps.insert(steps.end(), inner.begin(), inner.end());
  Schedule applied = base;
  REQUIRE(applied.Apply(steps).ok());
  const auto loops = InferBounds(direct), again = InferBounds(applied);
  REQUIRE(loops.ok());
  REQUIRE(again.ok());
  CHECK(LoopHash(direct, *loops) == LoopHash(applied, *again));
}

TEST_CASE("loops in their natural order need no steps", "[nest]") {
  const te::Workload workload = Product();
  Schedule schedule(workload.dag);
  schedule.SetNest({0, {Loop({{0, 1, 0}}), Loop({{1, 1, 0}}), Loop({{2, 1, 0}})}});
  CHECK(StepsOf(schedule, 0).empty());
  CHECK(schedule.stages()[0].loops[2].name == "k");
  CHECK(schedule.stages()[0].loops[2].is_reduction);
}

}  // namespace
}  // namespace tessera::schedule
