#pragma once

#include <cstdint>

#include "compiler/schedule/loop_structure.h"

// Arithmetic of sums over loops.

namespace tessera::codegen::vta {

// a + factor × b.
schedule::AffineValue Add(schedule::AffineValue a, const schedule::AffineValue& b,
                          int64_t factor = 1);

// Whether every value is a multiple of `unit`; then Divide gives the quotient.
bool IsMultiple(const schedule::AffineValue& value, int64_t unit);
schedule::AffineValue Divide(schedule::AffineValue value, int64_t unit);

}  // namespace tessera::codegen::vta
