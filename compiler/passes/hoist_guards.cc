#include "compiler/passes/hoist_guards.h"

#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"

namespace tessera::passes {
namespace {

class Hoister final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    const ir::Stmt body = Mutate(loop.body);
    const auto* guard = body.As<ir::If>();
    if (guard == nullptr || guard->else_body) {
      if (body.Same(loop.body)) return self;
      return ir::MakeFor(loop.var, loop.min, loop.extent, body, loop.loop_kind, loop.thread_axis);
    }
    ir::Expr inside, outside;
    for (const ir::Expr& part : Conjuncts(guard->condition)) {
      ir::Expr& place = ir::Uses(part, loop.var) ? inside : outside;
      place = ir::And(place, part);
    }
    ir::Stmt result = ir::MakeFor(loop.var, loop.min, loop.extent,
                                  inside ? ir::MakeIf(inside, guard->then_body) : guard->then_body,
                                  loop.loop_kind, loop.thread_axis);
    return outside ? ir::MakeIf(outside, result) : result;
  }

  ir::Stmt MutateAllocate(const ir::Allocate& node, const ir::Stmt& self) override {
    const ir::Stmt body = Mutate(node.body);
    const auto* guard = body.As<ir::If>();
    if (guard != nullptr && !guard->else_body && !ir::Reads(guard->condition, node.buffer)) {
      return ir::MakeIf(guard->condition, ir::MakeAllocate(node.buffer, guard->then_body));
    }
    return body.Same(node.body) ? self : ir::MakeAllocate(node.buffer, body);
  }

  ir::Stmt MutateIf(const ir::If& node, const ir::Stmt& self) override {
    const ir::Stmt mutated = ir::Mutator::MutateIf(node, self);
    const auto* outer = mutated.As<ir::If>();
    if (outer == nullptr || outer->else_body) return mutated;
    const auto* inner = outer->then_body.As<ir::If>();
    if (inner == nullptr || inner->else_body) return mutated;
    return ir::MakeIf(ir::And(outer->condition, inner->condition), inner->then_body);
  }
};

}  // namespace

ir::Stmt HoistGuards(const ir::Stmt& root) { return Hoister().Mutate(root); }

}  // namespace tessera::passes
