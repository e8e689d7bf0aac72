#include "compiler/passes/partition_loops.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"
#include "compiler/passes/unroll_loops.h"
#include "compiler/passes/vectorize_groups.h"

namespace tessera::passes {
namespace {

// Iterations at one end that are peeled one by one; more stay a loop with its tests.
constexpr int64_t kMaxPeeled = 2;

// Stores of the whole program after unrolling: copies of loop bodies stop there, because compile
// time and instruction cache suffer more than a test costs.
constexpr int64_t kMaxStores = 640;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }
int64_t CeilDiv(int64_t a, int64_t b) { return -FloorDiv(-a, b); }

// A loop is cut for the sake of tests in values if at least one in so many of its stores has some.
constexpr int64_t kMostPerTested = 8;

// [begin, end) of the iterations in which every test that it has seen holds for certain.
struct SafeRange {
  int64_t begin, end;

  // Narrows the range by coefficient × v + lowest >= 0.
  void Require(int64_t coefficient, int64_t lowest) {
    if (coefficient > 0) {
      begin = std::max(begin, CeilDiv(-lowest, coefficient));
    } else {
      end = std::min(end, FloorDiv(lowest, -coefficient) + 1);
    }
  }
};

// Collects the tests inside a loop's body that depend on its variable and otherwise only on
// unrolled and vectorised loops further in.
class TestCollector final : public ir::Visitor {
 public:
  TestCollector(const ir::VarRef& var, SafeRange range) : var_(var), range_(range) {}
  SafeRange range() const { return range_; }
  // Whether statements depend on the tests, and not values alone.
  bool guards() const { return guards_; }
  // Stores, after unrolling, whose values depend on them.
  int64_t tested_stores() const { return tested_stores_; }

 private:
  void VisitFor(const ir::For& loop) override {
    const bool expanded =
        loop.loop_kind == ir::LoopKind::kUnrolled || loop.loop_kind == ir::LoopKind::kVectorized;
    if (expanded) inner_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    const int64_t outer = copies_;
    if (loop.loop_kind == ir::LoopKind::kUnrolled) copies_ *= loop.extent;
    ir::Visitor::VisitFor(loop);
    copies_ = outer;
  }
  void VisitIf(const ir::If& node) override {
    if (AddTests(node.condition)) guards_ = true;
    ir::Visitor::VisitIf(node);
  }
  void VisitSelect(const ir::Select& node) override {
    if (AddTests(node.condition)) in_value_ = true;
    ir::Visitor::VisitSelect(node);
  }
  void VisitStore(const ir::Store& store) override {
    in_value_ = false;
    ir::Visitor::VisitStore(store);
    if (in_value_) tested_stores_ += copies_;
  }

  // Whether there were any.
  bool AddTests(const ir::Expr& condition) {
    bool any = false;
    for (const ir::Expr& part : Conjuncts(condition)) {
      const std::optional<ir::LinearForm> form = ir::AsNonNegative(part);
      if (!form) continue;
      int64_t coefficient = 0, lowest = form->constant;
      bool known = true;
      for (const auto& [var, factor] : form->terms) {
        if (var == var_) {
          coefficient = factor;
          continue;
        }
        const auto range = inner_.find(var.get());
        if (range == inner_.end()) {
          known = false;
          break;
        }
        lowest += factor * (factor > 0 ? range->second.min : range->second.max);
      }
      if (!known || coefficient == 0) continue;
      range_.Require(coefficient, lowest);
      any = true;
    }
    return any;
  }

  ir::VarRef var_;
  SafeRange range_;
  ir::Ranges inner_;
  int64_t copies_ = 1, tested_stores_ = 0;
  bool guards_ = false, in_value_ = false;
};

class Partitioner final : public ir::Mutator {
 public:
  explicit Partitioner(const ir::Stmt& root) : stores_(CountUnrolledStores(root)) {}

