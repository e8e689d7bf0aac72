#include "compiler/ir/visitor.h"

#include "absl/container/flat_hash_map.h"
#include "base/status.h"

namespace tessera::ir {

void Visitor::Visit(const Expr& e) {
  if (!e) return;
  switch (e->kind) {
#define X(name)           \
  case ExprKind::k##name: \
    return Visit##name(static_cast<const name&>(*e.get()));
    TESSERA_IR_EXPR_NODES(X)
#undef X
  }
}

void Visitor::Visit(const Stmt& s) {
  if (!s) return;
  switch (s->kind) {
#define X(name)           \
  case StmtKind::k##name: \
    return Visit##name(static_cast<const name&>(*s.get()));
    TESSERA_IR_STMT_NODES(X)
#undef X
  }
}

void Visitor::VisitIntImm(const IntImm&) {}
void Visitor::VisitFloatImm(const FloatImm&) {}
void Visitor::VisitVar(const Var&) {}
void Visitor::VisitBinary(const Binary& node) {
  Visit(node.a);
  Visit(node.b);
}
void Visitor::VisitNot(const Not& node) { Visit(node.a); }
void Visitor::VisitSelect(const Select& node) {
  Visit(node.condition);
  Visit(node.if_true);
  Visit(node.if_false);
}
void Visitor::VisitCast(const Cast& node) { Visit(node.value); }
void Visitor::VisitLoad(const Load& node) {
  for (const Expr& index : node.indices) Visit(index);
  Visit(node.predicate);
}
void Visitor::VisitRamp(const Ramp& node) { Visit(node.base); }
void Visitor::VisitBroadcast(const Broadcast& node) { Visit(node.value); }
void Visitor::VisitCall(const Call& node) {
  for (const Expr& arg : node.args) Visit(arg);
}
void Visitor::VisitFor(const For& node) { Visit(node.body); }
void Visitor::VisitBlock(const Block& node) {
  for (const Stmt& s : node.stmts) Visit(s);
}
void Visitor::VisitStore(const Store& node) {
  for (const Expr& index : node.indices) Visit(index);
  Visit(node.value);
  Visit(node.predicate);
}
void Visitor::VisitIf(const If& node) {
  Visit(node.condition);
  Visit(node.then_body);
  Visit(node.else_body);
}
void Visitor::VisitAllocate(const Allocate& node) { Visit(node.body); }
void Visitor::VisitEvaluate(const Evaluate& node) { Visit(node.value); }
void Visitor::VisitBarrier(const Barrier&) {}
void Visitor::VisitAsyncCopy(const AsyncCopy& node) {
  Visit(node.to_index);
  Visit(node.from_index);
}
void Visitor::VisitAsyncWait(const AsyncWait&) {}

Expr Mutator::Mutate(const Expr& e) {
  if (!e) return e;
  switch (e->kind) {
#define X(name)           \
  case ExprKind::k##name: \
    return Mutate##name(static_cast<const name&>(*e.get()), e);
    TESSERA_IR_EXPR_NODES(X)
#undef X
  }
  return e;
}

Stmt Mutator::Mutate(const Stmt& s) {
  if (!s) return s;
  switch (s->kind) {
#define X(name)           \
  case StmtKind::k##name: \
    return Mutate##name(static_cast<const name&>(*s.get()), s);
    TESSERA_IR_STMT_NODES(X)
#undef X
  }
  return s;
}

namespace {

// Mutates each element; `changed` tells whether any is a new node.
struct MutatedList {
  std::vector<Expr> exprs;
  bool changed = false;
};

template <typename Mutate>
MutatedList MutateAll(const std::vector<Expr>& list, Mutate mutate) {
  MutatedList result;
  result.exprs.reserve(list.size());
  for (const Expr& e : list) {
    result.exprs.push_back(mutate(e));
    result.changed = result.changed || !result.exprs.back().Same(e);
  }
  return result;
}

}  // namespace

Expr Mutator::MutateIntImm(const IntImm&, const Expr& self) { return self; }
Expr Mutator::MutateFloatImm(const FloatImm&, const Expr& self) { return self; }
Expr Mutator::MutateVar(const Var&, const Expr& self) { return self; }

Expr Mutator::MutateBinary(const Binary& node, const Expr& self) {
  Expr a = Mutate(node.a), b = Mutate(node.b);
  if (a.Same(node.a) && b.Same(node.b)) return self;
  return MakeBinary(node.op, std::move(a), std::move(b));
}

Expr Mutator::MutateNot(const Not& node, const Expr& self) {
  Expr a = Mutate(node.a);
  return a.Same(node.a) ? self : MakeNot(std::move(a));
}

Expr Mutator::MutateSelect(const Select& node, const Expr& self) {
  Expr c = Mutate(node.condition), t = Mutate(node.if_true), f = Mutate(node.if_false);
  if (c.Same(node.condition) && t.Same(node.if_true) && f.Same(node.if_false)) return self;
  return MakeSelect(std::move(c), std::move(t), std::move(f));
}

Expr Mutator::MutateCast(const Cast& node, const Expr& self) {
  Expr value = Mutate(node.value);
  if (value.Same(node.value)) return self;
  const Type type = node.type.WithLanes(value.type().lanes);
  return MakeCast(type, std::move(value), node.saturate);
}

Expr Mutator::MutateLoad(const Load& node, const Expr& self) {
  MutatedList indices = MutateAll(node.indices, [&](const Expr& e) { return Mutate(e); });
  Expr predicate = Mutate(node.predicate);
  if (!indices.changed && predicate.Same(node.predicate)) return self;
  return MakeLoad(node.buffer, std::move(indices.exprs), std::move(predicate));
}

Expr Mutator::MutateRamp(const Ramp& node, const Expr& self) {
  Expr base = Mutate(node.base);
  return base.Same(node.base) ? self : MakeRamp(std::move(base), node.stride, node.type.lanes);
}

Expr Mutator::MutateBroadcast(const Broadcast& node, const Expr& self) {
  Expr value = Mutate(node.value);
  return value.Same(node.value) ? self : MakeBroadcast(std::move(value), node.type.lanes);
}

Expr Mutator::MutateCall(const Call& node, const Expr& self) {
  MutatedList args = MutateAll(node.args, [&](const Expr& e) { return Mutate(e); });
  return args.changed ? MakeCall(node.type, node.name, std::move(args.exprs)) : self;
}

Stmt Mutator::MutateFor(const For& node, const Stmt& self) {
  Stmt body = Mutate(node.body);
  if (body.Same(node.body)) return self;
  return MakeFor(node.var, node.min, node.extent, std::move(body), node.loop_kind,
                 node.thread_axis);
}

Stmt Mutator::MutateBlock(const Block& node, const Stmt& self) {
  std::vector<Stmt> stmts;
  bool changed = false;
  stmts.reserve(node.stmts.size());
  for (const Stmt& s : node.stmts) {
    stmts.push_back(Mutate(s));
    changed = changed || !stmts.back().Same(s);
  }
  return changed ? MakeBlock(std::move(stmts)) : self;
}

Stmt Mutator::MutateStore(const Store& node, const Stmt& self) {
  MutatedList indices = MutateAll(node.indices, [&](const Expr& e) { return Mutate(e); });
  Expr value = Mutate(node.value), predicate = Mutate(node.predicate);
  if (!indices.changed && value.Same(node.value) && predicate.Same(node.predicate)) return self;
  return MakeStore(node.buffer, std::move(indices.exprs), std::move(value), std::move(predicate),
                   node.streaming);
}

Stmt Mutator::MutateIf(const If& node, const Stmt& self) {
  Expr condition = Mutate(node.condition);
  Stmt then_body = Mutate(node.then_body), else_body = Mutate(node.else_body);
  if (condition.Same(node.condition) && then_body.Same(node.then_body) &&
      else_body.Same(node.else_body)) {
    return self;
  }
  return MakeIf(std::move(condition), std::move(then_body), std::move(else_body));
}

Stmt Mutator::MutateAllocate(const Allocate& node, const Stmt& self) {
  Stmt body = Mutate(node.body);
  return body.Same(node.body) ? self : MakeAllocate(node.buffer, std::move(body));
}

Stmt Mutator::MutateEvaluate(const Evaluate& node, const Stmt& self) {
  Expr value = Mutate(node.value);
  return value.Same(node.value) ? self : MakeEvaluate(std::move(value));
}

Stmt Mutator::MutateBarrier(const Barrier&, const Stmt& self) { return self; }

Stmt Mutator::MutateAsyncCopy(const AsyncCopy& node, const Stmt& self) {
  Expr to = Mutate(node.to_index), from = Mutate(node.from_index);
  if (to.Same(node.to_index) && from.Same(node.from_index)) return self;
  return MakeAsyncCopy(node.to, std::move(to), node.from, std::move(from), node.elements,
                       node.token);
}

Stmt Mutator::MutateAsyncWait(const AsyncWait&, const Stmt& self) { return self; }

namespace {

class Substituter final : public Mutator {
 public:
  void Add(const Var* from, const Expr& to) { map_[from] = to; }

