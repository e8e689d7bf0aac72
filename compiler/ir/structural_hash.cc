#include "compiler/ir/structural_hash.h"

#include <bit>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"

namespace tessera::ir {
namespace {

// Numbers stand for variables and buffers: their order of binding, or of first use when free.
class Hasher {
 public:
  uint64_t Finish() const { return hash_.Finish(); }

  void Hash(const Program& program) {
    hash_.Add(program.name);
    Add(program.params.size());
    for (const Buffer& buffer : program.params) Bind(buffer.get());
    Hash(program.body);
  }

 private:
  void Add(uint64_t value) { hash_.Add(value); }
  void Add(Type type) {
    Add(static_cast<uint64_t>(type.code) << 32 | static_cast<uint64_t>(type.bits) << 16 |
        type.lanes);
  }

  void Bind(const BufferNode* buffer) {
    ids_[buffer] = next_++;
    Add(buffer->type);
    Add(buffer->shape.size());
    for (int64_t extent : buffer->shape) Add(static_cast<uint64_t>(extent));
    Add(static_cast<uint64_t>(buffer->read_path) << 24 |
        static_cast<uint64_t>(buffer->is_doubled) << 16 |
        static_cast<uint64_t>(buffer->scope) << 8 | static_cast<uint64_t>(buffer->policy));
    Add(static_cast<uint64_t>(buffer->policy == LayoutPolicy::kBlocked ? buffer->block_axis : -1));
    Add(buffer->layout.size());
    for (const LayoutDim& dim : buffer->layout) {
      Add(static_cast<uint64_t>(dim.axis));
      Add(static_cast<uint64_t>(dim.divisor));
      Add(static_cast<uint64_t>(dim.extent));
    }
  }

  void Bind(const Var* var) {
    ids_[var] = next_++;
    Add(var->type);
  }

  template <typename Node>
  void Use(const Node* node) {
    if (!ids_.contains(node)) Bind(node);
    Add(ids_[node]);
  }

  void Hash(const Expr& e) {
    if (!e) return Add(0xff);
    Add(static_cast<uint64_t>(e->kind));
    switch (e->kind) {
      case ExprKind::kIntImm:
        Add(e->type);
        return Add(static_cast<uint64_t>(e.As<IntImm>()->value));
      case ExprKind::kFloatImm:
        Add(e->type);
        return Add(std::bit_cast<uint64_t>(e.As<FloatImm>()->value));
      case ExprKind::kVar:
        return Use(e.As<Var>());
      case ExprKind::kBinary: {
        const auto& node = *e.As<Binary>();
        Add(static_cast<uint64_t>(node.op));
        Hash(node.a);
        return Hash(node.b);
      }
      case ExprKind::kNot:
        return Hash(e.As<Not>()->a);
      case ExprKind::kSelect: {
        const auto& node = *e.As<Select>();
        Hash(node.condition);
        Hash(node.if_true);
        return Hash(node.if_false);
      }
      case ExprKind::kCast: {
        const auto& node = *e.As<Cast>();
        Add(node.type);
        Add(node.saturate);
        return Hash(node.value);
      }
      case ExprKind::kLoad: {
        const auto& node = *e.As<Load>();
        Use(node.buffer.get());
        HashAll(node.indices);
        return Hash(node.predicate);
      }
      case ExprKind::kRamp: {
        const auto& node = *e.As<Ramp>();
        Add(static_cast<uint64_t>(node.stride));
        Add(node.type);
        return Hash(node.base);
      }
      case ExprKind::kBroadcast:
        Add(e->type);
        return Hash(e.As<Broadcast>()->value);
      case ExprKind::kCall: {
        const auto& node = *e.As<Call>();
        Add(node.type);
        hash_.Add(node.name);
        return HashAll(node.args);
      }
    }
  }

  void HashAll(const std::vector<Expr>& exprs) {
    Add(exprs.size());
    for (const Expr& e : exprs) Hash(e);
  }

  void Hash(const Stmt& s) {
    if (!s) return Add(0x1ff);
    Add(0x100 + static_cast<uint64_t>(s->kind));
    switch (s->kind) {
      case StmtKind::kFor: {
        const auto& node = *s.As<For>();
        Bind(node.var.get());
        Add(static_cast<uint64_t>(node.min));
        Add(static_cast<uint64_t>(node.extent));
        Add(static_cast<uint64_t>(node.loop_kind) << 8 | static_cast<uint64_t>(node.thread_axis));
        return Hash(node.body);
      }
      case StmtKind::kBlock: {
        const auto& stmts = s.As<Block>()->stmts;
        Add(stmts.size());
        for (const Stmt& part : stmts) Hash(part);
        return;
      }
      case StmtKind::kStore: {
        const auto& node = *s.As<Store>();
        Use(node.buffer.get());
        HashAll(node.indices);
        Hash(node.value);
        Hash(node.predicate);
        return Add(node.streaming);
      }
      case StmtKind::kIf: {
        const auto& node = *s.As<If>();
        Hash(node.condition);
        Hash(node.then_body);
        return Hash(node.else_body);
      }
      case StmtKind::kAllocate: {
        const auto& node = *s.As<Allocate>();
        Bind(node.buffer.get());
        return Hash(node.body);
      }
      case StmtKind::kEvaluate:
        return Hash(s.As<Evaluate>()->value);
      case StmtKind::kBarrier:
        return Add(static_cast<uint64_t>(s.As<Barrier>()->scope));
      case StmtKind::kAsyncCopy: {
        const auto& node = *s.As<AsyncCopy>();
        Bind(node.token.get());
        Use(node.to.get());
        Hash(node.to_index);
        Use(node.from.get());
        Hash(node.from_index);
        return Add(static_cast<uint64_t>(node.elements));
      }
      case StmtKind::kAsyncWait:
        return Use(s.As<AsyncWait>()->token.get());
    }
  }

  StableHasher hash_;
  uint64_t next_ = 0;
  absl::flat_hash_map<const void*, uint64_t> ids_;
};

}  // namespace

uint64_t StructuralHash(const Program& program) {
  Hasher hasher;
  hasher.Hash(program);
  return hasher.Finish();
}

}  // namespace tessera::ir