 private:
  ir::Stmt MutateFor(const ir::For& original, const ir::Stmt& self) override {
    const ir::Stmt tightened = Tighten(original, self);
    if (!tightened.Same(self)) return tightened ? Mutate(tightened) : tightened;
    const ir::For* loop = &original;
    if (loop->loop_kind != ir::LoopKind::kSerial || loop->extent == 1) {
      return ir::Mutator::MutateFor(*loop, tightened);
    }
    const int64_t begin = loop->min, end = loop->min + loop->extent;
    TestCollector collector(loop->var, {begin, end});
    collector.Visit(loop->body);
    SafeRange safe = collector.range();
    if (safe.begin <= begin && safe.end >= end) return ir::Mutator::MutateFor(*loop, tightened);
    const int64_t stores = CountUnrolledStores(loop->body);
    if (!collector.guards() && collector.tested_stores() * kMostPerTested < stores) {
      return ir::Mutator::MutateFor(*loop, tightened);
    }
    if (safe.begin >= safe.end) {
      // No certain iteration: short loops are taken apart, long ones keep their tests.
      if (loop->extent > 2 * kMaxPeeled) return ir::Mutator::MutateFor(*loop, tightened);
      safe = {end, end};
    }
    const int64_t copies = PieceCount(begin, safe.begin) + (safe.begin < safe.end ? 1 : 0) +
                           PieceCount(safe.end, end) - 1;
    const int64_t added = copies * stores;
    if (stores_ + added > kMaxStores) return ir::Mutator::MutateFor(*loop, tightened);
    stores_ += added;
    std::vector<ir::Stmt> pieces;
    AddPieces(*loop, begin, safe.begin, true, pieces);
    AddPieces(*loop, safe.begin, safe.end, false, pieces);
    AddPieces(*loop, safe.end, end, true, pieces);
    return ir::MakeBlock(std::move(pieces));
  }

  // Into how many loops the iterations at one end are taken apart.
  static int64_t PieceCount(int64_t begin, int64_t end) {
    if (begin >= end) return 0;
    return end - begin <= 2 * kMaxPeeled ? end - begin : 1;
  }

  void AddPieces(const ir::For& loop, int64_t begin, int64_t end, bool peel,
                 std::vector<ir::Stmt>& pieces) {
    const bool one_by_one = peel && PieceCount(begin, end) > 1;
    while (begin < end) {
      const int64_t count = one_by_one ? 1 : end - begin;
      const ir::VarRef var = ir::MakeVar(loop.var->name);
      const ir::Stmt piece =
          ir::Simplify(ir::MakeFor(var, begin, count, ir::Substitute(loop.body, loop.var, var)),
                       ir::IndexFacts::kLoops);
      // A middle piece has no test left on its own variable; what is inside may be cut further.
      if (piece) pieces.push_back(count > 1 && peel ? piece : Mutate(piece));
      begin += count;
    }
  }

  // for v: if (c(v)) body  →  for v in the range where c holds: body.
  static ir::Stmt Tighten(const ir::For& loop, const ir::Stmt& self) {
    const auto* guard = loop.body.As<ir::If>();
    const bool can_shrink = loop.loop_kind != ir::LoopKind::kThread;
    if (guard == nullptr || guard->else_body || !can_shrink) return self;
    SafeRange range{loop.min, loop.min + loop.extent};
    ir::Expr rest;
    for (const ir::Expr& part : Conjuncts(guard->condition)) {
      const std::optional<ir::LinearForm> form = ir::AsNonNegative(part);
      if (form && form->terms.size() == 1 && form->terms[0].first == loop.var) {
        range.Require(form->terms[0].second, form->constant);
      } else {
        rest = ir::And(rest, part);
      }
    }
    if (range.begin == loop.min && range.end == loop.min + loop.extent) return self;
    if (range.begin >= range.end) return ir::Stmt();
    // Instructions are of whole vectors.
    if (GuardOfGroups(loop) != nullptr && range.end - range.begin > 1) return self;
    return ir::Simplify(ir::MakeFor(loop.var, range.begin, range.end - range.begin,
                                    rest ? ir::MakeIf(rest, guard->then_body) : guard->then_body,
                                    loop.loop_kind, loop.thread_axis),
                        ir::IndexFacts::kLoops);
  }

  int64_t stores_;
};

}  // namespace

ir::Stmt PartitionLoops(const ir::Stmt& root) { return Partitioner(root).Mutate(root); }

}  // namespace tessera::passes
