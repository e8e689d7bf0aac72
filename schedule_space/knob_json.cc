#include "schedule_space/knob_json.h"

#include "absl/strings/str_cat.h"

namespace tessera::space {
namespace {

constexpr int kMaxDepth = 4;  // pins: an object of lists of options of parts
constexpr size_t kMaxShownBytes = 80;

}  // namespace

Json ParseShallowJson(std::string_view text) {
  bool is_deep = false;
  Json json = Json::parse(
      text,
      [&](int depth, Json::parse_event_t, Json&) {
        is_deep = is_deep || depth > kMaxDepth;
        return !is_deep;
      },
      /*allow_exceptions=*/false);
  return is_deep ? Json(Json::value_t::discarded) : json;
}

std::string Shortened(const Json& value) { return value.dump().substr(0, kMaxShownBytes); }

Json OptionToJson(const Knob& knob, const Option& option) {
  if (knob.is_order) return Json(std::vector<int64_t>(option.begin(), option.end()));
  if (option.size() == 1) return option[0];
  Json value = Json::object();
  for (size_t i = 0; i < option.size(); ++i) value[knob.parts[i]] = option[i];
  return value;
}

absl::StatusOr<Option> OptionFromJson(const Knob& knob, const Json& value) {
  const auto refuse = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("knob ", knob.name, " is ", Shortened(value), ", which has not its form"));
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

}  // namespace tessera::space
