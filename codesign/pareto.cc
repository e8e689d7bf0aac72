#include "codesign/pareto.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"

namespace tessera::codesign {

bool Dominates(const Costs& a, const Costs& b) {
  TESSERA_CHECK(a.size() == b.size());
  bool is_better = false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    is_better |= a[i] < b[i];
  }
  return is_better;
}

namespace {

// In alphabetic order, in which only earlier ones can dominate.
std::vector<size_t> InOrder(absl::Span<const Costs> all) {
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return all[a] < all[b]; });
  return order;
}

bool IsDominated(absl::Span<const Costs> all, absl::Span<const size_t> by, size_t one) {
  return std::ranges::any_of(by, [&](size_t other) { return Dominates(all[other], all[one]); });
}

}  // namespace

std::vector<size_t> FirstFront(absl::Span<const Costs> all) {
  std::vector<size_t> front;
  for (const size_t i : InOrder(all)) {
    if (!IsDominated(all, front, i)) front.push_back(i);
  }
  std::ranges::sort(front);
  return front;
}

std::vector<int> FrontsOf(absl::Span<const Costs> all) {
  std::vector<int> fronts(all.size(), 0);
  std::vector<std::vector<size_t>> members;
  for (const size_t i : InOrder(all)) {
    size_t front = 0;
    while (front < members.size() && IsDominated(all, members[front], i)) ++front;
    if (front == members.size()) members.emplace_back();
    members[front].push_back(i);
    fronts[i] = static_cast<int>(front);
  }
  return fronts;
}

}  // namespace tessera::codesign
