#include "compiler/passes/vectorize_loops.h"

#include <algorithm>

#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"
#include "compiler/passes/updates.h"
#include "compiler/passes/vectorize_groups.h"
#include "compiler/schedule/lowering_limits.h"

namespace tessera::passes {
namespace {

bool Allocates(const ir::Stmt& s) {
  bool found = false;
  ir::ForEach<ir::Allocate>(s, [&](const ir::Allocate&) { found = true; });
  return found;
}

bool HoldsVectors(const ir::Stmt& s) {
  bool found = false;
  ir::ForEach<ir::Ramp>(s, [&](const ir::Ramp&) { found = true; });
  ir::ForEach<ir::Broadcast>(s, [&](const ir::Broadcast&) { found = true; });
  return found;
}

// Puts a vector in place of one loop's variable and widens what depends on it.
class Widener final : public ir::Mutator {
 public:
  // `ranges`: of the variables of loops around.
  Widener(const ir::VarRef& var, int64_t base, int lanes, ir::Ranges ranges)
      : var_(var),
        ramp_(ir::MakeRamp(ir::Expr(base), 1, lanes)),
        lanes_(lanes),
        ranges_(std::move(ranges)) {}
  // Lanes would store to one place, and that is no reduction: run them one by one.
  bool lanes_meet() const { return lanes_meet_; }

 private:
  ir::Expr Widen(const ir::Expr& e) const {
    return e.type().is_vector() ? e : ir::MakeBroadcast(e, lanes_);
  }
  // Both wide if one is.
  void Match(ir::Expr& a, ir::Expr& b) const {
    if (a.type().is_vector() != b.type().is_vector()) {
      a = Widen(a);
      b = Widen(b);
    }
  }
  ir::Expr MaskFor(const ir::Expr& predicate) {
    ir::Expr mask = predicate ? Mutate(predicate) : ir::Expr();
    if (mask && mask_) Match(mask, mask_);
    return ir::And(mask_, mask);
  }

  ir::Expr MutateVar(const ir::Var& var, const ir::Expr& self) override {
    return &var == var_.get() ? ramp_ : self;
  }
  ir::Expr MutateBinary(const ir::Binary& node, const ir::Expr& self) override {
    ir::Expr a = Mutate(node.a), b = Mutate(node.b);
    if (a.Same(node.a) && b.Same(node.b)) return self;
    Match(a, b);
    return ir::MakeBinary(node.op, a, b);
  }
  ir::Expr MutateSelect(const ir::Select& node, const ir::Expr& self) override {
    ir::Expr condition = Mutate(node.condition);
    if (!condition.type().is_vector()) {
      ir::Expr a = Mutate(node.if_true), b = Mutate(node.if_false);
      if (condition.Same(node.condition) && a.Same(node.if_true) && b.Same(node.if_false)) {
        return self;
      }
      Match(a, b);
      return ir::MakeSelect(condition, a, b);
    }
    // Lanes that take the other side must not read.
    ir::Expr a = Widen(MutateUnder(condition, node.if_true));
    ir::Expr b = Widen(MutateUnder(ir::MakeNot(condition), node.if_false));
    return ir::MakeSelect(condition, a, b);
  }
  ir::Expr MutateUnder(const ir::Expr& condition, const ir::Expr& e) {
    const ir::Expr saved = mask_;
    ir::Expr narrower = condition;
    if (mask_) {
      ir::Expr outer = mask_;
      Match(outer, narrower);
      narrower = ir::And(outer, narrower);
    }
    mask_ = narrower;
    ir::Expr result = Mutate(e);
    mask_ = saved;
    return result;
  }
  ir::Expr MutateCast(const ir::Cast& node, const ir::Expr& self) override {
    ir::Expr value = Mutate(node.value);
    if (value.Same(node.value)) return self;
    return ir::MakeCast(node.type.WithLanes(value.type().lanes), value, node.saturate);
  }
  ir::Expr MutateNot(const ir::Not& node, const ir::Expr& self) override {
    ir::Expr a = Mutate(node.a);
    return a.Same(node.a) ? self : ir::MakeNot(a);
  }
  ir::Expr MutateCall(const ir::Call& node, const ir::Expr& self) override {
    std::vector<ir::Expr> args;
    bool wide = false, same = true;
    for (const ir::Expr& arg : node.args) {
      args.push_back(Mutate(arg));
      wide |= args.back().type().is_vector();
      same &= args.back().Same(arg);
    }
    if (same) return self;
    if (wide) {
      for (ir::Expr& arg : args) arg = Widen(arg);
    }
    return ir::MakeCall(node.type.WithLanes(wide ? lanes_ : 1), node.name, std::move(args));
  }
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr& self) override {
    ir::Expr index = Mutate(load.indices[0]);
    ir::Expr mask = MaskFor(load.predicate);
    if (index.Same(load.indices[0]) && mask.Same(load.predicate)) return self;
    if (!index.type().is_vector() && mask && mask.type().is_vector()) {
      // A value that all lanes share, wanted by some of them.
      index = Widen(index);
    }
    if (mask) Match(index, mask);
    return ir::MakeLoad(load.buffer, {index}, mask);
  }
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    return ir::Mutator::MutateFor(loop, self);
  }
  ir::Stmt MutateBlock(const ir::Block& block, const ir::Stmt&) override {
    std::vector<ir::Stmt> stmts;
    for (size_t i = 0; i < block.stmts.size(); ++i) {
      if (i + 1 < block.stmts.size()) {
        const auto pair = AsPairUpdate(block.stmts[i], block.stmts[i + 1]);
        const ir::Expr where = pair ? Mutate(pair->where[0]) : ir::Expr();
        if (pair && !where.type().is_vector()) {
          stmts.push_back(CombinePairs(*pair));
          ++i;
          continue;
        }
        const bool in_registers = pair && IsOwnMemory(*pair->values, pair->where[0], ranges_) &&
                                  IsOwnMemory(*pair->places, pair->where[0], ranges_);
        if (pair && (!mask_ || in_registers)) {
          // Whole: what a select does not take may be read here.
          PairUpdate wide = *pair;
          wide.where = {where};
          wide.value = Masked(mask_, Widen(Mutate(pair->value)), IdentityOf(pair->op, pair->value));
          wide.place = Masked(mask_, Widen(Mutate(pair->place)), ir::MaxValue(pair->place.type()));
          for (ir::Stmt& store : MakePairUpdate(wide)) stmts.push_back(std::move(store));
          ++i;
          continue;
        }
      }
      stmts.push_back(Mutate(block.stmts[i]));
    }
    return ir::MakeBlock(std::move(stmts));
  }

