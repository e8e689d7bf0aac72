#include "compiler/passes/with_index.h"

#include <utility>
#include <vector>

#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

class Widener final : public ir::Mutator {
 public:
  Widener(ir::Buffer from, ir::Buffer to, ir::Expr index)
      : from_(std::move(from)), to_(std::move(to)), index_(std::move(index)) {}

 private:
  std::vector<ir::Expr> Indices(const std::vector<ir::Expr>& indices) {
    std::vector<ir::Expr> result = {index_};
    for (const ir::Expr& index : indices) result.push_back(Mutate(index));
    return result;
  }
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr& self) override {
    if (load.buffer != from_) return ir::Mutator::MutateLoad(load, self);
    return ir::MakeLoad(to_, Indices(load.indices), Mutate(load.predicate));
  }
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (store.buffer != from_) return ir::Mutator::MutateStore(store, self);
    return ir::MakeStore(to_, Indices(store.indices), Mutate(store.value), Mutate(store.predicate),
                         store.streaming);
  }

  ir::Buffer from_, to_;
  ir::Expr index_;
};

}  // namespace

ir::Stmt WithIndex(const ir::Stmt& s, const ir::Buffer& buffer, const ir::Buffer& wide,
                   const ir::Expr& index) {
  return Widener(buffer, wide, index).Mutate(s);
}

}  // namespace tessera::passes
