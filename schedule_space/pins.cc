#include "schedule_space/pins.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "schedule_space/knob_json.h"

namespace tessera::space {
namespace {

constexpr char kSketch[] = "sketch";
constexpr char kConfigs[] = "configs";
constexpr size_t kMaxListed = 32;      // of what there is, in a message
constexpr size_t kMaxShownBytes = 60;  // of a name that does not exist

absl::Status Refuse(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("pins: ", why));
}

template <typename T>
std::string Listed(const std::set<T>& all) {
  std::vector<T> shown(all.begin(), all.end());
  if (shown.size() <= kMaxListed) return absl::StrJoin(shown, ", ");
  shown.resize(kMaxListed);
  return absl::StrCat(absl::StrJoin(shown, ", "), ", …");
}

class PinnedGroup final : public Group {
 public:
  PinnedGroup(std::shared_ptr<const Group> whole, std::vector<Knob> knobs)
      : whole_(std::move(whole)), knobs_(std::move(knobs)) {}

  const std::vector<Knob>& knobs() const override { return knobs_; }
  const Group& whole() const override { return whole_->whole(); }
  void Canonicalize(absl::Span<int> choices) const override { whole_->Canonicalize(choices); }
  Decisions Decide(absl::Span<const int> choices) const override { return whole_->Decide(choices); }

 private:
  const std::shared_ptr<const Group> whole_;
  const std::vector<Knob> knobs_;
};

// What is said of a knob, or of a part of its options, and what of it any sketch has.
struct Pinned {
  std::string name;
  std::vector<Json> values;
  bool is_knob = false;
  std::set<int64_t> numbers;  // that it may be, if it is one
  std::vector<bool> is_option = std::vector<bool>(values.size(), false);
};

// The knob that a name means, and the part of its options; -1: all of an option.
struct Meaning {
  size_t knob = 0;
  int part = -1;
};

std::optional<Meaning> Find(const std::vector<Knob>& knobs, const std::string& name) {
  for (size_t k = 0; k < knobs.size(); ++k) {
    if (knobs[k].name == name) return Meaning{k, -1};
  }
  for (size_t k = 0; k < knobs.size(); ++k) {
    for (size_t p = 0; p < knobs[k].parts.size(); ++p) {
      if (absl::StrCat(knobs[k].name, ".", knobs[k].parts[p]) == name) {
        return Meaning{k, static_cast<int>(p)};
      }
    }
  }
  return std::nullopt;
}

// Closes the options of the knob that the pin does not list.
absl::Status Apply(Pinned& pin, const Meaning& meaning, Knob& knob) {
  pin.is_knob = true;
  std::vector<bool> is_listed(knob.options.size(), false);
  const bool is_number = meaning.part >= 0 || knob.parts.size() == 1;
  for (const Option& option : knob.options) {
    if (is_number) pin.numbers.insert(option[std::max(0, meaning.part)]);
  }
  for (size_t v = 0; v < pin.values.size(); ++v) {
    const Json& value = pin.values[v];
    const auto take = [&](size_t option) { is_listed[option] = pin.is_option[v] = true; };
    if (meaning.part >= 0) {
      if (!value.is_number_integer()) {
        return Refuse(
            absl::StrCat(pin.name, " may be ", Shortened(value), "; expected a whole number"));
      }
      for (size_t o = 0; o < knob.options.size(); ++o) {
        if (knob.options[o][meaning.part] == value.get<int64_t>()) take(o);
      }
      continue;
    }
    const absl::StatusOr<Option> option = OptionFromJson(knob, value);
    if (!option.ok()) return Annotate(option.status(), "pins");
    if (const int index = FindOption(knob, *option); index >= 0) take(index);
  }
  for (auto& [key, domain] : knob.domains) {
    std::erase_if(domain, [&](int option) { return !is_listed[option]; });
  }
  return absl::OkStatus();
}

// Closes what leaves nothing open for a later knob, so that drawing and going through the choices
// meets few dead ends, or none: whose options are the last that a domain depends on, and know the
// one before them, lose those.
void CloseDeadEnds(std::vector<Knob>& knobs) {
  for (size_t k = knobs.size(); k-- > 0;) {
    const Knob& later = knobs[k];
    if (later.controls.empty() ||
        std::none_of(later.domains.begin(), later.domains.end(),
                     [](const auto& domain) { return domain.second.empty(); })) {
      continue;
    }
    const Knob::Control &first = later.controls.front(), &last = later.controls.back();
    Knob& chosen = knobs[last.knob];
    if (later.controls.size() == 1) {
      for (auto& [key, domain] : chosen.domains) {
        std::erase_if(domain, [&](int o) { return later.domains.at(last.factor[o]).empty(); });
      }
    } else if (later.controls.size() == 2 && chosen.controls.size() == 1 &&
               chosen.controls[0].knob == first.knob &&
               chosen.domains.size() == knobs[first.knob].options.size()) {  // a domain for each
      for (size_t f = 0; f < first.factor.size(); ++f) {
        std::erase_if(chosen.domains.at(chosen.controls[0].factor[f]), [&](int o) {
          return later.domains.at(first.factor[f] * last.factor[o]).empty();
        });
      }
    }
  }
}

absl::StatusOr<std::vector<Json>> List(const std::string& name, const Json& value) {
  if (value.is_array() && !value.empty()) return std::vector<Json>(value.begin(), value.end());
  return Refuse(absl::StrCat(name.substr(0, kMaxShownBytes), " is ", Shortened(value),
                             "; expected a list of what it may be"));
}

// By sketch, whether its name is listed.
absl::StatusOr<std::vector<bool>> ListedSketches(const ConfigSpace& space, const Json& pins) {
  std::vector<bool> is_listed(space.sketches().size(), !pins.contains(kSketch));
  if (!pins.contains(kSketch)) return is_listed;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Json> names, List(kSketch, pins[kSketch]));
  for (const Json& name : names) {
    bool is_known = false;
    std::set<std::string> known;
    for (size_t s = 0; s < is_listed.size(); ++s) {
      known.insert(space.sketches()[s].name);
      if (!name.is_string() || name.get<std::string>() != space.sketches()[s].name) continue;
      is_listed[s] = is_known = true;
    }
    if (!is_known) {
      return Refuse(absl::StrCat("no sketch ", Shortened(name), "; there are ", Listed(known)));
    }
  }
  return is_listed;
}

