#include "compiler/te/count_points.h"

#include <catch2/catch.hpp>
#include <limits>

namespace tessera::te {
namespace {

TEST_CASE("points are counted where one remainder stands several times", "[te]") {
  const ir::VarRef x = ir::MakeVar("x");
  const std::vector<Axis> axes{{x, 10}};
  const ir::Expr r = ir::Expr(x) % ir::Expr(3);  // 0 1 2 0 1 2 0 1 2 0
  CHECK(CountPoints(axes, {ir::Lt(r, ir::Expr(2))}) == 7);
  CHECK(CountPoints(axes, {ir::Lt(r + r, ir::Expr(2))}) == 4);
  CHECK(CountPoints(axes, {ir::Le(r + r, ir::Expr(2))}) == 7);
  CHECK(CountPoints(axes, {ir::Le(r - r, ir::Expr(0))}) == 10);
  CHECK(CountPoints(axes, {ir::Lt(ir::Expr(x) + r, r + ir::Expr(4))}) == 4);
}

TEST_CASE("no point is below the smallest number", "[te]") {
  const ir::VarRef x = ir::MakeVar("x");
  const ir::Expr least(std::numeric_limits<int64_t>::min());
  // Of a form that isn't known all points count; more there can't be.
  CHECK(CountPoints({{x, 10}}, {ir::Lt(ir::Expr(x), least)}) <= 10);
}

}  // namespace
}  // namespace tessera::te
