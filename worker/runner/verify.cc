#include "worker/runner/verify.h"

#include <cmath>
#include <numeric>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/test_data.h"

namespace tessera::runner {
namespace {

// How far beyond the tolerance a value lies; at most 0 = agrees.
double Excess(double actual, double expected, Tolerance tolerance) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return -1;
  const double difference = std::fabs(actual - expected);
  if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
  return difference - (tolerance.absolute + tolerance.relative * std::fabs(expected));
}

struct Mismatches {
  int64_t count = 0;
  int64_t worst = -1;  // row-major index
  double excess = 0;
};

// `Read` is inlined into the loop for the common type.
template <typename Read>
Mismatches Compare(const StoredLayout& layout, Tolerance tolerance, const std::byte* stored,
                   const std::byte* expected, Read read) {
  Mismatches found;
  layout.ForEachRow([&](int64_t first, int64_t base, absl::Span<const int64_t> offsets) {
    for (size_t i = 0; i < offsets.size(); ++i) {
      const int64_t index = first + static_cast<int64_t>(i);
      const double excess =
          Excess(read(stored, base + offsets[i]), read(expected, index), tolerance);
      if (excess <= 0) continue;
      ++found.count;
      if (found.worst < 0 || excess > found.excess) {
        found.worst = index;
        found.excess = excess;
      }
    }
  });
  return found;
}

}  // namespace

std::optional<std::string> CompareOutput(const BufferSpec& buffer, const StoredLayout& layout,
                                         absl::Span<const std::byte> stored,
                                         absl::Span<const std::byte> expected,
                                         Tolerance tolerance) {
  const ElementType type = buffer.type;
  const Mismatches found =
      type == ElementType::kF32
          ? Compare(layout, tolerance, stored.data(), expected.data(),
                    [](const std::byte* data, int64_t i) {
                      return static_cast<double>(reinterpret_cast<const float*>(data)[i]);
                    })
          : Compare(
                layout, tolerance, stored.data(), expected.data(),
                [type](const std::byte* data, int64_t i) { return ReadElement(type, data, i); });
  if (found.count == 0) return std::nullopt;
  const double wanted = ReadElement(type, expected.data(), found.worst);
  return absl::StrFormat(
      "%s: %d of %d elements are wrong; worst at %s: %.9g where %.9g is expected (±%.3g)",
      buffer.name, found.count, layout.logical_elements(), layout.IndexText(found.worst),
      ReadElement(type, stored.data(), layout.Offset(found.worst)), wanted,
      tolerance.absolute + tolerance.relative * std::fabs(wanted));
}

std::optional<std::string> CompareSamples(const BufferSpec& buffer, int output,
                                          absl::Span<const std::byte> values,
                                          absl::Span<const OracleSample> samples,
                                          Tolerance tolerance) {
  const auto elements = static_cast<int64_t>(values.size()) / ElementBytes(buffer.type);
  bool sampled = false;
  for (const OracleSample& sample : samples) {
    if (sample.output != output) continue;
    sampled = true;
    if (sample.index < 0 || sample.index >= elements) {
      return absl::StrFormat("%s: the oracle's sample at %d lies outside its %d elements",
                             buffer.name, sample.index, elements);
    }
    const double actual = ReadElement(buffer.type, values.data(), sample.index);
    if (Excess(actual, sample.value, tolerance) > 0) {
      return absl::StrFormat("%s: element %d is %.9g where the oracle has %.9g", buffer.name,
                             sample.index, actual, sample.value);
    }
  }
  if (!sampled) return absl::StrFormat("%s: the oracle gave no sample to check it by", buffer.name);
  return std::nullopt;
}

std::string SeededInput(const BufferSpec& buffer, int input, uint64_t seed) {
  const int64_t elements = std::accumulate(buffer.shape.begin(), buffer.shape.end(), int64_t{1},
                                           std::multiplies<int64_t>());
  std::string bytes(static_cast<size_t>(elements * ElementBytes(buffer.type)), '\0');
  auto* data = reinterpret_cast<std::byte*>(bytes.data());
  const bool is_unsigned = buffer.type >= ElementType::kU32;
  for (int64_t i = 0; i < elements; ++i) {
    const double value = IsFloat(buffer.type) ? TestValue(seed, input, i)
                         : is_unsigned ? static_cast<double>(TestInteger(seed, input, i, 0, 15))
                                       : static_cast<double>(TestInteger(seed, input, i, -8, 7));
    WriteElement(buffer.type, data, i, value);
  }
  return bytes;
}

}  // namespace tessera::runner
