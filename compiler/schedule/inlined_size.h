#pragma once

#include <cstdint>

#include "compiler/te/dag.h"

namespace tessera::schedule {

// How large a stage's bodies become by inlining, at most. Bodies that read a stage twice double
// with each stage of a chain, and every walk over them recurses.
inline constexpr double kMaxBodyNodes = 10'000;
inline constexpr int kMaxBodyHeight = 2'000;

struct BodySize {
  double nodes = 0;  // a node counts as often as it occurs
  int height = 0;
};

// Size of `consumer`'s bodies once reads of `producer`'s output have been replaced by its body.
// Folding may make them smaller. Walks each of both stages' nodes once.
BodySize InlinedSize(const te::Stage& producer, const te::Stage& consumer);

}  // namespace tessera::schedule
