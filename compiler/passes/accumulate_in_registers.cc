#include "compiler/passes/accumulate_in_registers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

// Twice the register file of the widest machine: more can't stay in registers anyway.
constexpr int64_t kMaxTileBytes = 4096;

bool IsExpanded(const ir::For& loop) {
  return loop.loop_kind == ir::LoopKind::kUnrolled || loop.loop_kind == ir::LoopKind::kVectorized;
}

// An index as a linear part plus what can't be written so (digits of a fused loop), which then
// depends on loops outside alone.
struct IndexForm {
  ir::LinearForm linear;
  ir::Expr rest;  // empty: none

  ir::Expr ToExpr() const { return rest ? ir::FromLinear(linear) + rest : ir::FromLinear(linear); }
};

bool SameForm(const IndexForm& a, const IndexForm& b) {
  if (a.linear.constant != b.linear.constant || a.linear.terms.size() != b.linear.terms.size() ||
      static_cast<bool>(a.rest) != static_cast<bool>(b.rest)) {
    return false;
  }
  if (a.rest && ir::Print(a.rest) != ir::Print(b.rest)) return false;
  return std::all_of(a.linear.terms.begin(), a.linear.terms.end(), [&](const auto& term) {
    return std::find(b.linear.terms.begin(), b.linear.terms.end(), term) != b.linear.terms.end();
  });
}

using Forms = std::vector<IndexForm>;  // one a dimension

// An unrolled or vectorised loop variable with the values that it takes in any loop that binds it
// (cutting a loop leaves several).
struct Expanded {
  ir::VarRef var;
  int64_t min, max;
  ir::LoopKind kind;
};

// How a loop's body uses each buffer.
class UseCollector final : public ir::Visitor {
 public:
  struct Use {
    ir::Buffer buffer;
    Forms forms;
    bool stored = false;
    bool loaded = false;
    bool uniform = true;  // every access has the same linear indices and no predicate
    int64_t loads = 0;
  };
  std::map<const ir::BufferNode*, Use> uses;
  std::map<const ir::Var*, Expanded> expanded;  // bound inside, to be expanded
  std::set<const ir::Var*> serial;              // bound inside, stay loops
  std::set<const ir::BufferNode*> allocated;    // inside

 private:
  void VisitFor(const ir::For& loop) override {
    bound_.push_back(loop.var);
    if (IsExpanded(loop)) {
      const int64_t last = loop.min + loop.extent - 1;
      auto [known, is_new] =
          expanded.try_emplace(loop.var.get(), Expanded{loop.var, loop.min, last, loop.loop_kind});
      known->second.min = std::min(known->second.min, loop.min);
      known->second.max = std::max(known->second.max, last);
    } else {
      serial.insert(loop.var.get());
    }
    ir::Visitor::VisitFor(loop);
  }
  void VisitAllocate(const ir::Allocate& node) override {
    allocated.insert(node.buffer.get());
    ir::Visitor::VisitAllocate(node);
  }
  void VisitLoad(const ir::Load& load) override {
    Use& use = Add(load.buffer, load.indices, !load.predicate);
    use.loaded = true;
    ++use.loads;
    ir::Visitor::VisitLoad(load);
  }
  void VisitStore(const ir::Store& store) override {
    Add(store.buffer, store.indices, !store.predicate).stored = true;
    const int64_t loads_before = uses[store.buffer.get()].loads;
    ir::Visitor::VisitStore(store);
    // A store that is no update starts the accumulation: promote further in, behind it.
    Use& use = uses[store.buffer.get()];
    use.uniform &= use.loads > loads_before;
  }

  // Adds `index` to `form`; false if a loop inside moves it in a way that is not linear.
  bool Split(const ir::Expr& index, IndexForm& form) const {
    if (const std::optional<ir::LinearForm> linear = ir::AsLinear(index)) {
      form.linear.constant += linear->constant;
      form.linear.terms.insert(form.linear.terms.end(), linear->terms.begin(), linear->terms.end());
      return true;
    }
    const auto* sum = index.As<ir::Binary>();
    if (sum != nullptr && sum->op == ir::BinaryOp::kAdd) {
      return Split(sum->a, form) && Split(sum->b, form);
    }
    const auto used = [&](const ir::VarRef& var) { return ir::Uses(index, var); };
    const bool moves_inside = std::any_of(bound_.begin(), bound_.end(), used);
    if (!moves_inside) form.rest = form.rest ? form.rest + index : index;
    return !moves_inside;
  }

