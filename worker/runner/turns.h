#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"

namespace tessera::runner {

// In a comparison a program that has lost so many more turns to the first than it won is out. An
// equal one comes to that within 20 turns about once in five times; one that is 2 % faster, at 2 %
// noise, once in a thousand.
inline constexpr int kLostTurns = 6;

// How programs that are compared are measured: by turns, in a random order each. A turn that the
// machine spoils for one of them (kInfrastructure) counts for none.
struct TurnRules {
  int turns = 1;
  // No program begins later, except in the first turn; a turn that is not finished counts for none.
  double max_seconds = 10;
  uint64_t seed = 0;  // of the order
};

// What the programs 0 … count − 1 are measured by `take`, which gives one sample where it is kOk.
// The measurements of all turns, one a program; samples at one place are of one turn. A program
// that fails or has lost takes no more turns, and there is none without two programs. Cancelled
// when a turn was; Unavailable when all were spoilt; errors of `take`.
absl::StatusOr<std::vector<db::Measurement>> MeasureInTurns(
    size_t count, const TurnRules& rules,
    const std::function<absl::StatusOr<db::Measurement>(size_t program)>& take);

}  // namespace tessera::runner
