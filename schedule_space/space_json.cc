#include <nlohmann/json.hpp>

#include "base/status.h"
#include "schedule_space/config_space.h"

namespace tessera::space {
namespace {

using Json = nlohmann::ordered_json;

Json ToJsonValue(const Knob& knob, const Option& option) {
  if (knob.is_order) return Json(std::vector<int64_t>(option.begin(), option.end()));
  if (option.size() == 1) return option[0];
  Json value = Json::object();
  for (size_t i = 0; i < option.size(); ++i) value[knob.parts[i]] = option[i];
  return value;
}

absl::StatusOr<Option> FromJsonValue(const Knob& knob, const Json& value) {
  const auto refuse = [&] {
    return absl::InvalidArgumentError(absl::StrCat("config: knob ", knob.name, " is ",
                                                   value.dump().substr(0, 80),
                                                   ", which has not its form"));
  };
  Option option;
  if (value.is_number_integer()) {
    option.push_back(value.get<int64_t>());
  } else if (value.is_array() && knob.is_order) {
    for (const Json& part : value) {
      if (!part.is_number_integer()) return refuse();
      option.push_back(part.get<int64_t>());
    }
  } else if (value.is_object() && value.size() == knob.parts.size()) {
    for (const std::string& part : knob.parts) {
      const auto found = value.find(part);
      if (found == value.end() || !found->is_number_integer()) return refuse();
      option.push_back(found->get<int64_t>());
    }
  } else {
    return refuse();
  }
  return option;
}

}  // namespace

std::string ConfigSpace::ToJson(const Config& config) const {
  Json json = {{"sketch", sketches_[config[0]].name}};
  const std::vector<Knob>& knobs = KnobsOf(config);
  for (size_t k = 0; k < knobs.size(); ++k) {
    json[knobs[k].name] = ToJsonValue(knobs[k], knobs[k].options[config[k + 1]]);
  }
  return json.dump();
}

absl::StatusOr<Config> ConfigSpace::FromJson(std::string_view text) const {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
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
  if (json.size() != knobs.size() + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: ", json.size() - 1, " knobs; sketch ", name, " has ", knobs.size()));
  }
  for (const Knob& knob : knobs) {
    const auto found = json.find(knob.name);
    if (found == json.end()) {
      return absl::InvalidArgumentError(absl::StrCat("config: knob ", knob.name, " is missing"));
    }
    TESSERA_ASSIGN_OR_RETURN(const Option option, FromJsonValue(knob, *found));
    const int index = FindOption(knob, option);
    if (index < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("config: knob ", knob.name, " has no option ", found->dump().substr(0, 80)));
    }
    config.push_back(index);
  }
  TESSERA_RETURN_IF_ERROR(Validate(config));
  return config;
}

}  // namespace tessera::space
