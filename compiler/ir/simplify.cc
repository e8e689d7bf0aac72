#include "compiler/ir/simplify.h"

#include <limits>

#include "compiler/ir/rewriter.h"

namespace tessera::ir {
namespace {

class StmtSimplifier {
 public:
  explicit StmtSimplifier(IndexFacts facts)
      : rewriter_(known_, facts == IndexFacts::kLoops ? of_loops_ : rewriter_),
        indices_(facts == IndexFacts::kLoops ? of_loops_ : rewriter_) {}

  Stmt Simplify(const Stmt& s) {
    if (!s) return s;
    switch (s->kind) {
      case StmtKind::kFor:
        return SimplifyFor(s, *s.As<For>());
      case StmtKind::kBlock:
        return SimplifyBlock(s, *s.As<Block>());
      case StmtKind::kStore:
        return SimplifyStore(s, *s.As<Store>());
      case StmtKind::kIf:
        return SimplifyIf(s, *s.As<If>());
      case StmtKind::kAllocate: {
        const auto& node = *s.As<Allocate>();
        Stmt body = Simplify(node.body);
        if (!body) return body;
        return body.Same(node.body) ? s : MakeAllocate(node.buffer, std::move(body));
      }
      case StmtKind::kEvaluate: {
        const auto& node = *s.As<Evaluate>();
        const Expr value = rewriter_.Rewrite(node.value);
        return value.Same(node.value) ? s : MakeEvaluate(value);
      }
      case StmtKind::kAsyncCopy: {
        const auto& node = *s.As<AsyncCopy>();
        const Expr to = rewriter_.Rewrite(node.to_index), from = rewriter_.Rewrite(node.from_index);
        if (to.Same(node.to_index) && from.Same(node.from_index)) return s;
        return MakeAsyncCopy(node.to, to, node.from, from, node.elements, node.token);
      }
      case StmtKind::kBarrier:
      case StmtKind::kAsyncWait:
        return s;
    }
    return s;
  }

 private:
  Stmt SimplifyFor(const Stmt& s, const For& node) {
    if (node.extent == 0) return {};
    const size_t mark = known_.Mark(), loops_mark = loops_.Mark();
    const Interval range{node.min, node.min + node.extent - 1};
    known_.Bind(node.var.get(), range, depth_);
    loops_.Bind(node.var.get(), range, depth_++);
    Stmt body = Simplify(node.body);
    --depth_;
    known_.Rewind(mark);
    loops_.Rewind(loops_mark);
    const bool keep = node.loop_kind == LoopKind::kThread || node.loop_kind == LoopKind::kParallel;
    // A loop's only value has replaced its variable.
    if (!body || (node.extent == 1 && !keep)) return body;
    if (body.Same(node.body)) return s;
    return MakeFor(node.var, node.min, node.extent, std::move(body), node.loop_kind,
                   node.thread_axis);
  }

  Stmt SimplifyBlock(const Stmt& s, const Block& node) {
    std::vector<Stmt> stmts;
    stmts.reserve(node.stmts.size());
    bool changed = false;
    for (const Stmt& part : node.stmts) {
      stmts.push_back(Simplify(part));
      changed = changed || !stmts.back().Same(part);
    }
    return changed ? MakeBlock(std::move(stmts)) : s;
  }

  Stmt SimplifyStore(const Stmt& s, const Store& node) {
    const size_t mark = known_.Mark();
    Expr predicate = node.predicate;
    if (predicate) {
      predicate = rewriter_.Rewrite(predicate);
      const int64_t* value = AsConstInt(predicate);
      if ((value && *value == 0) || !rewriter_.Assume(predicate)) {
        known_.Rewind(mark);
        return {};
      }
      if (value) predicate = {};
    }
    std::vector<Expr> indices;
    indices.reserve(node.indices.size());
    bool changed = !predicate.Same(node.predicate);
    for (const Expr& index : node.indices) {
      indices.push_back(indices_.Rewrite(index));
      changed = changed || !indices.back().Same(index);
    }
    const Expr value = rewriter_.Rewrite(node.value);
    known_.Rewind(mark);
    if (!changed && value.Same(node.value)) return s;
    return MakeStore(node.buffer, std::move(indices), value, predicate, node.streaming);
  }

  Stmt SimplifyIf(const Stmt& s, const If& node) {
    const Expr condition = rewriter_.Rewrite(node.condition);
    if (const int64_t* value = AsConstInt(condition)) {
      return Simplify(*value != 0 ? node.then_body : node.else_body);
    }
    const size_t mark = known_.Mark();
    const bool may_hold = rewriter_.Assume(condition);
    const Stmt then_body = may_hold ? Simplify(node.then_body) : Stmt();
    known_.Rewind(mark);
    const bool may_fail = rewriter_.Assume(condition, false);
    const Stmt else_body = may_fail ? Simplify(node.else_body) : Stmt();
    known_.Rewind(mark);
    if (!may_hold) return else_body;
    if (!may_fail) return then_body;
    if (!then_body && !else_body) return {};
    if (!then_body) return MakeIf(rewriter_.Rewrite(MakeNot(condition)), else_body);
    if (condition.Same(node.condition) && then_body.Same(node.then_body) &&
        else_body.Same(node.else_body)) {
      return s;
    }
    return MakeIf(condition, then_body, else_body);
  }

