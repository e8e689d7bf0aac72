#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/codegen/vta/memory_plan.h"
#include "compiler/codegen/vta/nest.h"
#include "compiler/vta/code.h"

namespace tessera::codegen::vta {

// A dimension of a tensor, of which tiles [first, first + count) are moved. What is beyond
// [0, limit) is not there.
struct MoveDim {
  schedule::AffineValue first;
  int64_t count;
  int64_t limit;
  int64_t stride;       // in DRAM
  int64_t held_stride;  // in the accelerator's memory

  bool IsClipped() const;
};

// What a load moves, outermost first, in as few dimensions as there have to be. InvalidArgument
// where more than rows and columns lie beyond the tensor.
absl::StatusOr<std::vector<MoveDim>> LoadDims(const Nest& nest, int copy, const Held& held,
                                              const MemoryPlan& plan);
// What a load of the plan's mask moves, of a constant that is a row of it.
std::vector<MoveDim> MaskDims(const Nest& nest, int copy, const MemoryPlan& plan);
// The root's results.
absl::StatusOr<std::vector<MoveDim>> StoreDims(const Nest& nest, const MemoryPlan& plan);

// With loops around where there are more than two dimensions.
tessera::vta::Node MakeMoves(const Turns& turns, tessera::vta::Place place,
                             absl::Span<const MoveDim> dims, int argument, bool is_store);

}  // namespace tessera::codegen::vta
