#include "db/record/export.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace tessera::db {
namespace {

// std::monostate is "unknown".
using FieldValue = std::variant<std::monostate, bool, int64_t, double, std::string_view,
                                std::string, std::vector<double>, std::vector<int64_t>>;
struct Field {
  const char* name;
  FieldValue value;
};

template <typename Number>
FieldValue Known(Number value) {
  return value < 0 || std::isinf(static_cast<double>(value)) ? FieldValue() : FieldValue(value);
}

std::vector<Field> FieldsOf(const Record& r) {
  const Measurement& m = r.measurement;
  const Environment& e = m.environment;
  return {{"id", r.id},
          {"task_key", std::string_view(r.task_key)},
          {"job_id", r.job_id},
          {"trial", r.trial},
          {"attempt_key", std::string_view(r.attempt_key)},
          {"outcome", ToString(m.outcome)},
          {"reason", std::string_view(m.reason)},
          {"cost_seconds", Known(m.CostSeconds())},
          {"sample_seconds", m.sample_seconds},
          {"sample_calls", m.sample_calls},
          {"build_seconds", m.build_seconds},
          {"run_seconds", m.run_seconds},
          {"stale", r.stale},
          {"device", std::string_view(r.device)},
          {"device_class", std::string_view(r.device_class)},
          {"pace", r.pace},
          {"explorer", std::string_view(r.explorer)},
          {"seed", absl::StrCat(r.seed)},
          {"loop_hash", std::string_view(r.loop_hash)},
          {"artifact", std::string_view(r.artifact)},
          {"cpu_mhz", Known(e.cpu_mhz)},
          {"load_average", Known(e.load_average)},
          {"temperature_celsius", Known(e.temperature_celsius)},
          {"reference_gflops", Known(e.reference_gflops)},
          {"peak_memory_bytes", Known(e.peak_memory_bytes)},
          {"runtime_version", std::string_view(e.runtime_version)},
          {"tessera_version", std::string_view(r.tessera_version)},
          {"created", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", r.created, absl::UTCTimeZone())},
          {"config", std::string_view(r.config)},
          {"trace", std::string_view(r.trace)}};
}

// The shortest text that reads back as the same number.
template <typename Number>
std::string NumberText(Number value) {
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end.ptr);
}

template <typename Number>
std::string Join(const std::vector<Number>& values, char separator) {
  std::string text;
  for (const Number value : values) {
    if (!text.empty()) text += separator;
    text += NumberText(value);
  }
  return text;
}

std::string CsvText(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

// The length of the UTF-8 sequence at the start of `text`, 0 when it is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80                       ? 1
                        : byte(0) >= 0xc2 && byte(0) <= 0xdf ? 2
                        : byte(0) >= 0xe0 && byte(0) <= 0xef ? 3
                        : byte(0) >= 0xf0 && byte(0) <= 0xf4 ? 4
                                                             : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length == 1) return 1;
  // Overlong forms, surrogates and what lies above U+10FFFF.
  const bool bad = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) >= 0xa0) ||
                   (byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) >= 0x90);
  return bad ? 0 : length;
}

std::string JsonText(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char c = text.front();
    if (length == 0) {
      quoted += "\xef\xbf\xbd";
    } else if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return quoted + '"';
}

struct ToCsv {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return NumberText(value); }
  std::string operator()(double value) const { return NumberText(value); }
  std::string operator()(std::string_view value) const { return CsvText(value); }
  std::string operator()(const std::string& value) const { return CsvText(value); }
  template <typename Number>
  std::string operator()(const std::vector<Number>& values) const {
    return Join(values, ';');
  }
};

struct ToJson {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return NumberText(value); }
  std::string operator()(double value) const { return NumberText(value); }
  std::string operator()(std::string_view value) const { return JsonText(value); }
  std::string operator()(const std::string& value) const { return JsonText(value); }
  template <typename Number>
  std::string operator()(const std::vector<Number>& values) const {
    return "[" + Join(values, ',') + "]";
  }
};

}  // namespace

std::string RecordCsvHeader() {
  const Record any;
  std::string line;
  for (const Field& field : FieldsOf(any)) {
    absl::StrAppend(&line, line.empty() ? "" : ",", field.name);
  }
  return line + "\n";
}

std::string ToCsvLine(const Record& record) {
  std::string line;
  bool first = true;
  for (const Field& field : FieldsOf(record)) {
    if (!first) line += ',';
    first = false;
    line += std::visit(ToCsv(), field.value);
  }
  return line + "\n";
}

std::string ToJsonLine(const Record& record) {
  std::string line = "{";
  for (const Field& field : FieldsOf(record)) {
    absl::StrAppend(&line, line.size() > 1 ? "," : "", "\"", field.name,
                    "\":", std::visit(ToJson(), field.value));
  }
  return line + "}\n";
}

}  // namespace tessera::db
