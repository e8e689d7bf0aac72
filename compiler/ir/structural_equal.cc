#include <bit>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/structural_hash.h"

namespace tessera::ir {
namespace {

// Walks both programs at once; a variable or buffer of one stands for one of the other.
class Matcher {
 public:
  bool Match(const Program& a, const Program& b) {
    if (a.name != b.name || a.params.size() != b.params.size()) return false;
    for (size_t i = 0; i < a.params.size(); ++i) {
      if (!Bind(a.params[i].get(), b.params[i].get())) return false;
    }
    return Match(a.body, b.body);
  }

 private:
  void Pair(const void* a, const void* b) {
    forward_[a] = b;
    backward_[b] = a;
  }

  bool Bind(const BufferNode* a, const BufferNode* b) {
    Pair(a, b);
    return a->type == b->type && a->shape == b->shape && a->scope == b->scope &&
           a->policy == b->policy &&
           (a->policy != LayoutPolicy::kBlocked || a->block_axis == b->block_axis) &&
           a->layout == b->layout && a->is_doubled == b->is_doubled && a->read_path == b->read_path;
  }

  bool Bind(const Var* a, const Var* b) {
    Pair(a, b);
    return a->type == b->type;
  }

  template <typename Node>
  bool Use(const Node* a, const Node* b) {
    const auto there = forward_.find(a);
    const auto back = backward_.find(b);
    if (there == forward_.end() && back == backward_.end()) return Bind(a, b);
    return there != forward_.end() && back != backward_.end() && there->second == b &&
           back->second == a;
  }

  bool MatchAll(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!Match(a[i], b[i])) return false;
    }
    return true;
  }

  bool Match(const Expr& a, const Expr& b) {
    if (!a || !b) return !a && !b;
    if (a->kind != b->kind || a.type() != b.type()) return false;
    switch (a->kind) {
      case ExprKind::kIntImm:
        return a.As<IntImm>()->value == b.As<IntImm>()->value;
      case ExprKind::kFloatImm:
        return std::bit_cast<uint64_t>(a.As<FloatImm>()->value) ==
               std::bit_cast<uint64_t>(b.As<FloatImm>()->value);
      case ExprKind::kVar:
        return Use(a.As<Var>(), b.As<Var>());
      case ExprKind::kBinary: {
        const auto &x = *a.As<Binary>(), &y = *b.As<Binary>();
        return x.op == y.op && Match(x.a, y.a) && Match(x.b, y.b);
      }
      case ExprKind::kNot:
        return Match(a.As<Not>()->a, b.As<Not>()->a);
      case ExprKind::kSelect: {
        const auto &x = *a.As<Select>(), &y = *b.As<Select>();
        return Match(x.condition, y.condition) && Match(x.if_true, y.if_true) &&
               Match(x.if_false, y.if_false);
      }
      case ExprKind::kCast: {
        const auto &x = *a.As<Cast>(), &y = *b.As<Cast>();
        return x.saturate == y.saturate && Match(x.value, y.value);
      }
      case ExprKind::kLoad: {
        const auto &x = *a.As<Load>(), &y = *b.As<Load>();
        return Use(x.buffer.get(), y.buffer.get()) && MatchAll(x.indices, y.indices) &&
               Match(x.predicate, y.predicate);
      }
      case ExprKind::kRamp: {
        const auto &x = *a.As<Ramp>(), &y = *b.As<Ramp>();
        return x.stride == y.stride && Match(x.base, y.base);
      }
      case ExprKind::kBroadcast:
        return Match(a.As<Broadcast>()->value, b.As<Broadcast>()->value);
      case ExprKind::kCall: {
        const auto &x = *a.As<Call>(), &y = *b.As<Call>();
        return x.name == y.name && MatchAll(x.args, y.args);
      }
    }
    return false;
  }

  bool Match(const Stmt& a, const Stmt& b) {
    if (!a || !b) return !a && !b;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
      case StmtKind::kFor: {
        const auto &x = *a.As<For>(), &y = *b.As<For>();
        return Bind(x.var.get(), y.var.get()) && x.min == y.min && x.extent == y.extent &&
               x.loop_kind == y.loop_kind && x.thread_axis == y.thread_axis &&
               Match(x.body, y.body);
      }
      case StmtKind::kBlock: {
        const auto &x = a.As<Block>()->stmts, &y = b.As<Block>()->stmts;
        if (x.size() != y.size()) return false;
        for (size_t i = 0; i < x.size(); ++i) {
          if (!Match(x[i], y[i])) return false;
        }
        return true;
      }
      case StmtKind::kStore: {
        const auto &x = *a.As<Store>(), &y = *b.As<Store>();
        return x.streaming == y.streaming && Use(x.buffer.get(), y.buffer.get()) &&
               MatchAll(x.indices, y.indices) && Match(x.value, y.value) &&
               Match(x.predicate, y.predicate);
      }
      case StmtKind::kIf: {
        const auto &x = *a.As<If>(), &y = *b.As<If>();
        return Match(x.condition, y.condition) && Match(x.then_body, y.then_body) &&
               Match(x.else_body, y.else_body);
      }
      case StmtKind::kAllocate: {
        const auto &x = *a.As<Allocate>(), &y = *b.As<Allocate>();
        return Bind(x.buffer.get(), y.buffer.get()) && Match(x.body, y.body);
      }
      case StmtKind::kEvaluate:
        return Match(a.As<Evaluate>()->value, b.As<Evaluate>()->value);
      case StmtKind::kBarrier:
        return a.As<Barrier>()->scope == b.As<Barrier>()->scope;
      case StmtKind::kAsyncCopy: {
        const auto &x = *a.As<AsyncCopy>(), &y = *b.As<AsyncCopy>();
        return Bind(x.token.get(), y.token.get()) && x.elements == y.elements &&
               Use(x.to.get(), y.to.get()) && Match(x.to_index, y.to_index) &&
               Use(x.from.get(), y.from.get()) && Match(x.from_index, y.from_index);
      }
      case StmtKind::kAsyncWait:
        return Use(a.As<AsyncWait>()->token.get(), b.As<AsyncWait>()->token.get());
    }
    return false;
  }

  absl::flat_hash_map<const void*, const void*> forward_, backward_;
};

}  // namespace

bool StructurallyEqual(const Program& a, const Program& b) { return Matcher().Match(a, b); }

}  // namespace tessera::ir