  // Whether `at` may be accessed although no lane counts. Gaps in the storage are never written.
  bool IsReachable(const ir::Buffer& buffer, const ir::Expr& at) const {
    const int64_t stored = buffer->StoredElementCount();
    const std::optional<ir::Interval> bound = ir::Bound(at, ranges_);
    return stored == buffer->ElementCount() && bound && bound->min >= 0 && bound->max < stored;
  }

  // `value` with `neutral` in the lanes that don't count.
  ir::Expr Masked(const ir::Expr& mask, const ir::Expr& value, const ir::Expr& neutral) const {
    return mask ? ir::MakeSelect(Widen(mask), value, Widen(neutral)) : value;
  }

  // `update` of an accumulator at `at` where some lane may count, written for all. Where the tests
  // that all lanes share fail, the place may be another thread's or another row's.
  ir::Stmt Guarded(ir::Stmt update, const ir::Buffer& buffer, const ir::Expr& at) const {
    return guard_ && !IsOwnMemory(*buffer, at, ranges_) ? ir::MakeIf(guard_, std::move(update))
                                                        : update;
  }

  // The lanes update one accumulator: they are combined first.
  ir::Stmt CombineLanes(const ir::Store& store, const Update& update, const ir::Stmt& self) {
    const ir::Expr mask = MaskFor(store.predicate);
    ir::Expr value = Widen(Mutate(update.value));
    const bool masked = mask && mask.type().is_vector();
    if (masked && !IsReachable(update.buffer, update.at)) {
      lanes_meet_ = true;
      return self;
    }
    if (masked) value = Masked(mask, value, IdentityOf(update.op, update.value));
    const ir::Stmt combined =
        MakeUpdate({update.buffer, update.at, update.op, ir::MakeReduce(update.op, value)},
                   masked ? ir::Expr() : mask);
    return Guarded(combined, update.buffer, update.at);
  }

