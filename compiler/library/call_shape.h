#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compiler/library/compiled_op.h"

namespace tessera::library {

// The beginning of a buffer: an argument and bytes from there.
struct Place {
  int64_t argument;
  int64_t offset;
};

// The arguments of an operator: the inputs that are no constants, the packed constants, the
// outputs.
struct CallShape {
  std::vector<Place> places;  // of its kernels' buffers: inputs, outputs, what is prepared
  size_t arguments;
  size_t first_output;
};
CallShape CallShapeOf(const CompiledOp& op, const PackedBlock& packed);

// How constants are packed. Arguments are TESSERA_OP_PACKED, _SCRATCH and _UNUSED (ops.h).
struct PackingShape {
  std::vector<const PackedConstant*> constants;
  std::vector<Place> places;   // where each of them goes
  std::vector<Place> buffers;  // of the preparation, as of CallShape::places
};
PackingShape PackingShapeOf(const CompiledOp& op, const PackedBlock& packed);

}  // namespace tessera::library
