#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_set.h"
#include "schedule_space/config_space.h"

namespace tessera::space {
namespace {

constexpr int kMaxTried = 1 << 18;  // choices that stand for others, on end

absl::Span<const int> Choices(const Config& config) {
  return absl::MakeConstSpan(config).subspan(1);
}

// Knobs from the slowest to the fastest. Orders, of which most stand for others whatever comes
// after them, are slowest: in their usual places they would make long runs without a config.
absl::InlinedVector<size_t, 32> Digits(const std::vector<Knob>& knobs) {
  absl::InlinedVector<size_t, 32> digits(knobs.size());
  std::iota(digits.begin(), digits.end(), 0);
  std::stable_partition(digits.begin(), digits.end(),
                        [&](size_t k) { return knobs[k].is_order && knobs[k].controls.empty(); });
  return digits;
}

}  // namespace

std::vector<Config> ConfigSpace::Neighbours(const Config& config) const {
  std::vector<Config> neighbours;
  absl::flat_hash_set<Config> seen = {config};
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (size_t k = 0; k < knobs.size(); ++k) {
    for (const NearOption& other :
         NearOptions(knobs[k], knobs[k].Domain(Choices(config)), config[k + 1])) {
      Config moved = config;
      moved[k + 1] = other.option;
      Repair(moved);
      if (seen.insert(moved).second) neighbours.push_back(std::move(moved));
    }
  }
  return neighbours;
}

std::optional<Config> ConfigSpace::Next(const Config& config) const {
  Config next = config;
  for (int tried = 0; tried < kMaxTried; ++tried) {
    if (next.empty() || !Advance(next)) {
      const int sketch = next.empty() ? 0 : next[0] + 1;
      if (sketch == static_cast<int>(sketches_.size())) return std::nullopt;
      next = First(sketch);
    }
    if (IsCanonical(next)) return next;
  }
  return std::nullopt;
}

Config ConfigSpace::First(int sketch) const {
  const std::vector<Knob>& knobs = sketches_[sketch].group->knobs();
  Config config(knobs.size() + 1, 0);
  config[0] = sketch;
  for (size_t k : Digits(knobs)) config[k + 1] = knobs[k].Domain(Choices(config)).front();
  return config;
}

bool ConfigSpace::Advance(Config& config) const {
  const std::vector<Knob>& knobs = KnobsOf(config);
  const auto digits = Digits(knobs);
  for (size_t d = digits.size(); d-- > 0;) {
    const std::vector<int>& domain = knobs[digits[d]].Domain(Choices(config));
    int& chosen = config[digits[d] + 1];
    const auto after = std::find(domain.begin(), domain.end(), chosen) + 1;
    if (after == domain.end()) continue;
    chosen = *after;
    for (++d; d < digits.size(); ++d) {
      config[digits[d] + 1] = knobs[digits[d]].Domain(Choices(config)).front();
    }
    return true;
  }
  return false;
}

bool ConfigSpace::IsCanonical(const Config& config) const {
  Config canonical = config;
  Canonicalize(canonical);
  return canonical == config;
}

}  // namespace tessera::space