  // The best lane, then of the lanes that are as good the smallest place.
  ir::Stmt CombinePairs(const PairUpdate& update) {
    ir::Expr value = Widen(Mutate(update.value)), place = Widen(Mutate(update.place));
    if (mask_ && !IsReachable(update.values, update.where[0])) {
      lanes_meet_ = true;
      return {};
    }
    value = Masked(mask_, value, IdentityOf(update.op, update.value));
    place = Masked(mask_, place, ir::MaxValue(update.place.type()));
    const auto local = [](const ir::Buffer& like) {
      return ir::MakeBuffer(like->name + ".lanes", like->type, {1}, ir::Scope::kLocal);
    };
    const ir::Buffer best = local(update.values), best_place = local(update.places);
    const ir::Expr best_value = ir::MakeLoad(best, {ir::Expr(0)});
    const ir::Expr as_good = ir::Eq(value, ir::MakeBroadcast(best_value, lanes_));
    std::vector<ir::Stmt> stmts = {
        ir::MakeStore(best, {ir::Expr(0)}, ir::MakeReduce(update.op, value)),
        ir::MakeStore(best_place, {ir::Expr(0)},
                      ir::MakeReduce(ir::BinaryOp::kMin,
                                     ir::MakeSelect(as_good, place, ir::MaxValue(place.type()))))};
    PairUpdate combined = update;
    combined.value = best_value;
    combined.place = ir::MakeLoad(best_place, {ir::Expr(0)});
    for (ir::Stmt& store : MakePairUpdate(combined)) stmts.push_back(std::move(store));
    return Guarded(
        ir::MakeAllocate(best, ir::MakeAllocate(best_place, ir::MakeBlock(std::move(stmts)))),
        update.values, update.where[0]);
  }

  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    ir::Expr index = Mutate(store.indices[0]);
    if (!index.type().is_vector()) {
      if (const std::optional<Update> update = AsUpdate(store)) {
        return CombineLanes(store, *update, self);
      }
    }
    ir::Expr value = Mutate(store.value);
    ir::Expr mask = MaskFor(store.predicate);
    const bool wide_index = index.type().is_vector();
    if (wide_index && mask && IsOwnMemory(*store.buffer, store.indices[0], ranges_)) {
      // First values and updates of whole vectors keep the accumulators in registers.
      const ir::Expr old = ir::MakeLoad(store.buffer, {index});
      const std::optional<Update> update = AsUpdate(store);
      ir::Expr whole;
      if (update) {
        whole = ir::MakeBinary(update->op, old, Widen(Mutate(update->value)));
      } else if (store.value.As<ir::FloatImm>() != nullptr || ir::AsConstInt(store.value)) {
        whole = Widen(value);
      }
      if (whole) {
        return ir::MakeStore(store.buffer, {index}, Masked(mask, whole, old), {}, store.streaming);
      }
    }
    if (!wide_index && (value.type().is_vector() || (mask && mask.type().is_vector()))) {
      lanes_meet_ = true;
      return self;
    }
    if (wide_index) value = Widen(value);
    if (wide_index && mask) mask = Widen(mask);
    return ir::MakeStore(store.buffer, {index}, value, mask, store.streaming);
  }
  ir::Stmt MutateIf(const ir::If& node, const ir::Stmt& self) override {
    const ir::Expr condition = Mutate(node.condition);
    if (!condition.type().is_vector()) return ir::Mutator::MutateIf(node, self);
    const ir::Expr saved = mask_, saved_guard = guard_;
    for (const ir::Expr& part : Conjuncts(node.condition)) {
      const ir::Expr shared = Mutate(part);
      if (!shared.type().is_vector()) guard_ = ir::And(guard_, shared);
    }
    const auto under = [&](const ir::Expr& c, const ir::Stmt& s) {
      ir::Expr narrower = c;
      if (saved) {
        ir::Expr outer = saved;
        Match(outer, narrower);
        narrower = ir::And(outer, narrower);
      }
      mask_ = narrower;
      ir::Stmt result = Mutate(s);
      mask_ = saved;
      return result;
    };
    std::vector<ir::Stmt> sequence{under(condition, node.then_body)};
    guard_ = saved_guard;
    if (node.else_body) sequence.push_back(under(ir::MakeNot(condition), node.else_body));
    return ir::MakeBlock(std::move(sequence));
  }

  ir::VarRef var_;
  ir::Expr ramp_;
  int lanes_;
  ir::Ranges ranges_;
  ir::Expr mask_;   // lanes that execute; empty = all
  ir::Expr guard_;  // what of the mask all lanes share; empty = nothing
  bool lanes_meet_ = false;
};

// An update by the combined lanes of a vector.
struct LaneUpdate {
  Update update;
  ir::Expr vector;
};

std::optional<LaneUpdate> AsLaneUpdate(const ir::Stmt& s) {
  const auto* store = s.As<ir::Store>();
  if (store == nullptr || store->predicate) return std::nullopt;
  std::optional<Update> update = AsUpdate(*store);
  const auto* call = update ? update->value.As<ir::Call>() : nullptr;
  if (call == nullptr || ir::ReduceOp(call->name) != update->op) return std::nullopt;
  return LaneUpdate{*std::move(update), call->args[0]};
}

// All of `vectors` at once: whole vectors are combined before lanes.
ir::Stmt UpdateBy(const Update& update, std::vector<ir::Expr> vectors) {
  while (vectors.size() > 1) {
    std::vector<ir::Expr> halves;
    for (size_t i = 0; i + 1 < vectors.size(); i += 2) {
      halves.push_back(ir::MakeBinary(update.op, vectors[i], vectors[i + 1]));
    }
    if (vectors.size() % 2 == 1) halves.push_back(vectors.back());
    vectors = std::move(halves);
  }
  return MakeUpdate({update.buffer, update.at, update.op, ir::MakeReduce(update.op, vectors[0])});
}

