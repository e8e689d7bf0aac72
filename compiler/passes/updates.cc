#include "compiler/passes/updates.h"

#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

bool SameIndex(const ir::Expr& a, const ir::Expr& b) {
  return a.Same(b) || ir::IsConst(ir::Simplify(a - b, {}), 0);
}

}  // namespace

std::optional<Update> AsUpdate(const ir::Store& store) {
  if (store.indices.size() != 1 || store.indices[0].type().is_vector()) return std::nullopt;
  const auto* node = store.value.As<ir::Binary>();
  if (node == nullptr) return std::nullopt;
  if (node->op != ir::BinaryOp::kAdd && node->op != ir::BinaryOp::kMul &&
      node->op != ir::BinaryOp::kMax && node->op != ir::BinaryOp::kMin) {
    return std::nullopt;
  }
  const auto is_old = [&](const ir::Expr& e) {
    const auto* load = e.As<ir::Load>();
    return load != nullptr && load->buffer == store.buffer && !load->predicate &&
           load->indices.size() == 1 && SameIndex(load->indices[0], store.indices[0]);
  };
  const bool left = is_old(node->a);
  if (!left && !is_old(node->b)) return std::nullopt;
  const ir::Expr& value = left ? node->b : node->a;
  if (ir::Reads(value, store.buffer)) return std::nullopt;
  return Update{store.buffer, store.indices[0], node->op, value};
}

ir::Stmt MakeUpdate(const Update& update, ir::Expr predicate) {
  const ir::Expr old = ir::MakeLoad(update.buffer, {update.at}, predicate);
  return ir::MakeStore(update.buffer, {update.at}, ir::MakeBinary(update.op, old, update.value),
                       predicate);
}

ir::Expr IdentityOf(ir::BinaryOp op, const ir::Expr& value) {
  const ir::Type type = value.type();
  if (op == ir::BinaryOp::kMax) return ir::MinValue(type);
  if (op == ir::BinaryOp::kMin) return ir::MaxValue(type);
  return ir::MakeConst(type, op == ir::BinaryOp::kMul ? 1 : 0);
}

bool IsOwnMemory(const ir::BufferNode& buffer, const ir::Expr& at, const ir::Ranges& ranges) {
  const std::optional<ir::Interval> bound = ir::Bound(at, ranges);
  return buffer.scope == ir::Scope::kLocal && bound && bound->min >= 0 &&
         bound->max < buffer.StoredElementCount();
}

std::vector<ir::Stmt> MakePairUpdate(const PairUpdate& update) {
  const ir::Expr best = ir::MakeLoad(update.values, update.where);
  const ir::Expr best_place = ir::MakeLoad(update.places, update.where);
  const ir::Expr better =
      update.op == ir::BinaryOp::kMax ? ir::Lt(best, update.value) : ir::Lt(update.value, best);
  const ir::Expr earlier = ir::And(ir::Eq(update.value, best), ir::Lt(update.place, best_place));
  return {
      ir::MakeStore(update.places, update.where,
                    ir::MakeSelect(ir::Or(better, earlier), update.place, best_place)),
      ir::MakeStore(update.values, update.where, ir::MakeBinary(update.op, best, update.value))};
}

std::optional<PairUpdate> AsPairUpdate(const ir::Stmt& first, const ir::Stmt& second) {
  const auto *places = first.As<ir::Store>(), *values = second.As<ir::Store>();
  if (places == nullptr || values == nullptr || places->predicate || values->predicate) {
    return std::nullopt;
  }
  const std::optional<Update> value = AsUpdate(*values);
  const auto* choice = places->value.As<ir::Select>();
  if (!value || choice == nullptr) return std::nullopt;
  PairUpdate update{values->buffer, places->buffer, {value->at},
                    value->op,      value->value,   choice->if_true};
  if (update.op != ir::BinaryOp::kMax && update.op != ir::BinaryOp::kMin) return std::nullopt;
  const std::vector<ir::Stmt> again = MakePairUpdate(update);
  if (ir::Print(again[0]) != ir::Print(first) || ir::Print(again[1]) != ir::Print(second)) {
    return std::nullopt;
  }
  return update;
}

}  // namespace tessera::passes
