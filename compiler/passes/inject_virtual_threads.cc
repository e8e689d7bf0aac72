#include "compiler/passes/inject_virtual_threads.h"

#include <memory>
#include <utility>
#include <vector>

#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

// Puts `index` before the indices of each use of one buffer, whose memory is another's then.
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

ir::Buffer WithDimension(const ir::BufferNode& buffer, int64_t extent) {
  ir::BufferNode node = buffer;
  node.shape.insert(node.shape.begin(), extent);
  for (ir::LayoutDim& dim : node.layout) ++dim.axis;
  if (!node.layout.empty()) node.layout.insert(node.layout.begin(), {0, 1, extent});
  return std::make_shared<const ir::BufferNode>(std::move(node));
}

class Injector final : public ir::Mutator {
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    if (loop.loop_kind != ir::LoopKind::kThread || loop.thread_axis != ir::ThreadAxis::kVirtual) {
      return ir::Mutator::MutateFor(loop, self);
    }
    return Distribute(Mutate(loop.body), loop);
  }

  // `s`, a part of the body of `loop`, for all of the loop's iterations.
  static ir::Stmt Distribute(const ir::Stmt& s, const ir::For& loop) {
    if (!ir::Uses(s, loop.var)) return s;
    if (const auto* block = s.As<ir::Block>()) {
      std::vector<ir::Stmt> stmts;
      for (const ir::Stmt& part : block->stmts) stmts.push_back(Distribute(part, loop));
      return ir::MakeBlock(std::move(stmts));
    }
    if (const auto* inner = s.As<ir::For>()) {
      return ir::MakeFor(inner->var, inner->min, inner->extent, Distribute(inner->body, loop),
                         inner->loop_kind, inner->thread_axis);
    }
    if (const auto* node = s.As<ir::Allocate>()) {
      if (node->buffer->scope == ir::Scope::kShared) {
        return ir::MakeAllocate(node->buffer, Distribute(node->body, loop));
      }
      const ir::Buffer wide = WithDimension(*node->buffer, loop.extent);
      Widener widener(node->buffer, wide,
                      loop.min == 0 ? ir::Expr(loop.var) : ir::Expr(loop.var) - ir::Expr(loop.min));
      return ir::MakeAllocate(wide, Distribute(widener.Mutate(node->body), loop));
    }
    const auto* node = s.As<ir::If>();
    if (node != nullptr && !ir::Uses(node->condition, loop.var)) {
      return ir::MakeIf(node->condition, Distribute(node->then_body, loop),
                        node->else_body ? Distribute(node->else_body, loop) : ir::Stmt());
    }
    const ir::VarRef var = ir::MakeVar(loop.var->name);
    return ir::MakeFor(var, loop.min, loop.extent, ir::Substitute(s, loop.var, var),
                       ir::LoopKind::kUnrolled);
  }
};

}  // namespace

ir::Stmt InjectVirtualThreads(const ir::Stmt& root) { return Injector().Mutate(root); }

}  // namespace tessera::passes
