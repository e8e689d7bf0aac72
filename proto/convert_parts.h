#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/checks.h"
#include "proto/convert.h"

// What the converters of convert.cc and convert_session.cc are made of.

namespace tessera::proto {

inline constexpr int64_t kMaxId = int64_t{1} << 62;

// Times from before the epoch to the year 9999, in microseconds.
inline constexpr int64_t kMaxMicros = int64_t{253'402'300'799} * 1'000'000;

inline absl::Time TimeOf(Checks& check, std::string_view field, int64_t micros) {
  return absl::FromUnixMicros(check.Range(field, micros, 0, kMaxMicros));
}

inline int64_t MicrosOf(absl::Time time) {
  return std::clamp<int64_t>(absl::ToUnixMicros(time), 0, kMaxMicros);
}

template <typename T>
absl::StatusOr<T> Finish(const Checks& check, T value) {
  if (!check.status().ok()) return check.status();
  return value;
}

// Converts one sub-message, keeping its error in `check`.
template <typename Message>
auto Nested(Checks& check, const Message& message) {
  auto converted = FromProto(message);
  check.Add(converted.status());
  return converted.ok() ? *std::move(converted) : typename decltype(converted)::value_type{};
}

// Converts a repeated field by `convert`; empty, with an error, when it has more than `max`
// elements.
template <typename Repeated, typename Convert>
auto Each(Checks& check, std::string_view field, const Repeated& elements, int64_t max,
          Convert convert) {
  std::vector<decltype(convert(*elements.begin()))> values;
  if (!check.Count(field, elements.size(), max)) return values;
  values.reserve(static_cast<size_t>(elements.size()));
  for (const auto& element : elements) values.push_back(convert(element));
  return values;
}

template <typename Repeated>
auto NestedEach(Checks& check, std::string_view field, const Repeated& elements, int64_t max) {
  return Each(check, field, elements, max,
              [&](const auto& element) { return Nested(check, element); });
}

}  // namespace tessera::proto
