#pragma once

#include <cstdint>
#include <optional>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

// How the default schedule of a CPU arranges a stage's loops around its vectors.
struct Arrangement {
  // Weights that alone have the vector axis: packed in blocks of `lanes` × `vectors` of it.
  struct Weights {
    ir::Buffer buffer;
    int dimension = 0;  // that the vector axis indexes
  };

  int vector_axis = -1;  // -1: no axis has any extent
  int64_t lanes = 1;
  int64_t vectors = 1;  // side by side along that axis
  int tile_axis = -1;   // -1: none; `vectors` are accumulated for so many places along it
  int64_t tile = 1;
  std::optional<Weights> weights;
};

// Of stage `index`, on vectors of `target` at most. Sums of products with constant
// weights run along the weights' axis of results, those of rows with rows along these, on as many
// accumulators as hide how long additions take and as the registers hold; parts that don't divide
// their axis are taken where all others were small. All else runs along what lies side by side.
Arrangement Arrange(const Schedule& schedule, int index, const ir::Target& target);

}  // namespace tessera::schedule
