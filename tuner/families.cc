#include "tuner/families.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace tessera::tuner {
namespace {

std::pair<int32_t, int32_t> FamilyOf(const Point& point) {
  return {point[0], point.size() > 1 ? point[1] : 0};
}

}  // namespace

std::vector<int> OrderByFamily(absl::Span<const Point> points, absl::Span<const double> costs,
                               absl::Span<const Point> tried) {
  absl::flat_hash_map<std::pair<int32_t, int32_t>, int> trials;
  for (const Point& point : tried) ++trials[FamilyOf(point)];
  std::vector<int> order(points.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int i) { return costs[i]; });
  std::vector<int> before(points.size());  // trials of its family, until it is its turn
  for (const int i : order) before[i] = trials[FamilyOf(points[i])]++;
  std::ranges::stable_sort(order, {}, [&](int i) { return before[i]; });
  return order;
}

}  // namespace tessera::tuner
