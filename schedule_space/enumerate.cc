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

// The next option of a knob's domain; false after the last.
bool Step(const Knob& knob, size_t k, Config& choices) {
  const std::vector<int>& domain = knob.Domain(Choices(choices));
  const auto found = std::find(domain.begin(), domain.end(), choices[k + 1]);
  if (found == domain.end() || found + 1 == domain.end()) return false;
  choices[k + 1] = *(found + 1);
  return true;
}

// Sets digits from the given one on to their first options. Where a domain is empty, a digit before
// it steps on; false when none can.
bool Fill(const std::vector<Knob>& knobs, absl::Span<const size_t> digits, size_t d,
          Config& choices) {
  while (d < digits.size()) {
    const std::vector<int>& domain = knobs[digits[d]].Domain(Choices(choices));
    if (!domain.empty()) {
      choices[digits[d++] + 1] = domain.front();
      continue;
    }
    do {
      if (d-- == 0) return false;
    } while (!Step(knobs[digits[d]], digits[d], choices));
    ++d;
  }
  return true;
}

}  // namespace

std::vector<Config> ConfigSpace::Neighbours(const Config& config) const {
  std::vector<Config> neighbours;
  absl::flat_hash_set<Config> seen = {config};
  const Config choices = ChoicesOf(config).value_or(config);
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (size_t k = 0; k < knobs.size(); ++k) {
    for (const NearOption& other :
         NearOptions(knobs[k], knobs[k].Domain(Choices(choices)), choices[k + 1])) {
      Config moved = choices;
      moved[k + 1] = other.option;
      std::optional<Config> neighbour = Repair(std::move(moved));
      if (neighbour && seen.insert(*neighbour).second) {
        neighbours.push_back(*std::move(neighbour));
      }
    }
  }
  return neighbours;
}

std::optional<Config> ConfigSpace::Next(const Config& config) const {
  int sketch = config.empty() ? -1 : config[0];
  std::optional<Config> choices;
  if (!config.empty()) choices = ChoicesOf(config);
  for (int tried = 0; tried < kMaxTried; ++tried) {
    if (!choices || !Advance(*choices)) {
      do {
        if (++sketch == static_cast<int>(sketches_.size())) return std::nullopt;
      } while (sketches_[sketch].weight <= 0);
      choices = FirstChoice(sketch);
      if (!choices) continue;
    }
    if (std::optional<Config> next = MadeBy(*choices)) return next;
  }
  return std::nullopt;
}

std::optional<Config> ConfigSpace::FirstChoice(int sketch) const {
  const std::vector<Knob>& knobs = sketches_[sketch].group->knobs();
  Config choices(knobs.size() + 1, 0);
  choices[0] = sketch;
  return Fill(knobs, Digits(knobs), 0, choices) ? std::make_optional(std::move(choices))
                                                : std::nullopt;
}

bool ConfigSpace::Advance(Config& choices) const {
  const std::vector<Knob>& knobs = KnobsOf(choices);
  const auto digits = Digits(knobs);
  size_t d = digits.size();
  do {
    if (d-- == 0) return false;
  } while (!Step(knobs[digits[d]], digits[d], choices));
  return Fill(knobs, digits, d + 1, choices);
}

}  // namespace tessera::space
