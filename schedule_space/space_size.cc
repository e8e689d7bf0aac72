#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "schedule_space/config_space.h"

namespace tessera::space {
namespace {

constexpr int kDescents = 8000;
constexpr int kOrdersEach = 40;
constexpr double kCountAllUpTo = 20'000;        // choices
constexpr double kCountPinnedUpTo = 2'000'000;  // pins are set for spaces to be gone through: 2 s
constexpr uint64_t kSeed = 1975;

}  // namespace

class SpaceCounter {
 public:
  explicit SpaceCounter(const ConfigSpace& space) : space_(space) {}

  // Configs of a sketch, counted one by one; none if there are too many choices to.
  std::optional<double> CountAll(int sketch) const {
    const double most = space_.is_pinned() ? kCountPinnedUpTo : kCountAllUpTo;
    std::optional<Config> choices = space_.FirstChoice(sketch);
    double visited = 0, configs = 0;
    while (choices) {
      if (++visited > most) return std::nullopt;
      configs += space_.MadeBy(*choices) ? 1 : 0;
      if (!space_.Advance(*choices)) break;
    }
    return configs;
  }

  // One random descent: the product of the domain sizes, times the fraction of those that make a
  // config among the choices that differ in orders of loops only (which most of the others do).
  double Descend(int sketch, Rng& rng) const {
    const std::vector<Knob>& knobs = Knobs(sketch);
    Config config(knobs.size() + 1, 0);
    config[0] = sketch;
    double product = 1;
    for (size_t k = 0; k < knobs.size(); ++k) {
      const std::vector<int>& domain = knobs[k].Domain(absl::MakeConstSpan(config).subspan(1));
      if (domain.empty()) return 0;
      product *= static_cast<double>(domain.size());
      config[k + 1] = domain[rng.Below(domain.size())];
    }
    int made = 0;
    for (int i = 0; i < kOrdersEach; ++i) {
      for (size_t k = 0; k < knobs.size(); ++k) {
        if (!knobs[k].is_order) continue;
        const std::vector<int>& domain = knobs[k].Domain(absl::MakeConstSpan(config).subspan(1));
        config[k + 1] = domain[rng.Below(domain.size())];
      }
      made += space_.MadeBy(config) ? 1 : 0;
    }
    return product * made / kOrdersEach;
  }

 private:
  const std::vector<Knob>& Knobs(int sketch) const {
    return space_.sketches()[sketch].group->knobs();
  }

  const ConfigSpace& space_;
};

SpaceSize ConfigSpace::Size() const {
  SpaceSize size;
  size.exact = true;
  double variance = 0;
  for (size_t s = 0; s < sketches_.size(); ++s) {
    if (sketches_[s].weight <= 0) continue;
    const SpaceCounter counter(*this);
    if (const std::optional<double> counted = counter.CountAll(static_cast<int>(s))) {
      size.configs += *counted;
      continue;
    }
    size.exact = false;
    Rng rng(kSeed + s);
    double sum = 0, squares = 0;
    for (int i = 0; i < kDescents; ++i) {
      const double value = counter.Descend(static_cast<int>(s), rng);
      sum += value;
      squares += value * value;
    }
    const double mean = sum / kDescents;
    size.configs += mean;
    variance += (squares / kDescents - mean * mean) / kDescents;
  }
  size.standard_error = std::sqrt(std::max(0.0, variance));
  return size;
}

std::string DescribeSpace(const ConfigSpace& space) {
  const SpaceSize size = space.Size();
  std::string text = size.exact
                         ? absl::StrFormat("%.0f configs (counted)\n", size.configs)
                         : absl::StrFormat(
                               "%.3g configs (estimated by %d random descents, standard error "
                               "%.2g)\n",
                               size.configs, kDescents, size.standard_error);
  for (const Sketch& sketch : space.sketches()) {
    if (sketch.weight <= 0) {
      absl::StrAppendFormat(&text, "sketch %s: closed by pins\n", sketch.name);
      continue;
    }
    absl::StrAppendFormat(&text, "sketch %s\n", sketch.name);
    for (const schedule::Step& step : sketch.structure) {
      absl::StrAppendFormat(&text, "  %s %s %s\n", std::string(schedule::ToString(step.primitive)),
                            step.stage, absl::StrJoin(step.names, " "));
    }
    for (const Knob& knob : sketch.group->knobs()) {
      size_t least = knob.options.size(), most = 0;
      absl::flat_hash_set<int> open;
      for (const auto& [key, domain] : knob.domains) {
        if (domain.empty()) continue;  // what is pinned leads never there
        least = std::min(least, domain.size());
        most = std::max(most, domain.size());
        open.insert(domain.begin(), domain.end());
      }
      absl::StrAppendFormat(&text, "  %-16s {%s}: ", knob.name, absl::StrJoin(knob.parts, ", "));
      if (open.size() < knob.options.size()) absl::StrAppendFormat(&text, "%d of ", open.size());
      absl::StrAppendFormat(&text, "%d options", knob.options.size());
      if (!knob.controls.empty())
        absl::StrAppendFormat(&text, ", %d to %d open at a time", least, most);
      text += "\n";
    }
  }
  return text;
}

}  // namespace tessera::space
