#include "compiler/passes/flatten.h"

#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

ir::Expr StoredIndex(const ir::BufferNode& buffer, const std::vector<ir::Expr>& indices) {
  ir::Expr flat(0);
  if (buffer.layout.empty()) {
    for (size_t d = 0; d < indices.size(); ++d) {
      flat = flat * ir::Expr(buffer.shape[d]) + indices[d];
    }
    return flat;
  }
  for (const ir::LayoutDim& dim : buffer.layout) {
    ir::Expr index = indices[dim.axis];
    if (dim.divisor > 1) index = index / ir::Expr(dim.divisor);
    if (dim.divisor * dim.extent < buffer.shape[dim.axis]) index = index % ir::Expr(dim.extent);
    flat = flat * ir::Expr(dim.extent) + index;
  }
  return flat;
}

class Flattener final : public ir::Mutator {
 private:
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr&) override {
    std::vector<ir::Expr> indices;
    for (const ir::Expr& index : load.indices) indices.push_back(Mutate(index));
    return ir::MakeLoad(load.buffer, {StoredIndex(*load.buffer, indices)},
                        load.predicate ? Mutate(load.predicate) : ir::Expr());
  }
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt&) override {
    std::vector<ir::Expr> indices;
    for (const ir::Expr& index : store.indices) indices.push_back(Mutate(index));
    return ir::MakeStore(store.buffer, {StoredIndex(*store.buffer, indices)}, Mutate(store.value),
                         store.predicate ? Mutate(store.predicate) : ir::Expr(), store.streaming);
  }
};

}  // namespace

ir::Program Flatten(const ir::Program& program) {
  return {program.name, program.params, Flattener().Mutate(program.body)};
}

}  // namespace tessera::passes
