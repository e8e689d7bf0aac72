#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "schedule_space/config_space.h"

namespace tessera::space {
namespace {

constexpr int kDescents = 8000;
constexpr int kOrdersEach = 40;
constexpr double kCountAllUpTo = 20'000;
constexpr uint64_t kSeed = 1975;

}  // namespace

class SpaceCounter {
 public:
  explicit SpaceCounter(const ConfigSpace& space) : space_(space) {}

  // Canonical configs of a sketch, counted one by one; none if there are too many to.
  std::optional<double> CountAll(int sketch) const {
    Config config = space_.First(sketch);
    double visited = 0, canonical = 0;
    do {
      if (++visited > kCountAllUpTo) return std::nullopt;
      canonical += space_.IsCanonical(config) ? 1 : 0;
    } while (space_.Advance(config));
    return canonical;
  }

  // One random descent: the product of the domain sizes, times the fraction of canonical configs
  // among those that differ in orders of loops only (which most of the others are).
  double Descend(int sketch, Rng& rng) const {
    const std::vector<Knob>& knobs = Knobs(sketch);
    Config config(knobs.size() + 1, 0);
    config[0] = sketch;
    double product = 1;
    for (size_t k = 0; k < knobs.size(); ++k) {
      const std::vector<int>& domain = knobs[k].Domain(absl::MakeConstSpan(config).subspan(1));
      product *= static_cast<double>(domain.size());
      config[k + 1] = domain[rng.Below(domain.size())];
    }
    int canonical = 0;
    for (int i = 0; i < kOrdersEach; ++i) {
      for (size_t k = 0; k < knobs.size(); ++k) {
        if (knobs[k].is_order) config[k + 1] = static_cast<int>(rng.Below(knobs[k].options.size()));
      }
      canonical += space_.IsCanonical(config) ? 1 : 0;
    }
    return product * canonical / kOrdersEach;
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
    absl::StrAppendFormat(&text, "sketch %s\n", sketch.name);
    for (const schedule::Step& step : sketch.structure) {
      absl::StrAppendFormat(&text, "  %s %s %s\n", std::string(schedule::ToString(step.primitive)),
                            step.stage, absl::StrJoin(step.names, " "));
    }
    for (const Knob& knob : sketch.group->knobs()) {
      size_t least = knob.options.size(), most = 0;
      for (const auto& [key, domain] : knob.domains) {
        least = std::min(least, domain.size());
        most = std::max(most, domain.size());
      }
      absl::StrAppendFormat(&text, "  %-16s {%s}: %d options", knob.name,
                            absl::StrJoin(knob.parts, ", "), knob.options.size());
      if (!knob.controls.empty())
        absl::StrAppendFormat(&text, ", %d to %d open at a time", least, most);
      text += "\n";
    }
  }
  return text;
}

}  // namespace tessera::space
