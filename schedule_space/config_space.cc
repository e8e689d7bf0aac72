#include "schedule_space/config_space.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"

namespace tessera::space {
namespace {

constexpr double kChangeSketch = 0.05;
constexpr double kCarryOver = 0.6;  // of these moves; the others sample
constexpr double kJump = 0.1;       // to any option of the domain
constexpr int kMutationTries = 32;
// Only in pinned spaces a draw may come to nothing.
constexpr int kDrawTries = 1000;

absl::Span<const int> Choices(const Config& config) {
  return absl::MakeConstSpan(config).subspan(1);
}

int DrawOption(const std::vector<double>& weights, absl::Span<const int> domain, Rng& rng) {
  if (weights.empty()) return domain[rng.Below(domain.size())];
  double total = 0;
  for (int option : domain) total += weights[option];
  double at = rng.Uniform() * total;
  for (int option : domain) {
    at -= weights[option];
    if (at < 0) return option;
  }
  return domain.back();
}

// Another option of the domain, near ones likelier. `current` if there is no other.
int Move(const Knob& knob, absl::Span<const int> domain, int current, Rng& rng) {
  if (domain.size() < 2) return current;
  if (rng.Chance(kJump)) {
    const int option = domain[rng.Below(domain.size())];
    if (option != current) return option;
  }
  const auto near = NearOptions(knob, domain, current);
  const auto weight = [](const NearOption& other) {
    return 1 / ((0.5 + other.distance) * (0.5 + other.distance));
  };
  double total = 0;
  for (const NearOption& other : near) total += weight(other);
  double at = rng.Uniform() * total;
  for (const NearOption& other : near) {
    at -= weight(other);
    if (at < 0) return other.option;
  }
  return near.back().option;
}

}  // namespace

ConfigSpace::ConfigSpace(ir::Target target, std::vector<Sketch> sketches, bool is_pinned)
    : target_(std::move(target)), sketches_(std::move(sketches)), is_pinned_(is_pinned) {
  TESSERA_CHECK(!sketches_.empty());
}

const std::vector<Knob>& ConfigSpace::KnobsOf(const Config& config) const {
  return sketches_[config[0]].group->knobs();
}

int ConfigSpace::SampleSketchIndex(Rng& rng) const {
  double total = 0;
  for (const Sketch& sketch : sketches_) total += sketch.weight;
  double at = rng.Uniform() * total;
  int open = 0;
  for (size_t i = 0; i < sketches_.size(); ++i) {
    if (sketches_[i].weight <= 0) continue;
    open = static_cast<int>(i);
    at -= sketches_[i].weight;
    if (at < 0) break;
  }
  return open;
}

std::optional<Config> ConfigSpace::Draw(int sketch, Rng& rng) const {
  const std::vector<Knob>& knobs = sketches_[sketch].group->knobs();
  Config choices(knobs.size() + 1, 0);
  choices[0] = sketch;
  for (size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<int>& domain = knobs[k].Domain(Choices(choices));
    if (domain.empty()) return std::nullopt;
    choices[k + 1] = DrawOption(knobs[k].weights, domain, rng);
  }
  return Finish(std::move(choices));
}

Config ConfigSpace::SampleSketch(int sketch, Rng& rng) const {
  for (int attempt = 0; attempt < kDrawTries; ++attempt) {
    if (std::optional<Config> drawn = Draw(sketch, rng)) return *std::move(drawn);
  }
  std::optional<Config> choices = FirstChoice(sketch);
  while (choices && !MadeBy(*choices) && Advance(*choices)) continue;
  TESSERA_CHECK(choices && MadeBy(*choices));  // by the constructor's contract
  return *MadeBy(*choices);
}

Config ConfigSpace::Sample(Rng& rng) const { return SampleSketch(SampleSketchIndex(rng), rng); }

void ConfigSpace::Canonicalize(Config& config) const {
  sketches_[config[0]].group->Canonicalize(absl::MakeSpan(config).subspan(1));
}

std::optional<Config> ConfigSpace::Finish(Config choices) const {
  Canonicalize(choices);
  if (is_pinned_ && !ChoicesOf(choices)) return std::nullopt;
  return choices;
}

std::optional<Config> ConfigSpace::Repair(Config choices) const {
  const std::vector<Knob>& knobs = KnobsOf(choices);
  for (size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<int>& domain = knobs[k].Domain(Choices(choices));
    int& chosen = choices[k + 1];
    if (std::find(domain.begin(), domain.end(), chosen) != domain.end()) continue;
    if (domain.empty()) return std::nullopt;
    chosen = NearestOption(knobs[k], domain, knobs[k].options[chosen]);
  }
  return Finish(std::move(choices));
}

std::optional<Config> ConfigSpace::ChoicesOf(const Config& config) const {
  if (!is_pinned_) return config;
  if (sketches_[config[0]].weight <= 0) return std::nullopt;
  Config choices = config;
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<int>& domain = knobs[k].Domain(Choices(choices));
    if (std::find(domain.begin(), domain.end(), choices[k + 1]) != domain.end()) continue;
    // Another option may stand for this one here: an order of loops of which some don't exist.
    const auto stands = std::find_if(domain.begin(), domain.end(), [&](int option) {
      Config other = choices;
      other[k + 1] = option;
      Canonicalize(other);
      return other == config;
    });
    if (stands == domain.end()) return std::nullopt;
    choices[k + 1] = *stands;
  }
  return choices;
}

