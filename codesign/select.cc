#include "codesign/select.h"

#include <algorithm>
#include <set>

namespace tessera::codesign {
namespace {

// Takes candidates in turn, each once.
class Selection {
 public:
  explicit Selection(size_t limit) : limit_(limit) {}

  void Take(absl::Span<const size_t> places, size_t count) {
    for (const size_t place : places) {
      if (count == 0 || taken_.size() == limit_) return;
      if (!seen_.insert(place).second) continue;
      taken_.push_back(place);
      --count;
    }
  }
  std::vector<size_t> taken() && { return std::move(taken_); }

 private:
  const size_t limit_;
  std::set<size_t> seen_;
  std::vector<size_t> taken_;
};

std::vector<size_t> Spread(absl::Span<const size_t> places, size_t count) {
  std::vector<size_t> spread;
  if (count == 1) spread.push_back(places.front());
  for (size_t i = 0; i < count && count > 1; ++i) {
    spread.push_back(places[i * (places.size() - 1) / (count - 1)]);
  }
  return spread;
}

}  // namespace

bool IsWithin(const Resources& a, const Resources& limit) {
  return a.dsps <= limit.dsps && a.bram18s <= limit.bram18s && a.luts <= limit.luts;
}

bool HasSameClock(const Variant& a, const Variant& b) {
  return a.megahertz == b.megahertz && a.stages == b.stages && a.bus_bits == b.bus_bits;
}

std::vector<size_t> SelectCandidates(absl::Span<const Candidate> all, size_t default_place,
                                     size_t count) {
  const Candidate& base = all[default_place];
  std::vector<Costs> costs;
  std::vector<size_t> fastest(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const Candidate& one = all[i];
    costs.push_back({one.seconds, one.joules, static_cast<double>(one.resources.dsps),
                     static_cast<double>(one.resources.bram18s),
                     static_cast<double>(one.resources.luts)});
    fastest[i] = i;
  }
  std::ranges::stable_sort(fastest, {}, [&](size_t i) { return all[i].seconds; });
  const auto filter = [&](const auto& keeps) {
    std::vector<size_t> kept;
    std::ranges::copy_if(fastest, std::back_inserter(kept), keeps);
    return kept;
  };
  std::vector<bool> is_on_front(all.size(), false);
  for (const size_t i : FirstFront(costs)) is_on_front[i] = true;
  const std::vector<size_t> front = filter([&](size_t i) { return is_on_front[i]; });
  const std::vector<size_t> within =
      filter([&](size_t i) { return IsWithin(all[i].resources, base.resources); });
  std::vector<size_t> same_clock = within;
  std::erase_if(same_clock, [&](size_t i) { return !HasSameClock(all[i].variant, base.variant); });

  Selection selection(count);
  selection.Take({default_place}, 1);
  selection.Take(Spread(front, std::min(front.size(), count / 2)), count);
  selection.Take(same_clock, count / 4);
  selection.Take(within, count / 4);
  selection.Take(fastest, count);
  return std::move(selection).taken();
}

}  // namespace tessera::codesign
