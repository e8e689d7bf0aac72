#include "compiler/passes/vectorize_groups.h"

#include <algorithm>
#include <vector>

#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"
#include "compiler/passes/updates.h"

namespace tessera::passes {
namespace {

constexpr int64_t kMaxValues = 256;

bool IsVectorized(const ir::For& loop) {
  return loop.loop_kind == ir::LoopKind::kVectorized && loop.extent > 1;
}

class Widener {
 public:
  // `ranges`: of the variables of loops around.
  Widener(const ir::For& points, const ir::For& group, const ir::Ranges& ranges)
      : points_(points),
        group_(group),
        ranges_(ranges),
        lanes_(static_cast<int>(points.extent * group.extent)) {}

  // `guard`: the test of a point, empty if there is none.
  std::optional<ir::Stmt> Run(const ir::Store& store, const ir::Expr& guard) {
    if (store.predicate || store.streaming || (guard && !MakeMask(guard))) return std::nullopt;
    const std::optional<Update> update = AsUpdate(store);
    if (!update) return std::nullopt;
    const std::optional<Steps> at = StepsOf(update->at);
    if (!at || at->points == 0 || at->group != 0) return std::nullopt;
    ir::Expr values = Widen(update->value);
    if (!values) return std::nullopt;
    const auto lanes = static_cast<int>(points_.extent);
    const ir::Expr where = ir::MakeRamp(First(update->at), at->points, lanes);
    const bool whole = !mask_ || IsOwnMemory(*update->buffer, update->at, ranges_);
    const ir::Expr predicate = whole ? ir::Expr() : mask_;
    const ir::Expr old = ir::MakeLoad(update->buffer, {where}, predicate);
    const ir::Expr sums = ir::MakeReduce(update->op, Wide(values), lanes);
    const ir::Expr updated = ir::MakeBinary(update->op, old, sums);
    // Stored whole, an accumulator stays in a register.
    const bool adds_zero = update->op == ir::BinaryOp::kAdd && IsZeroBeyond(update->value);
    return ir::MakeStore(
        update->buffer, {where},
        mask_ && whole && !adds_zero ? ir::MakeSelect(mask_, updated, old) : updated, predicate);
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

  // Which points count, as a vector; where one does, as a scalar. False if that can't be told.
  bool MakeMask(const ir::Expr& guard) {
    int64_t sign = 0;
    for (const ir::Expr& part : Conjuncts(guard)) {
      std::optional<ir::LinearForm> rest = ir::AsNonNegative(part);
      const auto step = rest ? std::find_if(rest->terms.begin(), rest->terms.end(),
                                            [&](const auto& t) { return t.first == points_.var; })
                             : decltype(rest->terms.begin()){};
      if (!rest || step == rest->terms.end() || ir::Uses(part, group_.var)) return false;
      const int64_t by = step->second;
      // Tests that the first points pass, or tests that the last ones pass: one point passes all.
      if (sign * by < 0) return false;
      sign = by;
      rest->terms.erase(step);
      const int64_t first = by * points_.min, last = first + by * (points_.extent - 1);
      const ir::Expr others = ir::FromLinear(*rest);
      const auto lanes = static_cast<int>(points_.extent);
      mask_ = ir::And(mask_, ir::Le(ir::MakeRamp(ir::Expr(-first), -by, lanes),
                                    ir::MakeBroadcast(others, lanes)));
      some_ = ir::And(some_, ir::Le(ir::Expr(-std::max(first, last)), others));
    }
    return true;
  }

  // Whether the wide `e` is zero for points that don't count, as what is loaded for them is.
  bool IsZeroBeyond(const ir::Expr& e) const {
    if (!e.type().is_integer()) return false;
    if (const auto* load = e.As<ir::Load>()) return ir::Uses(load->indices[0], points_.var);
    if (const auto* cast = e.As<ir::Cast>()) return IsZeroBeyond(cast->value);
    const auto* node = e.As<ir::Binary>();
    return node != nullptr && node->op == ir::BinaryOp::kMul &&
           (IsZeroBeyond(node->a) || IsZeroBeyond(node->b));
  }

  ir::Expr Wide(const ir::Expr& e) const {
    return e.type().is_vector() ? e : ir::MakeBroadcast(e, lanes_);
  }

  // `e` for all points and members of the group, of each point together; as it is where none moves
  // it. Empty if it can't be made.
  ir::Expr Widen(const ir::Expr& e) const {
    if (!Moves(e)) return mask_ && ir::ReadsMemory(e) ? ir::Expr() : e;
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
    const ir::Expr predicate = Predicate(load, repeats);
    if (!predicate && (load.predicate || mask_)) return {};
    const ir::Expr where = ir::MakeRamp(First(load.indices[0]), steps->group, lanes);
    return ir::MakeRepeat(ir::MakeLoad(load.buffer, {where}, predicate), lanes_);
  }

  // Of `load` for all points, or of the group that all of them share. Empty if it needs none, or if
  // it can't be made.
  ir::Expr Predicate(const ir::Load& load, bool shared) const {
    const auto points = static_cast<int>(points_.extent), group = static_cast<int>(group_.extent);
    if (shared) {
      const ir::Expr all = ir::And(load.predicate, some_);
      return all ? ir::MakeBroadcast(all, group) : all;
    }
    if (!mask_) return load.predicate ? ir::MakeBroadcast(load.predicate, lanes_) : ir::Expr();
    if (group != 2 && group != 4) return {};
    const ir::Expr all = load.predicate ? ir::MakeBroadcast(load.predicate, points) : ir::Expr();
    return ir::MakeInterleave(std::vector<ir::Expr>(group_.extent, ir::And(all, mask_)));
  }

  const ir::For &points_, &group_;
  const ir::Ranges& ranges_;
  const int lanes_;
  ir::Expr mask_, some_;  // empty: all points count
};

}  // namespace

const ir::If* GuardOfGroups(const ir::For& loop) {
  const auto* guard = loop.body.As<ir::If>();
  if (!IsVectorized(loop) || guard == nullptr || guard->else_body) return nullptr;
  const auto* group = guard->then_body.As<ir::For>();
  return group != nullptr && IsVectorized(*group) ? guard : nullptr;
}

std::optional<ir::Stmt> VectorizeGroups(const ir::For& loop, const ir::Ranges& ranges) {
  const ir::If* guard = GuardOfGroups(loop);
  const auto* group = (guard != nullptr ? guard->then_body : loop.body).As<ir::For>();
  if (!IsVectorized(loop) || group == nullptr || !IsVectorized(*group)) return std::nullopt;
  if (loop.extent > kMaxValues || group->extent > kMaxValues / loop.extent) return std::nullopt;
  const auto* store = group->body.As<ir::Store>();
  if (store == nullptr) return std::nullopt;
  ir::Ranges inside = ranges;
  for (const ir::For* each : {&loop, group}) {
    inside[each->var.get()] = {each->min, each->min + each->extent - 1};
  }
  return Widener(loop, *group, inside).Run(*store, guard ? guard->condition : ir::Expr());
}

}  // namespace tessera::passes
