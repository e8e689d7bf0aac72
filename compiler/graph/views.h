#pragma once

#include <cstdint>
#include <vector>

#include "compiler/graph/graph.h"

namespace tessera::graph {

inline constexpr int64_t kPlaceAlignment = 64;  // bytes: what begins a value in memory

// What a value is in memory: bytes of another one from `offset` on.
struct View {
  int of = -1;  // node; -1: the value has bytes of its own
  int64_t offset = 0;
};

// By node, of values that nobody computes then. Reshapes of what is stored row-major are views, and
// slices of it that are consecutive and begin at a multiple of kPlaceAlignment, but for:
// - parts of the graph's inputs, constants and outputs, which callers place;
// - outputs;
// - the only thing that is read of what is computed element by element: less is to compute then.
// A reshape may be computed all the same, together with what is before or behind it.
std::vector<View> FindViews(const Graph& graph);

// By node, the concatenation that it is computed into, so that nobody has to move it there. All
// operands of a concatenation are parts of it or none is; they are parts where they lie one after
// the other in it, from multiples of kPlaceAlignment on, and each is computed, or a reshape of what
// is, for no other place: not an output, and a part of no other. The concatenation is no output.
// Who has a value that several might have is settled by shapes, whatever layouts are.
std::vector<View> FindParts(const Graph& graph);

}  // namespace tessera::graph