std::optional<Config> ConfigSpace::MadeBy(const Config& choices) const {
  Config config = choices;
  Canonicalize(config);
  if (is_pinned_ ? ChoicesOf(config) != choices : config != choices) return std::nullopt;
  return config;
}

Config ConfigSpace::Mutate(const Config& config, Rng& rng) const {
  const Config choices = ChoicesOf(config).value_or(config);
  for (int attempt = 0; attempt < kMutationTries; ++attempt) {
    std::optional<Config> changed = choices;
    if (sketches_.size() > 1 && rng.Chance(kChangeSketch)) {
      changed =
          rng.Chance(kCarryOver) ? CarryOver(config, SampleSketchIndex(rng), rng) : Sample(rng);
    } else {
      const std::vector<Knob>& knobs = KnobsOf(config);
      if (knobs.empty()) break;
      const size_t k = rng.Below(knobs.size());
      (*changed)[k + 1] = Move(knobs[k], knobs[k].Domain(Choices(choices)), choices[k + 1], rng);
      changed = Repair(*std::move(changed));
    }
    if (changed && *changed != config) return *std::move(changed);
  }
  return Sample(rng);
}

Config ConfigSpace::Jump(const Config& config, Rng& rng) const {
  const Config choices = ChoicesOf(config).value_or(config);
  const std::vector<Knob>& knobs = KnobsOf(config);
  const size_t moves = knobs.size() + (sketches_.size() > 1 ? 1 : 0);
  for (int attempt = 0; moves > 0 && attempt < kMutationTries; ++attempt) {
    std::optional<Config> changed;
    const size_t k = rng.Below(moves);
    if (k < knobs.size()) {
      changed = choices;
      const std::vector<int>& domain = knobs[k].Domain(Choices(choices));
      (*changed)[k + 1] = domain[rng.Below(domain.size())];
      changed = Repair(*std::move(changed));
    } else {
      const auto sketch = static_cast<int>(rng.Below(sketches_.size()));
      if (sketches_[sketch].weight > 0) changed = CarryOver(config, sketch, rng);
    }
    if (changed && *changed != config) return *std::move(changed);
  }
  return Sample(rng);
}

