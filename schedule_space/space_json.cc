#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "schedule_space/config_space.h"
#include "schedule_space/knob_json.h"

namespace tessera::space {

std::string ConfigSpace::ToJson(const Config& config) const {
  Json json = {{"sketch", sketches_[config[0]].name}};
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (size_t k = 0; k < knobs.size(); ++k) {
    json[knobs[k].name] = OptionToJson(knobs[k], knobs[k].options[config[k + 1]]);
  }
  return json.dump();
}

absl::StatusOr<Config> ConfigSpace::FromJson(std::string_view text) const {
  const Json json = ParseShallowJson(text);
  if (!json.is_object() || !json.contains("sketch") || !json["sketch"].is_string()) {
    return absl::InvalidArgumentError("config: expected a JSON object with a \"sketch\"");
  }
  const std::string name = json["sketch"].get<std::string>();
  Config config;
  for (size_t s = 0; s < sketches_.size(); ++s) {
    if (sketches_[s].name == name) config.push_back(static_cast<int>(s));
  }
  if (config.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("config: no sketch ", name.substr(0, 60)));
  }
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (const auto& [key, value] : json.items()) {
    if (key == "sketch" || std::ranges::find(knobs, key, &Knob::name) != knobs.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("config: sketch ", name, " has no knob ", key.substr(0, 60), "; it has ",
                     absl::StrJoin(knobs, ", ", [](std::string* text, const Knob& knob) {
                       absl::StrAppend(text, knob.name);
                     })));
  }
  for (const Knob& knob : knobs) {
    const auto found = json.find(knob.name);
    if (found == json.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("config: knob ", knob.name, " is missing; sketch ", name, " needs it"));
    }
    const absl::StatusOr<Option> option = OptionFromJson(knob, *found);
    if (!option.ok()) return Annotate(option.status(), "config");
    const int index = FindOption(knob, *option);
    if (index < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("config: knob ", knob.name, " has no option ", Shortened(*found)));
    }
    config.push_back(index);
  }
  TESSERA_RETURN_IF_ERROR(Validate(config));
  return config;
}

}  // namespace tessera::space
