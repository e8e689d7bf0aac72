#include "compiler/library/call_shape.h"

#include "compiler/runtime/ops.h"

namespace tessera::library {

CallShape CallShapeOf(const CompiledOp& op, const PackedBlock& packed) {
  CallShape shape;
  int64_t activations = 0;
  for (const OpTensor& tensor : op.inputs) activations += tensor.is_constant ? 0 : 1;
  int64_t argument = 0;
  size_t constant = 0;
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) {
      shape.places.push_back({argument++, 0});
      continue;
    }
    const PackedConstant& place = packed.constants[constant++];
    shape.places.push_back({activations, place.is_scratch ? 0 : place.offset});
  }
  if (op.has_constants()) ++argument;
  shape.first_output = static_cast<size_t>(argument);
  for (size_t i = 0; i < op.outputs.size(); ++i) shape.places.push_back({argument++, 0});
  if (packed.preparation) {
    for (const PackedConstant& result : packed.preparation->results) {
      shape.places.push_back({activations, result.offset});
    }
  }
  shape.arguments = static_cast<size_t>(argument);
  return shape;
}

PackingShape PackingShapeOf(const CompiledOp& op, const PackedBlock& packed) {
  PackingShape shape;
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) {
      shape.buffers.push_back({TESSERA_OP_UNUSED, 0});
      continue;
    }
    const PackedConstant& constant = packed.constants[shape.constants.size()];
    shape.constants.push_back(&constant);
    shape.places.push_back(
        {constant.is_scratch ? TESSERA_OP_SCRATCH : TESSERA_OP_PACKED, constant.offset});
    shape.buffers.push_back(shape.places.back());
  }
  shape.buffers.resize(shape.buffers.size() + op.outputs.size(), {TESSERA_OP_UNUSED, 0});
  if (packed.preparation) {
    for (const PackedConstant& result : packed.preparation->results) {
      shape.buffers.push_back({TESSERA_OP_PACKED, result.offset});
    }
  }
  return shape;
}

}  // namespace tessera::library
