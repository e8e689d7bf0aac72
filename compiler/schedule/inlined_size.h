#pragma once

#include <cstdint>

#include "compiler/te/dag.h"

namespace tessera::schedule {

// How many nodes a stage's bodies have after inlining, at most. Bodies that read a stage twice
// double with each stage of a chain, every further step walks them, and walks recurse.
inline constexpr double kMaxBodyNodes = 1'000;

// Nodes of `consumer`'s bodies (as often as they occur) once reads of `producer`'s output have been
// replaced by its body; folding may make them fewer. Counting ends at the first number above the
// limit, so that it costs little however large the stages are.
double InlinedSize(const te::Stage& producer, const te::Stage& consumer);

}  // namespace tessera::schedule
