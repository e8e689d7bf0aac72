#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace tessera::proto {

// Checks a message's fields one by one and keeps the first error, so that converters read as a
// list of fields. Each method returns its value (or an empty one after an error).
class Checks {
 public:
  const absl::Status& status() const { return status_; }
  void Fail(std::string_view field, std::string_view message);
  void Add(const absl::Status& status);

  // Printable text on one line: no control characters.
  std::string Name(std::string_view field, const std::string& value, size_t max_bytes);
  std::string RequiredName(std::string_view field, const std::string& value, size_t max_bytes);
  // Text of any characters but NUL.
  std::string Text(std::string_view field, const std::string& value, size_t max_bytes);
  // Lower-case hexadecimal digits, exactly `digits` of them; empty where allowed.
  std::string Hex(std::string_view field, const std::string& value, size_t digits,
                  bool may_be_empty);
  int64_t Range(std::string_view field, int64_t value, int64_t low, int64_t high);
  int Int(std::string_view field, int64_t value, int64_t low, int64_t high) {
    return static_cast<int>(Range(field, value, low, high));
  }
  // Finite and within [low, high].
  double Number(std::string_view field, double value, double low, double high);
  // False (with an error) when a repeated field has more than `max` elements.
  bool Count(std::string_view field, int64_t count, int64_t max);

 private:
  absl::Status status_;
};

// A worker's name, part of paths and of its devices' ids: 1 to 64 letters, digits, '.', '_' and
// '-', led by a letter or digit.
absl::Status CheckWorkerName(std::string_view field, std::string_view value);
// HOST:PORT with a port from `lowest_port` to 65535.
absl::Status CheckAddress(std::string_view field, std::string_view value, int lowest_port);

// `text` as valid UTF-8 of at most `max_bytes`: what isn't is replaced by '?', the rest cut.
std::string CleanText(std::string_view text, size_t max_bytes);

}  // namespace tessera::proto