  Knowledge known_{nullptr};
  Knowledge loops_{nullptr};  // without what tests say
  Rewriter of_loops_{loops_};
  Rewriter rewriter_;
  Rewriter& indices_;
  int depth_ = 0;
};

// A term factor × (dividend / divisor) of a sum.
struct QuotientTerm {
  Expr dividend;
  int64_t divisor = 0;  // 0: none
  int64_t factor = 0;
};

// Adds scale × e to the form; the first quotient goes to `quotient` if that is given.
bool CollectLinear(const Expr& e, int64_t scale, LinearForm& form, QuotientTerm* quotient) {
  if (const auto* imm = e.As<IntImm>()) {
    int64_t product;
    return !__builtin_mul_overflow(scale, imm->value, &product) &&
           !__builtin_add_overflow(form.constant, product, &form.constant);
  }
  if (e->kind == ExprKind::kVar) {
    for (auto& [var, coefficient] : form.terms) {
      if (var.get() == e.get()) return !__builtin_add_overflow(coefficient, scale, &coefficient);
    }
    form.terms.emplace_back(e.Share<Var>(), scale);
    return true;
  }
  const auto* node = e.As<Binary>();
  if (!node) return false;
  switch (node->op) {
    case BinaryOp::kAdd:
      return CollectLinear(node->a, scale, form, quotient) &&
             CollectLinear(node->b, scale, form, quotient);
    case BinaryOp::kSub:
      return scale != INT64_MIN && CollectLinear(node->a, scale, form, quotient) &&
             CollectLinear(node->b, -scale, form, quotient);
    case BinaryOp::kMul: {
      const bool right = AsConstInt(node->b) != nullptr;
      const int64_t* factor = AsConstInt(right ? node->b : node->a);
      int64_t product;
      return factor && !__builtin_mul_overflow(scale, *factor, &product) &&
             CollectLinear(right ? node->a : node->b, product, form, quotient);
    }
    case BinaryOp::kDiv: {
      const int64_t* divisor = AsConstInt(node->b);
      if (quotient == nullptr || quotient->divisor != 0 || !divisor || *divisor < 1) return false;
      *quotient = {node->a, *divisor, scale};
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

Expr Simplify(const Expr& e, const Ranges& ranges) {
  if (!e) return e;
  Knowledge known(&ranges);
  return Rewriter(known).Rewrite(e);
}

Stmt Simplify(const Stmt& s, IndexFacts facts) { return StmtSimplifier(facts).Simplify(s); }

std::optional<LinearForm> AsLinear(const Expr& e) {
  LinearForm form;
  if (!e || e.type() != Index() || !CollectLinear(e, 1, form, nullptr)) return std::nullopt;
  std::erase_if(form.terms, [](const auto& term) { return term.second == 0; });
  return form;
}

Expr FromLinear(const LinearForm& form) {
  Expr sum;
  for (const auto& [var, coefficient] : form.terms) {
    const Expr term = coefficient == 1 ? Expr(var) : Expr(var) * Expr(coefficient);
    sum = sum ? sum + term : term;
  }
  if (!sum) return Expr(form.constant);
  return form.constant == 0 ? sum : sum + Expr(form.constant);
}

std::optional<LinearForm> AsNonNegative(const Expr& condition) {
  const auto* compare = condition.As<Binary>();
  if (compare == nullptr || compare->a.type() != Index()) return std::nullopt;
  if (compare->op != BinaryOp::kLt && compare->op != BinaryOp::kLe) return std::nullopt;
  LinearForm form;
  QuotientTerm quotient;
  if (!CollectLinear(compare->b, 1, form, &quotient) ||
      !CollectLinear(compare->a, -1, form, &quotient)) {
    return std::nullopt;
  }
  if (compare->op == BinaryOp::kLt && __builtin_sub_overflow(form.constant, 1, &form.constant)) {
    return std::nullopt;
  }
  if (quotient.divisor > 1) {
    // rest + ⌊e/d⌋ >= 0 where e + d·rest >= 0; rest - ⌊e/d⌋ >= 0 where d·rest + d - 1 - e >= 0.
    if (quotient.factor != 1 && quotient.factor != -1) return std::nullopt;
    const int64_t d = quotient.divisor;
    for (auto& [var, coefficient] : form.terms) {
      if (__builtin_mul_overflow(coefficient, d, &coefficient)) return std::nullopt;
    }
    if (__builtin_mul_overflow(form.constant, d, &form.constant)) return std::nullopt;
    const int64_t slack = quotient.factor < 0 ? d - 1 : 0;
    if (__builtin_add_overflow(form.constant, slack, &form.constant)) return std::nullopt;
  }
  if (quotient.divisor > 0 && !CollectLinear(quotient.dividend, quotient.factor, form, nullptr)) {
    return std::nullopt;
  }
  std::erase_if(form.terms, [](const auto& term) { return term.second == 0; });
  return form;
}

}  // namespace tessera::ir
