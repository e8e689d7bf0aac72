#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "schedule_space/config_space.h"

namespace tessera::space {
namespace {

using Json = nlohmann::json;

// What `value`, of a knob of the same name, is as an option of `knob`: kAnyValue for parts that it
// has not. Nothing where they have nothing in common.
std::optional<Option> OptionOf(const Knob& knob, const Json& value) {
  const auto is_factor = [](const Json& part) {
    return part.is_number_integer() && part.get<int64_t>() >= 0;
  };
  if (knob.is_order) {
    if (!value.is_array()) return std::nullopt;
    Option order;
    for (const Json& part : value) {
      if (!is_factor(part)) return std::nullopt;
      order.push_back(part.get<int64_t>());
    }
    // All orders of so many are options: anything else is none.
    return FindOption(knob, order) < 0 ? std::nullopt : std::make_optional(order);
  }
  Option option(knob.parts.size(), kAnyValue);
  bool is_known = false;
  if (is_factor(value) && option.size() == 1) {
    option[0] = value.get<int64_t>();
    is_known = true;
  } else if (value.is_object()) {
    for (size_t i = 0; i < option.size(); ++i) {
      const auto part = value.find(knob.parts[i]);
      if (part == value.end() || !is_factor(*part)) continue;
      option[i] = part->get<int64_t>();
      is_known = true;
    }
  }
  return is_known ? std::make_optional(option) : std::nullopt;
}

int Likeliest(const Knob& knob, absl::Span<const int> domain) {
  if (knob.weights.empty()) return domain.front();
  return *std::max_element(domain.begin(), domain.end(),
                           [&](int a, int b) { return knob.weights[a] < knob.weights[b]; });
}

}  // namespace

std::optional<Config> ConfigSpace::Nearest(int sketch, Wanted wanted, Otherwise otherwise) const {
  const std::vector<Knob>& knobs = sketches_[sketch].group->knobs();
  Config config(knobs.size() + 1, 0);
  config[0] = sketch;
  for (size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<int>& domain = knobs[k].Domain(absl::MakeConstSpan(config).subspan(1));
    if (domain.empty()) return std::nullopt;
    const std::optional<Option> option = wanted(knobs[k]);
    config[k + 1] = option ? NearestOption(knobs[k], domain, *option) : otherwise(knobs[k], domain);
  }
  return Finish(std::move(config));
}

absl::StatusOr<Config> ConfigSpace::NearestTo(std::string_view text) const {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("sketch") || !json["sketch"].is_string()) {
    return absl::InvalidArgumentError("config: expected a JSON object with a \"sketch\"");
  }
  const std::string name = json["sketch"].get<std::string>();
  const auto sketch = std::find_if(sketches_.begin(), sketches_.end(),
                                   [&](const Sketch& other) { return other.name == name; });
  if (sketch == sketches_.end()) {
    return absl::NotFoundError(absl::StrCat("config: no sketch ", name.substr(0, 60)));
  }
  size_t known = 0;
  const auto wanted = [&](const Knob& knob) -> std::optional<Option> {
    const auto value = json.find(knob.name);
    std::optional<Option> option;
    if (value != json.end()) option = OptionOf(knob, *value);
    known += option.has_value() ? 1 : 0;
    return option;
  };
  std::optional<Config> config;
  if (sketch->weight > 0) {
    config = Nearest(static_cast<int>(sketch - sketches_.begin()), wanted, Likeliest);
  }
  if (!config) return absl::NotFoundError("config: pins rule out what is nearest");
  const size_t knobs = KnobsOf(*config).size();
  if (2 * known < knobs) {
    return absl::NotFoundError(
        absl::StrCat("config: has ", known, " of the ", knobs, " knobs of sketch ", name));
  }
  return *std::move(config);
}

}  // namespace tessera::space