// The first pin that means nothing in any of the sketches, if there is one.
absl::Status CheckAllMeant(const std::vector<Pinned>& pins, const std::set<std::string>& knobs) {
  for (const Pinned& pin : pins) {
    if (!pin.is_knob) {
      return Refuse(absl::StrCat("no knob ", pin.name.substr(0, kMaxShownBytes), "; there are ",
                                 Listed(knobs), ", and their parts (KNOB.PART)"));
    }
    for (size_t v = 0; v < pin.values.size(); ++v) {
      if (pin.is_option[v]) continue;
      return Refuse(absl::StrCat(
          pin.name, " is never ", Shortened(pin.values[v]),
          pin.numbers.empty() ? "; `tessera log --format jsonl` shows configs that were measured"
                              : absl::StrCat("; it may be ", Listed(pin.numbers))));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConfigSpace> Pin(const ConfigSpace& space, std::string_view text) {
  if (text.empty()) return space;
  const Json json = ParseShallowJson(text);
  if (!json.is_object()) {
    return Refuse(R"(expected a JSON object such as {"sketch":["direct"],"tile.lanes":[16]})");
  }
  if (json.contains(kConfigs)) return Refuse("configs name programs, no part of a space");
  TESSERA_ASSIGN_OR_RETURN(const std::vector<bool> is_listed, ListedSketches(space, json));
  std::vector<Pinned> pins;
  for (const auto& [name, value] : json.items()) {
    if (name == kSketch) continue;
    TESSERA_ASSIGN_OR_RETURN(std::vector<Json> values, List(name, value));
    pins.push_back({name, std::move(values)});
  }
  std::vector<Sketch> sketches = space.sketches();
  std::set<std::string> names;
  bool is_empty = true;
  for (size_t s = 0; s < sketches.size(); ++s) {
    Sketch& sketch = sketches[s];
    if (sketch.weight <= 0) continue;
    if (!is_listed[s]) {
      sketch.weight = 0;
      continue;
    }
    std::vector<Knob> knobs = sketch.group->knobs();
    for (const Knob& knob : knobs) names.insert(knob.name);
    for (Pinned& pin : pins) {
      if (const auto meaning = Find(knobs, pin.name)) {
        TESSERA_RETURN_IF_ERROR(Apply(pin, *meaning, knobs[meaning->knob]));
      }
    }
    CloseDeadEnds(knobs);
    sketch.group = std::make_shared<PinnedGroup>(std::move(sketch.group), std::move(knobs));
    if (!ConfigSpace(space.target(), {sketch}, /*is_pinned=*/true).Next({})) sketch.weight = 0;
    is_empty = is_empty && sketch.weight <= 0;
  }
  TESSERA_RETURN_IF_ERROR(CheckAllMeant(pins, names));
  if (is_empty) return Refuse("no config keeps to all of them; list more options");
  return ConfigSpace(space.target(), std::move(sketches), /*is_pinned=*/true);
}

absl::StatusOr<std::optional<std::vector<std::string>>> ListedConfigs(std::string_view pins) {
  const Json json = ParseShallowJson(pins);
  if (!json.is_object() || !json.contains(kConfigs)) return std::nullopt;
  if (json.size() > 1) return Refuse("configs name programs; nothing can stand beside them");
  std::vector<std::string> configs;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Json> listed, List(kConfigs, json[kConfigs]));
  for (const Json& config : listed) {
    if (!config.is_object()) {
      return Refuse(absl::StrCat("configs has ", Shortened(config), "; expected objects"));
    }
    configs.push_back(config.dump());
  }
  return configs;
}

}  // namespace tessera::space
