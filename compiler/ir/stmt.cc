#include "compiler/ir/stmt.h"

#include "base/status.h"

namespace tessera::ir {
namespace {

// The lanes that `indices` make, checked to agree with `predicate`.
int LanesOf(const std::vector<Expr>& indices, const Expr& predicate) {
  int lanes = 1;
  for (const Expr& index : indices) {
    TESSERA_CHECK(index && index.type().is_integer());
    if (!index.type().is_vector()) continue;
    TESSERA_CHECK(lanes == 1 || lanes == index.type().lanes);
    lanes = index.type().lanes;
  }
  TESSERA_CHECK(!predicate || predicate.type() == Bool().WithLanes(lanes));
  return lanes;
}

}  // namespace

Stmt MakeFor(VarRef var, int64_t min, int64_t extent, Stmt body, LoopKind kind, ThreadAxis axis) {
  int64_t end;
  TESSERA_CHECK(var != nullptr && var->type.is_integer() && !var->type.is_vector());
  TESSERA_CHECK(extent >= 0 && !__builtin_add_overflow(min, extent, &end));
  return std::make_shared<For>(std::move(var), min, extent, kind, axis, std::move(body));
}

Stmt MakeBlock(std::vector<Stmt> stmts) {
  bool flat = true;
  for (const Stmt& s : stmts) flat = flat && s && !s.As<Block>();
  if (!flat) {
    std::vector<Stmt> flattened;
    flattened.reserve(stmts.size());
    for (Stmt& s : stmts) {
      if (const auto* block = s.As<Block>()) {
        flattened.insert(flattened.end(), block->stmts.begin(), block->stmts.end());
      } else if (s) {
        flattened.push_back(std::move(s));
      }
    }
    stmts = std::move(flattened);
  }
  if (stmts.empty()) return {};
  if (stmts.size() == 1) return std::move(stmts[0]);
  return std::make_shared<Block>(std::move(stmts));
}

Stmt MakeStore(Buffer buffer, std::vector<Expr> indices, Expr value, Expr predicate,
               bool streaming) {
  TESSERA_CHECK(buffer != nullptr && value);
  const int lanes = LanesOf(indices, predicate);
  TESSERA_CHECK(value.type() == buffer->type.WithLanes(lanes));
  if (const int64_t* v = predicate ? AsConstInt(predicate) : nullptr; v && *v != 0) predicate = {};
  return std::make_shared<Store>(std::move(buffer), std::move(indices), std::move(value),
                                 std::move(predicate), streaming);
}

Stmt MakeIf(Expr condition, Stmt then_body, Stmt else_body) {
  TESSERA_CHECK(condition && condition.type() == Bool());
  if (const int64_t* v = AsConstInt(condition)) return *v != 0 ? then_body : else_body;
  return std::make_shared<If>(std::move(condition), std::move(then_body), std::move(else_body));
}

Stmt MakeAllocate(Buffer buffer, Stmt body) {
  TESSERA_CHECK(buffer != nullptr && buffer->scope != Scope::kGlobal);
  return std::make_shared<Allocate>(std::move(buffer), std::move(body));
}

Stmt MakeEvaluate(Expr value) {
  TESSERA_CHECK(value);
  return std::make_shared<Evaluate>(std::move(value));
}

Stmt MakeBarrier(Scope scope) { return std::make_shared<Barrier>(scope); }

Stmt MakeAsyncCopy(Buffer to, Expr to_index, Buffer from, Expr from_index, int64_t elements,
                   VarRef token) {
  TESSERA_CHECK(to != nullptr && from != nullptr && to->type == from->type && elements >= 0);
  TESSERA_CHECK(to_index && to_index.type().is_integer() && !to_index.type().is_vector());
  TESSERA_CHECK(from_index && from_index.type().is_integer() && !from_index.type().is_vector());
  TESSERA_CHECK(token != nullptr && token->type == Token());
  return std::make_shared<AsyncCopy>(std::move(to), std::move(to_index), std::move(from),
                                     std::move(from_index), elements, std::move(token));
}

Stmt MakeAsyncWait(VarRef token) {
  TESSERA_CHECK(token != nullptr && token->type == Token());
  return std::make_shared<AsyncWait>(std::move(token));
}

std::string_view ToString(LoopKind kind) {
  switch (kind) {
    case LoopKind::kSerial:
      return "serial";
    case LoopKind::kParallel:
      return "parallel";
    case LoopKind::kVectorized:
      return "vectorized";
    case LoopKind::kUnrolled:
      return "unrolled";
    case LoopKind::kThread:
      return "thread";
  }
  return "?";
}

std::string_view ToString(ThreadAxis axis) {
  switch (axis) {
    case ThreadAxis::kNone:
      return "none";
    case ThreadAxis::kBlockX:
      return "block.x";
    case ThreadAxis::kBlockY:
      return "block.y";
    case ThreadAxis::kBlockZ:
      return "block.z";
    case ThreadAxis::kThreadX:
      return "thread.x";
    case ThreadAxis::kThreadY:
      return "thread.y";
    case ThreadAxis::kThreadZ:
      return "thread.z";
    case ThreadAxis::kVirtual:
      return "virtual";
  }
  return "?";
}

}  // namespace tessera::ir
