#include "compiler/passes/vectorize_loops.h"

#include <algorithm>

#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

bool Allocates(const ir::Stmt& s) {
  bool found = false;
  ir::ForEach<ir::Allocate>(s, [&](const ir::Allocate&) { found = true; });
  return found;
}

// Puts a vector in place of one loop's variable and widens what depends on it.
class Widener final : public ir::Mutator {
 public:
  Widener(const ir::VarRef& var, int64_t base, int lanes)
      : var_(var), ramp_(ir::MakeRamp(ir::Expr(base), 1, lanes)), lanes_(lanes) {}
  // Lanes would store to one place: the test around it leaves at most one of them.
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
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    ir::Expr index = Mutate(store.indices[0]), value = Mutate(store.value);
    ir::Expr mask = MaskFor(store.predicate);
    const bool wide_index = index.type().is_vector();
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
    const ir::Expr saved = mask_;
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
    if (node.else_body) sequence.push_back(under(ir::MakeNot(condition), node.else_body));
    return ir::MakeBlock(std::move(sequence));
  }

  ir::VarRef var_;
  ir::Expr ramp_;
  int lanes_;
  ir::Expr mask_;  // lanes that execute; empty = all
  bool lanes_meet_ = false;
};

class Vectorizer final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    if (loop.loop_kind != ir::LoopKind::kVectorized) return ir::Mutator::MutateFor(loop, self);
    const ir::Stmt body = Mutate(loop.body);
    if (Allocates(body)) {
      return ir::MakeFor(loop.var, loop.min, loop.extent, body, ir::LoopKind::kUnrolled);
    }
    std::vector<ir::Stmt> chunks;
    for (int64_t done = 0; done < loop.extent; done += kMaxLanes) {
      const int64_t lanes = std::min(kMaxLanes, loop.extent - done);
      if (lanes == 1) {
        chunks.push_back(ir::Substitute(body, loop.var, ir::Expr(loop.min + done)));
        continue;
      }
      Widener widener(loop.var, loop.min + done, static_cast<int>(lanes));
      chunks.push_back(widener.Mutate(body));
      if (widener.lanes_meet()) return ir::MakeFor(loop.var, loop.min, loop.extent, body);
    }
    return ir::MakeBlock(std::move(chunks));
  }
};

}  // namespace

ir::Stmt VectorizeLoops(const ir::Stmt& root) { return Vectorizer().Mutate(root); }

}  // namespace tessera::passes