  Use& Add(const ir::Buffer& buffer, const std::vector<ir::Expr>& indices, bool plain) {
    Use& use = uses[buffer.get()];
    const bool first = use.buffer == nullptr;
    use.buffer = buffer;
    use.uniform &= plain;
    Forms forms;
    for (const ir::Expr& index : indices) {
      IndexForm form;
      if (!Split(index, form)) {
        use.uniform = false;
        return use;
      }
      forms.push_back(std::move(form));
    }
    if (first) {
      use.forms = std::move(forms);
    } else if (use.forms.size() != forms.size() ||
               !std::equal(forms.begin(), forms.end(), use.forms.begin(), SameForm)) {
      use.uniform = false;
    }
    return use;
  }

  std::vector<ir::VarRef> bound_;  // by loops inside
};

// Redirects accesses of one buffer to the tile.
class Redirector final : public ir::Mutator {
 public:
  Redirector(const ir::Buffer& from, const ir::Buffer& to, const std::vector<ir::Expr>& indices)
      : from_(from), to_(to), indices_(indices) {}

 private:
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr& self) override {
    if (load.buffer == from_) return ir::MakeLoad(to_, indices_);
    return ir::Mutator::MutateLoad(load, self);
  }
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (store.buffer != from_) return ir::Mutator::MutateStore(store, self);
    return ir::MakeStore(to_, indices_, Mutate(store.value), {}, store.streaming);
  }

  ir::Buffer from_, to_;
  std::vector<ir::Expr> indices_;
};

