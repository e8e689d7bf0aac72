#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "codesign/pareto.h"
#include "codesign/resources.h"
#include "codesign/variant.h"

namespace tessera::codesign {

// A variant as it was estimated.
struct Candidate {
  Variant variant;
  Resources resources;
  double seconds = 0;
  double joules = 0;
};

bool IsWithin(const Resources& a, const Resources& limit);
// Same clock, stages and bus: what differs are tiles, memories and the ALU.
bool HasSameClock(const Variant& a, const Variant& b);

// Up to `count` of them that are worth tuning, the default first: half of them spread evenly, by
// time, over the front of seconds, joules, DSPs, block RAMs and LUTs; a quarter the fastest within
// the default's resources at its clock; the rest the fastest within these at any clock. Where
// there are too few of a kind, the fastest of all. Each once. Requires that the default is
// among `all`, at `default_place`.
std::vector<size_t> SelectCandidates(absl::Span<const Candidate> all, size_t default_place,
                                     size_t count);

}  // namespace tessera::codesign
