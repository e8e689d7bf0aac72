#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/expr.h"

// Statements: immutable, shared. Executed in order. A Store's index is in range, or its predicate
// is false; the verifier and the evaluator hold programs to that.

namespace tessera::ir {

#define TESSERA_IR_STMT_NODES(X) \
  X(For) X(Block) X(Store) X(If) X(Allocate) X(Evaluate) X(Barrier) X(AsyncCopy) X(AsyncWait)

enum class StmtKind : uint8_t {
#define X(name) k##name,
  TESSERA_IR_STMT_NODES(X)
#undef X
};

struct StmtNode {
  StmtKind kind;

 protected:
  explicit StmtNode(StmtKind k) : kind(k) {}
  ~StmtNode() = default;
};

class Stmt {
 public:
  Stmt() = default;
  template <typename Node>
    requires std::derived_from<Node, StmtNode>
  Stmt(std::shared_ptr<Node> node) : node_(std::move(node)) {}  // NOLINT: implicit
  const StmtNode* get() const { return node_.get(); }
  const StmtNode* operator->() const { return node_.get(); }
  explicit operator bool() const { return node_ != nullptr; }
  bool Same(const Stmt& other) const { return node_ == other.node_; }
  template <typename Node>
  const Node* As() const {
    return node_ && node_->kind == Node::kKind ? static_cast<const Node*>(node_.get()) : nullptr;
  }

 private:
  std::shared_ptr<const StmtNode> node_;
};

// How a loop's iterations are executed. kThread binds them to a GPU thread axis.
enum class LoopKind : uint8_t { kSerial, kParallel, kVectorized, kUnrolled, kThread };
enum class ThreadAxis : uint8_t {
  kNone,
  kBlockX,
  kBlockY,
  kBlockZ,
  kThreadX,
  kThreadY,
  kThreadZ,
  kVirtual
};

// for var in [min, min + extent).
struct For : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kFor;
  VarRef var;
  int64_t min, extent;
  LoopKind loop_kind;
  ThreadAxis thread_axis;
  Stmt body;
  For(VarRef v, int64_t m, int64_t e, LoopKind k, ThreadAxis a, Stmt b)
      : StmtNode(kKind),
        var(std::move(v)),
        min(m),
        extent(e),
        loop_kind(k),
        thread_axis(a),
        body(std::move(b)) {}
};

struct Block : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kBlock;
  std::vector<Stmt> stmts;
  explicit Block(std::vector<Stmt> s) : StmtNode(kKind), stmts(std::move(s)) {}
};

// Indices and predicate as in Load. `streaming`: the value is not read again soon.
struct Store : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kStore;
  Buffer buffer;
  std::vector<Expr> indices;
  Expr value, predicate;
  bool streaming;
  Store(Buffer b, std::vector<Expr> i, Expr v, Expr p, bool s)
      : StmtNode(kKind),
        buffer(std::move(b)),
        indices(std::move(i)),
        value(std::move(v)),
        predicate(std::move(p)),
        streaming(s) {}
};

struct If : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kIf;
  Expr condition;             // scalar u1
  Stmt then_body, else_body;  // else may be empty
  If(Expr c, Stmt t, Stmt e)
      : StmtNode(kKind),
        condition(std::move(c)),
        then_body(std::move(t)),
        else_body(std::move(e)) {}
};

// The buffer exists during `body`; contents start undefined. Requires a scope other than kGlobal.
struct Allocate : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kAllocate;
  Buffer buffer;
  Stmt body;
  Allocate(Buffer b, Stmt s) : StmtNode(kKind), buffer(std::move(b)), body(std::move(s)) {}
};

// A Call executed for its effect: prefetch(load) and opaque intrinsics.
struct Evaluate : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kEvaluate;
  Expr value;
  explicit Evaluate(Expr v) : StmtNode(kKind), value(std::move(v)) {}
};

// All threads that share `scope` wait here and see each other's earlier writes.
struct Barrier : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kBarrier;
  Scope scope;
  explicit Barrier(Scope s) : StmtNode(kKind), scope(s) {}
};

// Starts copying `elements` consecutive stored elements and makes `token`; the destination may be
// read after an AsyncWait on that token.
struct AsyncCopy : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kAsyncCopy;
  Buffer to;
  Expr to_index;
  Buffer from;
  Expr from_index;
  int64_t elements;
  VarRef token;
  AsyncCopy(Buffer t, Expr ti, Buffer f, Expr fi, int64_t n, VarRef k)
      : StmtNode(kKind),
        to(std::move(t)),
        to_index(std::move(ti)),
        from(std::move(f)),
        from_index(std::move(fi)),
        elements(n),
        token(std::move(k)) {}
};

struct AsyncWait : StmtNode {
  static constexpr StmtKind kKind = StmtKind::kAsyncWait;
  VarRef token;
  explicit AsyncWait(VarRef t) : StmtNode(kKind), token(std::move(t)) {}
};

Stmt MakeFor(VarRef var, int64_t min, int64_t extent, Stmt body, LoopKind kind = LoopKind::kSerial,
             ThreadAxis axis = ThreadAxis::kNone);
// Flattens nested blocks and drops empty statements; an empty block is an empty Stmt, one
// statement is itself.
Stmt MakeBlock(std::vector<Stmt> stmts);
Stmt MakeStore(Buffer buffer, std::vector<Expr> indices, Expr value, Expr predicate = {},
               bool streaming = false);
Stmt MakeIf(Expr condition, Stmt then_body, Stmt else_body = {});
Stmt MakeAllocate(Buffer buffer, Stmt body);
Stmt MakeEvaluate(Expr value);
Stmt MakeBarrier(Scope scope);
Stmt MakeAsyncCopy(Buffer to, Expr to_index, Buffer from, Expr from_index, int64_t elements,
                   VarRef token);
Stmt MakeAsyncWait(VarRef token);

// A kernel: `params` are the caller's buffers in order (inputs, then outputs). `body` may be empty.
struct Program {
  std::string name;
  std::vector<Buffer> params;
  Stmt body;
};

std::string_view ToString(LoopKind kind);
std::string_view ToString(ThreadAxis axis);

}  // namespace tessera::ir
