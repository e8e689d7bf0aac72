#include "compiler/ir/structural_hash.h"

#include "base/hash.h"
#include "compiler/te/dag.h"
#include "compiler/te/reference.h"

namespace tessera::te {
namespace {

// What the reference program, all row-major, does not show of a caller's buffer.
void AddPlacement(StableHasher& hash, const ir::BufferNode& buffer, bool is_constant) {
  hash.Add(is_constant ? 1 : 0).Add(static_cast<uint64_t>(buffer.policy));
  hash.Add(
      static_cast<uint64_t>(buffer.policy == ir::LayoutPolicy::kBlocked ? buffer.block_axis : -1));
  hash.Add(buffer.layout.size());
  for (const ir::LayoutDim& dim : buffer.layout) {
    hash.Add(static_cast<uint64_t>(dim.axis)).Add(static_cast<uint64_t>(dim.divisor));
    hash.Add(static_cast<uint64_t>(dim.extent));
  }
}

}  // namespace

uint64_t StructuralHash(const Dag& dag) {
  StableHasher hash;
  hash.Add(ir::StructuralHash(ReferenceProgram(Workload{.name = "", .dag = dag})));
  hash.Add(dag.inputs.size());
  for (const Input& input : dag.inputs) AddPlacement(hash, *input.buffer, input.is_constant);
  for (const ir::Buffer& output : dag.outputs) AddPlacement(hash, *output, false);
  for (size_t i = 0; i < dag.stages.size(); ++i) {
    if (dag.stages[i].direct) hash.Add(i);
  }
  return hash.Finish();
}

}  // namespace tessera::te
