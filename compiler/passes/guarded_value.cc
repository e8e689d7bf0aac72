#include "compiler/passes/guarded_value.h"

#include "compiler/ir/tf32.h"

namespace tessera::passes {
namespace {

bool IsZero(const ir::Expr& e) { return ir::IsConst(e, 0.0); }

// Splits `e` into a condition and a value such that e is zero where the condition is false:
// a product with a padded tap is skipped rather than multiplied.
GuardedValue SplitZero(const ir::Expr& e) {
  if (const auto* select = e.As<ir::Select>(); select != nullptr && IsZero(select->if_false)) {
    GuardedValue inner = SplitZero(select->if_true);
    return {ir::And(select->condition, inner.condition), inner.value};
  }
  if (const auto* product = e.As<ir::Binary>();
      product != nullptr && product->op == ir::BinaryOp::kMul) {
    GuardedValue a = SplitZero(product->a), b = SplitZero(product->b);
    if (!a.condition && !b.condition) return {{}, e};
    return {ir::And(a.condition, b.condition), a.value * b.value};
  }
  if (const ir::Expr* value = ir::AsTf32(e)) {
    GuardedValue inner = SplitZero(*value);
    if (inner.condition) return {inner.condition, ir::MakeTf32(inner.value)};
  }
  if (const auto* cast = e.As<ir::Cast>()) {
    GuardedValue inner = SplitZero(cast->value);
    if (inner.condition)
      return {inner.condition, ir::MakeCast(cast->type, inner.value, cast->saturate)};
  }
  return {{}, e};
}

}  // namespace

bool SameConst(const ir::Expr& a, const ir::Expr& b) {
  const auto* x = a.As<ir::FloatImm>();
  const auto* y = b.As<ir::FloatImm>();
  if (x != nullptr && y != nullptr) return x->value == y->value;
  const int64_t* i = ir::AsConstInt(a);
  const int64_t* j = ir::AsConstInt(b);
  return i != nullptr && j != nullptr && *i == *j;
}

GuardedValue SplitIdentity(te::Combiner combiner, const ir::Expr& body, int k) {
  if (combiner == te::Combiner::kSum) return SplitZero(body);
  if (const auto* select = body.As<ir::Select>();
      select != nullptr && SameConst(select->if_false, te::Identity(combiner, body.type(), k))) {
    return {select->condition, select->if_true};
  }
  return {{}, body};
}

}  // namespace tessera::passes
