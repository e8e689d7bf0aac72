#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera::runner {

// Types of stored elements, named as in the IR. A runner has no compiler in it, so it reads
// elements itself.
enum class ElementType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU32,
  kU16,
  kU8
};

int ElementBytes(ElementType type);
bool IsFloat(ElementType type);
std::string_view ToString(ElementType type);  // "f32", "bf16", "i8", …
// InvalidArgument lists the known names.
absl::StatusOr<ElementType> ParseElementType(std::string_view name);

// Element `index` of an array, exact for every type up to 53 bits.
double ReadElement(ElementType type, const std::byte* data, int64_t index);
// Floats are rounded to nearest even; integers rounded and saturated.
void WriteElement(ElementType type, std::byte* data, int64_t index, double value);

}  // namespace tessera::runner
