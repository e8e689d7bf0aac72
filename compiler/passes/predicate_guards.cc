#include "compiler/passes/predicate_guards.h"

#include <optional>

#include "absl/container/flat_hash_set.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"
#include "compiler/passes/vectorize_groups.h"

namespace tessera::passes {
namespace {

class Predicator final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    const bool unrolled = loop.loop_kind == ir::LoopKind::kUnrolled;
    if (unrolled) unrolled_.insert(loop.var.get());
    if (const ir::If* guard = GuardOfGroups(loop)) mask_ = guard;
    ir::Stmt result = ir::Mutator::MutateFor(loop, self);
    if (unrolled) unrolled_.erase(loop.var.get());
    ranges_.erase(loop.var.get());
    return result;
  }

  ir::Stmt MutateIf(const ir::If& node, const ir::Stmt& self) override {
    if (node.else_body || &node == mask_) return ir::Mutator::MutateIf(node, self);
    ir::Expr branch, predicate;
    for (const ir::Expr& part : Conjuncts(node.condition)) {
      ir::Expr& place = IsCostly(part) ? predicate : branch;
      place = ir::And(place, part);
    }
    if (!predicate) return ir::Mutator::MutateIf(node, self);
    const ir::Expr saved = pending_;
    pending_ = ir::And(pending_, predicate);
    failed_ = false;
    ir::Stmt body = Mutate(node.then_body);
    pending_ = saved;
    if (failed_) {
      // Some store is not a sum of products: this test stays a branch.
      failed_ = static_cast<bool>(pending_);
      return self;
    }
    return branch ? ir::MakeIf(branch, body) : body;
  }

  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (!pending_) return self;
    const auto* sum = store.value.As<ir::Binary>();
    const auto* old = sum != nullptr ? sum->a.As<ir::Load>() : nullptr;
    if (sum == nullptr || sum->op != ir::BinaryOp::kAdd || old == nullptr ||
        old->buffer != store.buffer || store.predicate || !IsReadable(sum->a)) {
      failed_ = true;
      return self;
    }
    const ir::Expr term = PredicateFactor(sum->b);
    if (!term) {
      failed_ = true;
      return self;
    }
    return ir::MakeStore(store.buffer, store.indices, sum->a + term, {}, store.streaming);
  }

  bool IsCostly(const ir::Expr& condition) const {
    bool expanded = false, dynamic = false;
    ir::ForEach<ir::Var>(condition, [&](const ir::Var& var) {
      (unrolled_.contains(&var) ? expanded : dynamic) = true;
    });
    return expanded && dynamic;
  }

  // `e`, which is zero where pending_ fails and reads only what is there; empty if it can't be made
  // so. A product needs one such factor, if the other's loads are in range anyway.
  ir::Expr PredicateFactor(const ir::Expr& e) const {
    if (const auto* load = e.As<ir::Load>()) {
      return ir::MakeLoad(load->buffer, load->indices, ir::And(pending_, load->predicate));
    }
    if (const auto* cast = e.As<ir::Cast>()) {
      const ir::Expr value = PredicateFactor(cast->value);
      return value ? ir::MakeCast(cast->type, value, cast->saturate) : ir::Expr();
    }
    if (const ir::Expr* number = ir::AsTf32(e)) {
      const ir::Expr value = PredicateFactor(*number);
      return value ? ir::MakeTf32(value) : ir::Expr();
    }
    const auto* product = e.As<ir::Binary>();
    if (product == nullptr || product->op != ir::BinaryOp::kMul) return ir::Expr();
    const bool a_safe = IsParameter(product->a) && IsReadable(product->a);
    const bool b_safe = IsParameter(product->b) && IsReadable(product->b);
    const ir::Expr a = a_safe && !b_safe ? product->a : PredicateFactor(product->a);
    const ir::Expr b = b_safe ? product->b : PredicateFactor(product->b);
    return a && b ? a * b : ir::Expr();
  }

  // Whether every load in `e` is inside its buffer whatever the loops' variables are.
  bool IsReadable(const ir::Expr& e) const {
    bool readable = true;
    ir::ForEach<ir::Load>(e, [&](const ir::Load& load) {
      for (size_t d = 0; d < load.indices.size(); ++d) {
        const std::optional<ir::Interval> bound = ir::Bound(load.indices[d], ranges_);
        readable &= bound && bound->min >= 0 && bound->max < load.buffer->shape[d];
      }
    });
    return readable;
  }

  // Whether `e` reads the caller's memory alone: what a test guards may never have been written
  // elsewhere.
  static bool IsParameter(const ir::Expr& e) {
    bool parameter = true;
    ir::ForEach<ir::Load>(
        e, [&](const ir::Load& load) { parameter &= load.buffer->scope == ir::Scope::kGlobal; });
    return parameter;
  }

  ir::Ranges ranges_;
  absl::flat_hash_set<const ir::Var*> unrolled_;
  const ir::If* mask_ = nullptr;  // the guard of groups around, if any
  ir::Expr pending_;
  bool failed_ = false;
};

}  // namespace

ir::Stmt PredicateGuards(const ir::Stmt& root) { return Predicator().Mutate(root); }

}  // namespace tessera::passes