 protected:
  Expr MutateVar(const Var& node, const Expr& self) override {
    const auto it = map_.find(&node);
    return it == map_.end() ? self : it->second;
  }

 private:
  absl::flat_hash_map<const Var*, Expr> map_;
};

class BufferReplacer final : public Mutator {
 public:
  BufferReplacer(Buffer from, Buffer to) : from_(std::move(from)), to_(std::move(to)) {}

 protected:
  Expr MutateLoad(const Load& node, const Expr& self) override {
    const Expr changed = Mutator::MutateLoad(node, self);
    const Load& load = *changed.As<Load>();
    if (load.buffer != from_) return changed;
    return MakeLoad(to_, load.indices, load.predicate);
  }
  Stmt MutateStore(const Store& node, const Stmt& self) override {
    const Stmt changed = Mutator::MutateStore(node, self);
    const Store& store = *changed.As<Store>();
    if (store.buffer != from_) return changed;
    return MakeStore(to_, store.indices, store.value, store.predicate, store.streaming);
  }
  Stmt MutateAllocate(const Allocate& node, const Stmt& self) override {
    if (node.buffer != from_) return Mutator::MutateAllocate(node, self);
    return MakeAllocate(to_, Mutate(node.body));
  }
  Stmt MutateAsyncCopy(const AsyncCopy& node, const Stmt& self) override {
    const Stmt changed = Mutator::MutateAsyncCopy(node, self);
    const AsyncCopy& copy = *changed.As<AsyncCopy>();
    if (copy.to != from_ && copy.from != from_) return changed;
    return MakeAsyncCopy(copy.to == from_ ? to_ : copy.to, copy.to_index,
                         copy.from == from_ ? to_ : copy.from, copy.from_index, copy.elements,
                         copy.token);
  }

