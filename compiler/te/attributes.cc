#include "compiler/te/attributes.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace tessera::te {
namespace {

const Attribute* Find(const std::vector<Attribute>& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Attribute::name);
  return found == table.end() ? nullptr : &*found;
}

// At most 64 bytes of a user's text, for messages.
std::string Shown(std::string_view text) {
  return absl::StrCat("\"", std::string(text.substr(0, 64)), text.size() > 64 ? "…" : "", "\"");
}

bool MatchesWord(const Attribute& attribute, const std::string& text) {
  for (absl::string_view choice : absl::StrSplit(attribute.choices, '|')) {
    if (text == choice) return true;
    absl::string_view digits = text;
    if (!absl::ConsumeSuffix(&choice, "<N>") || !absl::ConsumePrefix(&digits, choice)) continue;
    int64_t number = 0;
    if (absl::SimpleAtoi(digits, &number) && number >= attribute.min && number <= attribute.max &&
        absl::StrCat(number) == digits) {
      return true;
    }
  }
  return false;
}

std::string Allowed(const Attribute& attribute) {
  switch (attribute.kind) {
    case AttributeKind::kInt:
      return absl::StrCat("a whole number from ", attribute.min, " to ", attribute.max);
    case AttributeKind::kFlag:
      return "true or false";
    case AttributeKind::kWord: {
      std::string words = absl::StrReplaceAll(attribute.choices, {{"|", ", "}});
      if (absl::StrContains(words, "<N>")) {
        absl::StrAppend(&words, " with N from ", attribute.min, " to ", attribute.max);
      }
      return absl::StrCat("one of ", words);
    }
  }
  return "";
}

// The number that the text stands for (0 for words), or nothing if it is not allowed.
std::optional<int64_t> Accept(const Attribute& attribute, const std::string& text) {
  int64_t number = 0;
  switch (attribute.kind) {
    case AttributeKind::kInt:
      if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
      if (number < attribute.min || number > attribute.max) return std::nullopt;
      return number;
    case AttributeKind::kFlag:
      if (text == "true" || text == "1") return 1;
      if (text == "false" || text == "0") return 0;
      return std::nullopt;
    case AttributeKind::kWord:
      if (!MatchesWord(attribute, text)) return std::nullopt;
      return 0;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Attributes> Attributes::Resolve(const OpSpec& spec,
                                               const std::vector<Attribute>& table) {
  const std::string who =
      spec.name.empty() ? spec.op : absl::StrCat(Shown(spec.name), " (", spec.op, ")");
  for (const auto& [name, text] : spec.attributes) {
    if (Find(table, name) != nullptr) continue;
    std::vector<std::string> names;
    for (const Attribute& attribute : table) names.push_back(attribute.name);
    return absl::InvalidArgumentError(absl::StrCat(who, ": no attribute ", Shown(name), "; ",
                                                   spec.op, " has ", absl::StrJoin(names, ", ")));
  }
  Attributes result;
  result.op_ = spec.op;
  for (const Attribute& attribute : table) {
    // Follows "=other" to the first attribute that is given or has a default of its own.
    const Attribute* source = &attribute;
    std::string text;
    while (true) {
      if (const auto given = spec.attributes.find(source->name); given != spec.attributes.end()) {
        text = given->second;
        break;
      }
      text = source->default_value;
      if (!text.starts_with('=')) break;
      source = Find(table, std::string_view(text).substr(1));
      TESSERA_CHECK(source != nullptr);
    }
    const bool given = spec.attributes.contains(source->name);
    if (!given && text == "-") {
      if (source == &attribute) continue;
      return absl::InvalidArgumentError(absl::StrCat(who, ": attribute ", attribute.name, " (or ",
                                                     source->name, ") is missing; give ",
                                                     Allowed(attribute)));
    }
    if (!given && text.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(who, ": attribute ", attribute.name,
                                                     " is missing; give ", Allowed(attribute)));
    }
    const std::optional<int64_t> number = Accept(attribute, text);
    if (!number) {
      return absl::InvalidArgumentError(absl::StrCat(who, ": ", source->name, " is ", Shown(text),
                                                     "; it has to be ", Allowed(attribute)));
    }
    result.values_[attribute.name] = {std::move(text), *number};
  }
  return result;
}

const Attributes::Value& Attributes::At(std::string_view name) const {
  const auto found = values_.find(name);
  TESSERA_CHECK(found != values_.end());
  return found->second;
}

int64_t Attributes::Int(std::string_view name) const { return At(name).number; }
bool Attributes::Flag(std::string_view name) const { return At(name).number != 0; }
const std::string& Attributes::Word(std::string_view name) const { return At(name).text; }

ir::Type Attributes::ElementType() const { return ir::ParseType(Word("dtype")).value(); }

}  // namespace tessera::te
