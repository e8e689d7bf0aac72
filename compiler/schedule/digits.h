#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

using Digits = absl::InlinedVector<Digit, 1>;

// A digit's extent: its own; for an inferred one of a root stage or a reduction axis what covers
// the axis; nothing where it depends on a region that is not inferred yet.
std::optional<int64_t> DigitExtent(const StageState& state, const Digit& digit);

struct DigitSplit {
  Digits outer, inner;
};

// Cuts a counter so that the inner part counts to `factor`. A digit that is not its axis's
// outermost must be cut evenly; the outermost may overshoot (guarded later).
absl::StatusOr<DigitSplit> SplitDigits(const StageState& state, const Digits& digits,
                                       int64_t factor);

}  // namespace tessera::schedule
