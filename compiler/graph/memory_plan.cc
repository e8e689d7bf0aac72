#include "compiler/graph/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace tessera::graph {
namespace {

bool Meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// What is alive at once, at most.
int64_t LeastBytes(absl::Span<const Lifetime> lifetimes) {
  std::vector<std::pair<int, int64_t>> changes;  // by step: before it begins
  for (const Lifetime& lifetime : lifetimes) {
    changes.emplace_back(lifetime.first, lifetime.bytes);
    changes.emplace_back(lifetime.last + 1, -lifetime.bytes);
  }
  std::ranges::sort(changes);  // what ends comes before what begins
  int64_t bytes = 0, most = 0;
  for (const auto& [step, change] : changes) most = std::max(most, bytes += change);
  return most;
}

}  // namespace

MemoryPlan PlanMemory(absl::Span<const Lifetime> lifetimes, int64_t alignment) {
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  plan.least_bytes = LeastBytes(lifetimes);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<size_t> placed;
  for (const size_t i : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;  // [begin, end)
    for (const size_t other : placed) {
      if (!Meet(lifetimes[i], lifetimes[other])) continue;
      taken.emplace_back(plan.offsets[other], plan.offsets[other] + lifetimes[other].bytes);
    }
    std::ranges::sort(taken);
    int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + lifetimes[i].bytes <= begin) break;
      offset = std::max(offset, (end + alignment - 1) / alignment * alignment);
    }
    plan.offsets[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + lifetimes[i].bytes);
    placed.push_back(i);
  }
  return plan;
}

}  // namespace tessera::graph
