#pragma once

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "worker/runner/runner.h"

namespace tessera::runner {

// Compares a stored output with the expected row-major values, type-aware. Returns what is wrong:
// how many elements, and the worst with index and values; nullopt when all agree. NaN agrees with
// NaN, infinities with themselves.
std::optional<std::string> CompareOutput(const BufferSpec& buffer, const StoredLayout& layout,
                                         absl::Span<const std::byte> stored,
                                         absl::Span<const std::byte> expected, Tolerance tolerance);

// Checks row-major values against the oracle's samples of output `output`.
std::optional<std::string> CompareSamples(const BufferSpec& buffer, int output,
                                          absl::Span<const std::byte> values,
                                          absl::Span<const OracleSample> samples,
                                          Tolerance tolerance);

// Seeded contents of input `input`, row-major: floats by TestValue, integers in [-8, 7], unsigned
// ones in [0, 15]. The same as te::TestInput.
std::string SeededInput(const BufferSpec& buffer, int input, uint64_t seed);

}  // namespace tessera::runner