 private:
  Buffer from_, to_;
};

template <typename Root>
bool LoadsFrom(const Root& root, const Buffer& buffer) {
  bool found = false;
  ForEach<Load>(root, [&](const Load& load) { found |= load.buffer == buffer; });
  return found;
}

class UseFinder final : public Visitor {
 public:
  explicit UseFinder(const Var* var) : var_(var) {}
  bool found() const { return found_; }

 protected:
  void VisitVar(const Var& node) override { found_ = found_ || &node == var_; }
  void VisitFor(const For& node) override {
    if (!found_) Visitor::VisitFor(node);
  }
  void VisitBlock(const Block& node) override {
    if (!found_) Visitor::VisitBlock(node);
  }
  void VisitAsyncCopy(const AsyncCopy& node) override {
    found_ = found_ || node.token.get() == var_;
    Visitor::VisitAsyncCopy(node);
  }
  void VisitAsyncWait(const AsyncWait& node) override {
    found_ = found_ || node.token.get() == var_;
  }

 private:
  const Var* var_;
  bool found_ = false;
};

}  // namespace

Expr Substitute(const Expr& e, const std::vector<VarRef>& from, const std::vector<Expr>& to) {
  TESSERA_CHECK(from.size() == to.size());
  Substituter substituter;
  for (size_t i = 0; i < from.size(); ++i) substituter.Add(from[i].get(), to[i]);
  return substituter.Mutate(e);
}

Stmt Substitute(const Stmt& s, const VarRef& from, const Expr& to) {
  Substituter substituter;
  substituter.Add(from.get(), to);
  return substituter.Mutate(s);
}

Stmt ReplaceBuffer(const Stmt& s, const Buffer& from, const Buffer& to) {
  return BufferReplacer(from, to).Mutate(s);
}

bool Uses(const Expr& e, const VarRef& var) {
  UseFinder finder(var.get());
  finder.Visit(e);
  return finder.found();
}

bool Uses(const Stmt& s, const VarRef& var) {
  UseFinder finder(var.get());
  finder.Visit(s);
  return finder.found();
}

bool Reads(const Expr& e, const Buffer& buffer) { return LoadsFrom(e, buffer); }

bool Reads(const Stmt& s, const Buffer& buffer) { return LoadsFrom(s, buffer); }

bool ReadsMemory(const Expr& e) {
  bool found = false;
  ForEach<Load>(e, [&](const Load&) { found = true; });
  return found;
}

}  // namespace tessera::ir
