#include "tuner/families.h"

#include <catch2/catch.hpp>

namespace tessera::tuner {
namespace {

using Order = std::vector<int>;

TEST_CASE("each family has its best tried before another has its second", "[tuner]") {
  // Sketch, first knob, another knob.
  const std::vector<Point> points = {{0, 1, 1}, {0, 1, 2}, {0, 2, 1}, {1, 1, 1}, {0, 1, 3}};
  const std::vector<double> costs = {3, 1, 4, 5, 2};
  CHECK(OrderByFamily(points, costs, {}) == Order{1, 2, 3, 4, 0});
  // What was tried counts: of one family once, of another twice.
  CHECK(OrderByFamily(points, costs, {{0, 1, 7}}) == Order{2, 3, 1, 4, 0});
  CHECK(OrderByFamily(points, costs, {{0, 2, 7}, {0, 2, 8}, {1, 1, 9}}) == Order{1, 4, 3, 0, 2});
  CHECK(OrderByFamily({}, {}, points).empty());
}

TEST_CASE("of equals the first comes first, and sketches without knobs are families", "[tuner]") {
  CHECK(OrderByFamily({{0}, {1}, {0}}, {1, 1, 1}, {}) == Order{0, 1, 2});
  CHECK(OrderByFamily({{0, 4}, {0, 4}, {0, 5}}, {1, 1, 1}, {}) == Order{0, 2, 1});
}

}  // namespace
}  // namespace tessera::tuner