class Vectorizer final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    if (loop.loop_kind == ir::LoopKind::kUnrolled) return MergeCopies(loop, self);
    if (loop.loop_kind != ir::LoopKind::kVectorized) return ir::Mutator::MutateFor(loop, self);
    if (std::optional<ir::Stmt> groups = VectorizeGroups(loop, ranges_)) return *std::move(groups);
    if (std::optional<ir::Stmt> mixed = Interleaved(loop)) return *std::move(mixed);
    const ir::Stmt body = Mutate(loop.body);
    if (Allocates(body) || HoldsVectors(body)) {
      const ir::Stmt unrolled =
          ir::MakeFor(loop.var, loop.min, loop.extent, body, ir::LoopKind::kUnrolled);
      return MergeCopies(*unrolled.As<ir::For>(), unrolled);
    }
    std::vector<ir::Stmt> chunks;
    for (int64_t done = 0; done < loop.extent; done += schedule::kMaxLanes) {
      const int64_t lanes = std::min(schedule::kMaxLanes, loop.extent - done);
      if (lanes == 1) {
        chunks.push_back(ir::Substitute(body, loop.var, ir::Expr(loop.min + done)));
        continue;
      }
      Widener widener(loop.var, loop.min + done, static_cast<int>(lanes), ranges_);
      chunks.push_back(widener.Mutate(body));
      if (widener.lanes_meet()) return ir::MakeFor(loop.var, loop.min, loop.extent, body);
    }
    return ir::MakeBlock(std::move(chunks));
  }

  // for v vectorized { for j vectorized { B[2 v + j] = value(v, j) } }, whose values are likely to
  // be contiguous along v, as B[2 v …] = interleave(value(…, 0), value(…, 1)).
  std::optional<ir::Stmt> Interleaved(const ir::For& loop) const {
    const auto* inner = loop.body.As<ir::For>();
    if (inner == nullptr || inner->loop_kind != ir::LoopKind::kVectorized) return std::nullopt;
    const int64_t count = inner->extent;
    const auto* store = inner->body.As<ir::Store>();
    if (store == nullptr || store->predicate || store->streaming || (count != 2 && count != 4) ||
        loop.extent * count > schedule::kMaxLanes || loop.extent < 2) {
      return std::nullopt;
    }
    const auto at = [&](int64_t v, int64_t j) {
      return ir::Substitute(store->indices[0], {loop.var, inner->var},
                            {ir::Expr(loop.min + v), ir::Expr(inner->min + j)});
    };
    // Each place, since layouts can permute those in between.
    for (int64_t place = 1; place < loop.extent * count; ++place) {
      const ir::Expr moved = at(place / count, place % count) - at(0, 0);
      if (!ir::IsConst(ir::Simplify(moved, ranges_), static_cast<double>(place))) {
        return std::nullopt;
      }
    }
    const auto lanes = static_cast<int>(loop.extent);
    std::vector<ir::Expr> values;
    for (int64_t j = 0; j < count; ++j) {
      Widener widener(loop.var, loop.min, lanes, ranges_);
      const ir::Expr value =
          widener.Mutate(ir::Substitute(store->value, {inner->var}, {ir::Expr(inner->min + j)}));
      values.push_back(value.type().is_vector() ? value : ir::MakeBroadcast(value, lanes));
    }
    const ir::Expr where = ir::MakeRamp(at(0, 0), 1, static_cast<int>(loop.extent * count));
    return ir::MakeStore(store->buffer, {where}, ir::MakeInterleave(std::move(values)));
  }

  // An unrolled loop all of whose copies add lanes to one accumulator.
  ir::Stmt MergeCopies(const ir::For& loop, const ir::Stmt& self) {
    const ir::Stmt mutated = ir::Mutator::MutateFor(loop, self);
    const auto* unrolled = mutated.As<ir::For>();
    const std::optional<LaneUpdate> lanes =
        unrolled != nullptr ? AsLaneUpdate(unrolled->body) : std::nullopt;
    if (!lanes || ir::Uses(lanes->update.at, loop.var) || loop.extent > kMaxMerged) return mutated;
    std::vector<ir::Expr> vectors;
    for (int64_t i = 0; i < loop.extent; ++i) {
      vectors.push_back(ir::Substitute(lanes->vector, {loop.var}, {ir::Expr(loop.min + i)}));
    }
    return UpdateBy(lanes->update, std::move(vectors));
  }

  static constexpr int64_t kMaxMerged = 64;
  ir::Ranges ranges_;
};

}  // namespace

ir::Stmt VectorizeLoops(const ir::Stmt& root) { return Vectorizer().Mutate(root); }

}  // namespace tessera::passes
