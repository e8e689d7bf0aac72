#include "proto/checks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera::proto {
namespace {

// The length of the UTF-8 sequence at the start of `text`, 0 when it isn't one.
size_t SequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 && lead <= 0xf4 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (length == 0 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && at(1) < 0xa0) return 0;  // overlong
  if (lead == 0xed && at(1) > 0x9f) return 0;  // surrogates
  if (lead == 0xf0 && at(1) < 0x90) return 0;  // overlong
  if (lead == 0xf4 && at(1) > 0x8f) return 0;  // above U+10FFFF
  return length;
}

// A value as an error message shows it: escaped and short.
std::string Shown(std::string_view value) {
  constexpr size_t kShownBytes = 40;
  return absl::StrCat("\"", absl::CHexEscape(AbslView(value.substr(0, kShownBytes))),
                      value.size() > kShownBytes ? "…" : "", "\"");
}

}  // namespace

void Checks::Add(const absl::Status& status) {
  if (status_.ok()) status_ = status;
}

void Checks::Fail(std::string_view field, std::string_view message) {
  if (status_.ok())
    status_ = absl::InvalidArgumentError(absl::StrCat(AbslView(field), ": ", AbslView(message)));
}

std::string Checks::Text(std::string_view field, const std::string& value, size_t max_bytes) {
  if (value.size() > max_bytes) {
    Fail(field, absl::StrCat(value.size(), " bytes, at most ", max_bytes, " are allowed"));
    return {};
  }
  if (value.find('\0') != std::string::npos) {
    Fail(field, "contains a NUL byte");
    return {};
  }
  return value;
}

std::string Checks::Name(std::string_view field, const std::string& value, size_t max_bytes) {
  std::string text = Text(field, value, max_bytes);
  const bool printable = std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!printable) {
    Fail(field, absl::StrCat("control characters are not allowed in ", Shown(value)));
    return {};
  }
  return text;
}

std::string Checks::RequiredName(std::string_view field, const std::string& value,
                                 size_t max_bytes) {
  if (value.empty()) Fail(field, "must not be empty");
  return Name(field, value, max_bytes);
}

std::string Checks::Hex(std::string_view field, const std::string& value, size_t digits,
                        bool may_be_empty) {
  if (value.empty() && may_be_empty) return {};
  const bool hex = std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (value.size() != digits || !hex) {
    Fail(field, absl::StrCat(Shown(value), " is not ", digits, " lower-case hexadecimal digits"));
    return {};
  }
  return value;
}

int64_t Checks::Range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    Fail(field, absl::StrCat(value, " is outside ", low, " to ", high));
    return low;
  }
  return value;
}

double Checks::Number(std::string_view field, double value, double low, double high) {
  if (!std::isfinite(value) || value < low || value > high) {
    Fail(field, absl::StrCat(value, " is outside ", low, " to ", high));
    return low;
  }
  return value;
}

bool Checks::Count(std::string_view field, int64_t count, int64_t max) {
  if (count <= max) return true;
  Fail(field, absl::StrCat(count, " elements, at most ", max, " are allowed"));
  return false;
}

absl::Status CheckWorkerName(std::string_view field, std::string_view value) {
  constexpr size_t kMaxBytes = 64;  // a host's name is no longer
  const auto letter_or_digit = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c));
  };
  const bool plain = std::all_of(value.begin(), value.end(), [&](char c) {
    return letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
  if (plain && !value.empty() && value.size() <= kMaxBytes && letter_or_digit(value[0])) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(AbslView(field), ": ", Shown(value), " is not a name of 1 to ", kMaxBytes,
                   " letters, digits, '.', '_' and '-', led by a letter or digit"));
}

absl::Status CheckAddress(std::string_view field, std::string_view value, int lowest_port) {
  constexpr int kHighestPort = 65535;
  const size_t colon = value.rfind(':');
  int port = -1;
  if (colon != value.npos && colon > 0 &&
      absl::SimpleAtoi(AbslView(value.substr(colon + 1)), &port) && port >= lowest_port &&
      port <= kHighestPort) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(AbslView(field), ": ", Shown(value),
                                                 " is not HOST:PORT with a port from ", lowest_port,
                                                 " to ", kHighestPort));
}

std::string CleanText(std::string_view text, size_t max_bytes) {
  std::string clean;
  clean.reserve(std::min(text.size(), max_bytes));
  for (size_t i = 0; i < text.size();) {
    const size_t length = text[i] == '\0' ? 0 : SequenceLength(text.substr(i));
    if (clean.size() + std::max<size_t>(length, 1) > max_bytes) break;
    if (length == 0) {
      clean.push_back('?');
      ++i;
    } else {
      clean.append(text.substr(i, length));
      i += length;
    }
  }
  return clean;
}

}  // namespace tessera::proto
