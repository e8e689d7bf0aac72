#include "compiler/passes/vectorize_groups.h"

#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/updates.h"

namespace tessera::passes {
namespace {

constexpr int64_t kMaxValues = 256;

bool IsVectorized(const ir::For& loop) {
  return loop.loop_kind == ir::LoopKind::kVectorized && loop.extent > 1;
}

class Widener {
 public:
  Widener(const ir::For& points, const ir::For& group)
      : points_(points), group_(group), lanes_(static_cast<int>(points.extent * group.extent)) {}

  std::optional<ir::Stmt> Run(const ir::Store& store) const {
    if (store.predicate || store.streaming) return std::nullopt;
    const std::optional<Update> update = AsUpdate(store);
    if (!update) return std::nullopt;
    const std::optional<Steps> at = StepsOf(update->at);
    if (!at || at->points == 0 || at->group != 0) return std::nullopt;
    ir::Expr values = Widen(update->value);
    if (!values) return std::nullopt;
    const auto lanes = static_cast<int>(points_.extent);
    const ir::Expr where = ir::MakeRamp(First(update->at), at->points, lanes);
    const ir::Expr old = ir::MakeLoad(update->buffer, {where});
    const ir::Expr sums = ir::MakeReduce(update->op, Wide(values), lanes);
    return ir::MakeStore(update->buffer, {where}, ir::MakeBinary(update->op, old, sums));
  }

 private:
  // How far an index moves with each of the two loops.
  struct Steps {
    int64_t points = 0, group = 0;
  };

  bool Moves(const ir::Expr& e) const {
    return ir::Uses(e, points_.var) || ir::Uses(e, group_.var);
  }

  std::optional<Steps> StepsOf(const ir::Expr& index) const {
    if (!Moves(index)) return Steps{};
    if (const std::optional<ir::LinearForm> form = ir::AsLinear(index)) {
      Steps steps;
      for (const auto& [var, coefficient] : form->terms) {
        if (var == points_.var) steps.points = coefficient;
        if (var == group_.var) steps.group = coefficient;
      }
      return steps;
    }
    const auto* sum = index.As<ir::Binary>();
    if (sum == nullptr) return std::nullopt;
    const int64_t sign = sum->op == ir::BinaryOp::kAdd ? 1 : sum->op == ir::BinaryOp::kSub ? -1 : 0;
    if (sign == 0) return std::nullopt;
    const std::optional<Steps> a = StepsOf(sum->a), b = StepsOf(sum->b);
    if (!a || !b) return std::nullopt;
    return Steps{a->points + sign * b->points, a->group + sign * b->group};
  }

  // At the first point and the first of the group.
  ir::Expr First(const ir::Expr& index) const {
    return ir::Substitute(index, {points_.var, group_.var},
                          {ir::Expr(points_.min), ir::Expr(group_.min)});
  }

  ir::Expr Wide(const ir::Expr& e) const {
    return e.type().is_vector() ? e : ir::MakeBroadcast(e, lanes_);
  }

  // `e` for all points and members of the group, of each point together; as it is where none moves
  // it. Empty if it can't be made.
  ir::Expr Widen(const ir::Expr& e) const {
    if (!Moves(e)) return e;
    if (const auto* load = e.As<ir::Load>()) return WidenLoad(*load);
    if (const auto* cast = e.As<ir::Cast>()) {
      const ir::Expr value = Widen(cast->value);
      return value ? ir::MakeCast(cast->type.WithLanes(lanes_), value, cast->saturate) : ir::Expr();
    }
    if (const auto* node = e.As<ir::Binary>()) {
      const ir::Expr a = Widen(node->a), b = Widen(node->b);
      return a && b ? ir::MakeBinary(node->op, Wide(a), Wide(b)) : ir::Expr();
    }
    if (const auto* select = e.As<ir::Select>(); select != nullptr && !Moves(select->condition)) {
      const ir::Expr a = Widen(select->if_true), b = Widen(select->if_false);
      return a && b ? ir::MakeSelect(select->condition, Wide(a), Wide(b)) : ir::Expr();
    }
    return {};
  }

  ir::Expr WidenLoad(const ir::Load& load) const {
    if (load.predicate && Moves(load.predicate)) return {};
    const std::optional<Steps> steps = StepsOf(load.indices[0]);
    if (!steps || steps->group == 0) return {};
    const bool repeats = steps->points == 0;
    if (!repeats && steps->points != steps->group * group_.extent) return {};
    const int lanes = repeats ? static_cast<int>(group_.extent) : lanes_;
    ir::Expr predicate = load.predicate;
    if (predicate) predicate = ir::MakeBroadcast(predicate, lanes);
    const ir::Expr where = ir::MakeRamp(First(load.indices[0]), steps->group, lanes);
    return ir::MakeRepeat(ir::MakeLoad(load.buffer, {where}, predicate), lanes_);
  }

  const ir::For &points_, &group_;
  const int lanes_;
};

}  // namespace

std::optional<ir::Stmt> VectorizeGroups(const ir::For& loop) {
  const auto* group = loop.body.As<ir::For>();
  if (!IsVectorized(loop) || group == nullptr || !IsVectorized(*group)) return std::nullopt;
  if (loop.extent > kMaxValues || group->extent > kMaxValues / loop.extent) return std::nullopt;
  const auto* store = group->body.As<ir::Store>();
  return store == nullptr ? std::nullopt : Widener(loop, *group).Run(*store);
}

}  // namespace tessera::passes