class Promoter final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    ir::Stmt result = loop.loop_kind == ir::LoopKind::kSerial ? Promote(loop, self) : ir::Stmt();
    if (!result) result = ir::Mutator::MutateFor(loop, self);
    ranges_.erase(loop.var.get());
    return result;
  }

  // The loop with its accumulators promoted, or nothing if it has none.
  ir::Stmt Promote(const ir::For& loop, const ir::Stmt& self) {
    UseCollector collector;
    collector.Visit(self);
    for (const auto& [node, use] : collector.uses) {
      if (!use.stored || !use.loaded || !use.uniform || collector.allocated.contains(node))
        continue;
      std::optional<Tile> tile = MakeTile(use, collector);
      if (!tile) continue;
      const ir::Stmt body = Redirector(use.buffer, tile->buffer, tile->positions).Mutate(loop.body);
      // Further accumulators of the same loop, or of loops inside.
      const ir::Stmt redirected = ir::MakeFor(loop.var, loop.min, loop.extent, body);
      const ir::Stmt inner = MutateFor(*redirected.As<ir::For>(), redirected);
      ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
      return ir::MakeAllocate(
          tile->buffer,
          ir::MakeBlock({Copy(*tile, tile->buffer, tile->positions, use.buffer, tile->places),
                         inner,
                         Copy(*tile, use.buffer, tile->places, tile->buffer, tile->positions)}));
    }
    return ir::Stmt();
  }

  struct Tile {
    ir::Buffer buffer;
    std::vector<Expanded> loops;      // that span it
    std::vector<ir::Expr> positions;  // in the tile
    std::vector<ir::Expr> places;     // in the original
  };

  std::optional<Tile> MakeTile(const UseCollector::Use& use, const UseCollector& collector) {
    Tile tile;
    std::vector<int64_t> shape;
    bool moves = false;  // depends on a loop outside: else it has constant indices already
    for (size_t d = 0; d < use.forms.size(); ++d) {
      ir::LinearForm inner;
      ir::Ranges ranges = ranges_;
      int64_t extent = 1;
      moves |= static_cast<bool>(use.forms[d].rest);
      for (const auto& [var, coefficient] : use.forms[d].linear.terms) {
        if (collector.serial.contains(var.get())) return std::nullopt;
        const auto found = collector.expanded.find(var.get());
        if (found == collector.expanded.end()) {
          moves = true;
          continue;
        }
        if (coefficient < 0) return std::nullopt;
        const Expanded& loop = found->second;
        inner.terms.emplace_back(var, coefficient);
        inner.constant -= coefficient * loop.min;
        extent += coefficient * (loop.max - loop.min);
        ranges[var.get()] = {loop.min, loop.max};
        const bool is_new = std::none_of(tile.loops.begin(), tile.loops.end(),
                                         [&](const Expanded& l) { return l.var == loop.var; });
        if (is_new) tile.loops.push_back(loop);
      }
      const ir::Expr place = use.forms[d].ToExpr();
      const std::optional<ir::Interval> bound = ir::Bound(place, ranges);
      if (!bound || bound->min < 0 || bound->max >= use.buffer->shape[d]) return std::nullopt;
      tile.places.push_back(place);
      tile.positions.push_back(ir::FromLinear(inner));
      shape.push_back(extent);
    }
    if (!moves && use.buffer->scope == ir::Scope::kLocal) return std::nullopt;
    ir::BufferNode node;
    node.name = RegisterTileName(*use.buffer);
    node.type = use.buffer->type;
    node.shape = std::move(shape);
    node.scope = ir::Scope::kLocal;
    node.layout = VectorsInnermost(node.shape, use.forms, collector);
    tile.buffer = std::make_shared<const ir::BufferNode>(std::move(node));
    if (tile.buffer->StoredBytes() > kMaxTileBytes) return std::nullopt;
    // Vector loops innermost, so that copies move whole vectors.
    std::stable_sort(
        tile.loops.begin(), tile.loops.end(), [](const Expanded& a, const Expanded& b) {
          return a.kind == ir::LoopKind::kUnrolled && b.kind == ir::LoopKind::kVectorized;
        });
    return tile;
  }

  // Row-major, but for the dimensions that vector loops move in, which come last; what lies between
  // the places of a vector that takes every n-th comes first.
  static std::vector<ir::LayoutDim> VectorsInnermost(const std::vector<int64_t>& shape,
                                                     const Forms& forms,
                                                     const UseCollector& collector) {
    std::vector<ir::LayoutDim> layout, vectors;
    for (size_t d = 0; d < shape.size(); ++d) {
      int64_t stride = 0;  // 0: no vectors
      for (const auto& [var, coefficient] : forms[d].linear.terms) {
        const auto loop = collector.expanded.find(var.get());
        if (loop != collector.expanded.end() && loop->second.kind == ir::LoopKind::kVectorized) {
          stride = std::max(stride, coefficient);
        }
      }
      const int dim = static_cast<int>(d);
      if (stride > 1 && stride < shape[d]) {
        layout.insert(layout.begin(), {dim, 1, stride});
        vectors.push_back({dim, stride, (shape[d] + stride - 1) / stride});
      } else {
        (stride > 0 ? vectors : layout).push_back({dim, 1, shape[d]});
      }
    }
    layout.insert(layout.end(), vectors.begin(), vectors.end());
    return layout;
  }

  static ir::Stmt Copy(const Tile& tile, const ir::Buffer& to,
                       const std::vector<ir::Expr>& to_indices, const ir::Buffer& from,
                       const std::vector<ir::Expr>& from_indices) {
    std::vector<ir::VarRef> old_vars;
    std::vector<ir::Expr> new_vars;
    std::vector<ir::VarRef> fresh;
    for (const Expanded& loop : tile.loops) {
      old_vars.push_back(loop.var);
      fresh.push_back(ir::MakeVar(loop.var->name));
      new_vars.push_back(fresh.back());
    }
    const auto renamed = [&](const std::vector<ir::Expr>& indices) {
      std::vector<ir::Expr> result;
      for (const ir::Expr& index : indices) {
        result.push_back(ir::Substitute(index, old_vars, new_vars));
      }
      return result;
    };
    ir::Stmt body =
        ir::MakeStore(to, renamed(to_indices), ir::MakeLoad(from, renamed(from_indices)));
    for (size_t l = tile.loops.size(); l-- > 0;) {
      const Expanded& loop = tile.loops[l];
      body = ir::MakeFor(fresh[l], loop.min, loop.max - loop.min + 1, body, loop.kind);
    }
    return body;
  }

  ir::Ranges ranges_;
};

}  // namespace

ir::Stmt AccumulateInRegisters(const ir::Stmt& root) { return Promoter().Mutate(root); }

}  // namespace tessera::passes
