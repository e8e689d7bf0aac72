#include "compiler/passes/inject_virtual_threads.h"

#include <memory>
#include <utility>
#include <vector>

#include "compiler/ir/visitor.h"
#include "compiler/passes/with_index.h"

namespace tessera::passes {
namespace {

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
      const auto wide =
          std::make_shared<const ir::BufferNode>(ir::WithDimension(*node->buffer, loop.extent));
      const ir::Expr number =
          loop.min == 0 ? ir::Expr(loop.var) : ir::Expr(loop.var) - ir::Expr(loop.min);
      return ir::MakeAllocate(wide,
                              Distribute(WithIndex(node->body, node->buffer, wide, number), loop));
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
