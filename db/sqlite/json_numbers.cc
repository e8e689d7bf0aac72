#include "db/sqlite/json_numbers.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tessera::db {
namespace {

bool ParseNumber(absl::string_view text, double& value) { return absl::SimpleAtod(text, &value); }
bool ParseNumber(absl::string_view text, int64_t& value) { return absl::SimpleAtoi(text, &value); }

template <typename T>
absl::StatusOr<std::vector<T>> NumbersFromJson(const std::string& json) {
  absl::string_view text = json;
  std::vector<T> values;
  if (absl::ConsumePrefix(&text, "[") && absl::ConsumeSuffix(&text, "]")) {
    for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
      T value{};
      if (!ParseNumber(item, value)) return absl::DataLossError("not a list of numbers: " + json);
      values.push_back(value);
    }
    return values;
  }
  return absl::DataLossError("not a list of numbers: " + json);
}

}  // namespace

std::string NumbersToJson(const std::vector<double>& values) {
  std::string json = "[";
  for (double value : values) {
    absl::StrAppendFormat(&json, "%s%.17g", json.size() > 1 ? "," : "", value);
  }
  return json + "]";
}

std::string NumbersToJson(const std::vector<int64_t>& values) {
  std::string json = "[";
  for (int64_t value : values) absl::StrAppend(&json, json.size() > 1 ? "," : "", value);
  return json + "]";
}

absl::StatusOr<std::vector<double>> DoublesFromJson(const std::string& json) {
  return NumbersFromJson<double>(json);
}

absl::StatusOr<std::vector<int64_t>> IntegersFromJson(const std::string& json) {
  return NumbersFromJson<int64_t>(json);
}

}  // namespace tessera::db