std::optional<Config> ConfigSpace::CarryOver(const Config& config, int sketch, Rng& rng) const {
  if (sketch == config[0]) return config;
  const std::vector<Knob>& from = KnobsOf(config);
  return Nearest(
      sketch,
      [&](const Knob& knob) -> std::optional<Option> {
        const auto same = std::find_if(from.begin(), from.end(), [&](const Knob& other) {
          return other.name == knob.name && other.parts == knob.parts;
        });
        if (same == from.end()) return std::nullopt;
        return same->options[config[same - from.begin() + 1]];
      },
      [&](const Knob& knob, absl::Span<const int> domain) {
        return DrawOption(knob.weights, domain, rng);
      });
}

Config ConfigSpace::Crossover(const Config& a, const Config& b, Rng& rng) const {
  const std::optional<Config> carried = a[0] == b[0] ? b : CarryOver(b, a[0], rng);
  if (!carried) return a;
  Config child = ChoicesOf(a).value_or(a);
  const Config other = ChoicesOf(*carried).value_or(*carried);
  for (size_t k = 1; k < child.size(); ++k) {
    if (rng.Chance(0.5)) child[k] = other[k];
  }
  return Repair(std::move(child)).value_or(a);
}

absl::Status ConfigSpace::Validate(const Config& config) const {
  if (config.empty() || config[0] < 0 || config[0] >= static_cast<int>(sketches_.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: sketch ", config.empty() ? -1 : config[0], " of ", sketches_.size()));
  }
  const std::vector<Knob>& knobs = sketches_[config[0]].group->whole().knobs();
  if (config.size() != knobs.size() + 1) {
    return absl::InvalidArgumentError(absl::StrCat("config: ", config.size() - 1,
                                                   " choices; sketch ", sketches_[config[0]].name,
                                                   " has ", knobs.size(), " knobs"));
  }
  for (size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<int>& domain = knobs[k].Domain(Choices(config));
    if (std::find(domain.begin(), domain.end(), config[k + 1]) == domain.end()) {
      return absl::InvalidArgumentError(absl::StrCat("config: knob ", knobs[k].name, " has option ",
                                                     config[k + 1],
                                                     ", which the knobs before it rule out"));
    }
  }
  if (!ChoicesOf(config)) return absl::InvalidArgumentError("config: pins rule it out");
  return absl::OkStatus();
}

absl::StatusOr<schedule::Schedule> ConfigSpace::ToSchedule(const Config& config) const {
  return Build(config, sketches_[config[0]].group->Decide(Choices(config)));
}

absl::StatusOr<schedule::Schedule> ConfigSpace::Build(const Config& config,
                                                      Decisions decisions) const {
  schedule::Schedule schedule = *sketches_[config[0]].base;
  for (auto& [buffer, layout] : decisions.layouts) {
    TESSERA_RETURN_IF_ERROR(schedule.SetLayout(buffer, std::move(layout)));
  }
  TESSERA_RETURN_IF_ERROR(schedule.Apply(decisions.steps));
  for (schedule::Nest& nest : decisions.nests) schedule.SetNest(std::move(nest));
  return schedule;
}

absl::StatusOr<schedule::Trace> ConfigSpace::ToTrace(const Config& config) const {
  const Sketch& sketch = sketches_[config[0]];
  const Decisions decisions = sketch.group->Decide(Choices(config));
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, Build(config, decisions));
  schedule::Trace trace = sketch.structure;
  for (const auto& [buffer, layout] : decisions.layouts) {
    trace.push_back({schedule::Primitive::kLayout,
                     buffer->name,
                     {},
                     {},
                     ir::LayoutToString(layout, buffer->shape)});
  }
  trace.insert(trace.end(), decisions.steps.begin(), decisions.steps.end());
  for (const schedule::Nest& nest : decisions.nests) {
    const schedule::Trace steps = schedule::StepsOf(schedule, nest.stage);
    trace.insert(trace.end(), steps.begin(), steps.end());
  }
  return trace;
}

}  // namespace tessera::space
