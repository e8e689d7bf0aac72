#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/ir/buffer.h"
#include "compiler/ir/type.h"

// Expressions: immutable, shared, side-effect free. Semantics, stated once:
//  - Integer arithmetic wraps at the type's width; kDiv and kMod on integers round to minus
//    infinity (the remainder has the divisor's sign); division by zero is refused by the verifier
//    for constants and is the caller's fault otherwise. kSatAdd/kSatSub clamp to the type's range.
//  - Shifts by less than zero or by the width or more have no defined value.
//  - Float arithmetic is IEEE in the element type; reductions may be reassociated, and a product
//    that is added may be fused (one rounding).
//  - Select evaluates one side only: an out-of-range Load on the other side is harmless.
//  - Comparison and logic give u1 of the operands' lanes. Vector operations are lane-wise.

namespace tessera::ir {

#define TESSERA_IR_EXPR_NODES(X) \
  X(IntImm)                      \
  X(FloatImm) X(Var) X(Binary) X(Not) X(Select) X(Cast) X(Load) X(Ramp) X(Broadcast) X(Call)

enum class ExprKind : uint8_t {
#define X(name) k##name,
  TESSERA_IR_EXPR_NODES(X)
#undef X
};

struct ExprNode {
  ExprKind kind;
  Type type;

 protected:
  ExprNode(ExprKind k, Type t) : kind(k), type(t) {}
  ~ExprNode() = default;
};

// A reference to an immutable expression; empty until assigned. Cheap to copy. Thread-safe.
class Expr {
 public:
  Expr() = default;
  template <typename Node>
    requires std::derived_from<Node, ExprNode>
  Expr(std::shared_ptr<Node> node) : node_(std::move(node)) {}  // NOLINT: implicit
  Expr(int value);                                              // NOLINT: i64 constant
  Expr(int64_t value);                                          // NOLINT: i64 constant

  const ExprNode* get() const { return node_.get(); }
  const ExprNode* operator->() const { return node_.get(); }
  explicit operator bool() const { return node_ != nullptr; }
  bool Same(const Expr& other) const { return node_ == other.node_; }
  Type type() const { return node_->type; }

  // The node if it is of this kind, else null: expr.As<Load>().
  template <typename Node>
  const Node* As() const {
    return node_ && node_->kind == Node::kKind ? static_cast<const Node*>(node_.get()) : nullptr;
  }
  // The same as an owner: expr.Share<Var>() is a VarRef.
  template <typename Node>
  std::shared_ptr<const Node> Share() const {
    return As<Node>() ? std::static_pointer_cast<const Node>(node_) : nullptr;
  }

 private:
  std::shared_ptr<const ExprNode> node_;
};

struct IntImm : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kIntImm;
  int64_t value;
  IntImm(Type t, int64_t v) : ExprNode(kKind, t), value(v) {}
};

struct FloatImm : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kFloatImm;
  double value;
  FloatImm(Type t, double v) : ExprNode(kKind, t), value(v) {}
};

// Identity is the node, not the name.
struct Var : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kVar;
  std::string name;
  Var(Type t, std::string n) : ExprNode(kKind, t), name(std::move(n)) {}
};
using VarRef = std::shared_ptr<const Var>;

enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kMin,
  kMax,
  kSatAdd,
  kSatSub,
  kShiftLeft,
  kShiftRight,
  kBitAnd,
  kBitOr,
  kBitXor,
  kEq,
  kNe,
  kLt,
  kLe,
  kAnd,
  kOr
};
struct Binary : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kBinary;
  BinaryOp op;
  Expr a, b;
  Binary(Type t, BinaryOp o, Expr x, Expr y)
      : ExprNode(kKind, t), op(o), a(std::move(x)), b(std::move(y)) {}
};

struct Not : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kNot;
  Expr a;
  explicit Not(Expr x) : ExprNode(kKind, x.type()), a(std::move(x)) {}
};

// `condition` has the lanes of the sides, or is scalar and chooses for all lanes.
struct Select : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kSelect;
  Expr condition, if_true, if_false;
  Select(Expr c, Expr t, Expr f)
      : ExprNode(kKind, t.type()),
        condition(std::move(c)),
        if_true(std::move(t)),
        if_false(std::move(f)) {}
};

// Converts the value. Float to integer truncates; narrowing integers wraps, or clamps to the
// target's range when `saturate` (float sources round to nearest even first, then clamp).
struct Cast : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kCast;
  Expr value;
  bool saturate;
  Cast(Type t, Expr v, bool s) : ExprNode(kKind, t), value(std::move(v)), saturate(s) {}
};

// Reads an element, or a vector of them when an index is a vector. One index per logical
// dimension; after the `flatten` pass a single index into the stored array. `predicate` (u1 of the
// same lanes, may be empty = true): where false nothing is read and the value is zero.
struct Load : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kLoad;
  Buffer buffer;
  std::vector<Expr> indices;
  Expr predicate;
  Load(Type t, Buffer b, std::vector<Expr> i, Expr p)
      : ExprNode(kKind, t), buffer(std::move(b)), indices(std::move(i)), predicate(std::move(p)) {}
};

// base, base + stride, …
struct Ramp : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kRamp;
  Expr base;
  int64_t stride;
  Ramp(Expr b, int64_t s, int lanes)
      : ExprNode(kKind, b.type().WithLanes(lanes)), base(std::move(b)), stride(s) {}
};

struct Broadcast : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kBroadcast;
  Expr value;
  Broadcast(Expr v, int lanes) : ExprNode(kKind, v.type().WithLanes(lanes)), value(std::move(v)) {}
};

// A pure function by name. Math: exp, log, sqrt, rsqrt, tanh, sigmoid, erf, floor, ceil, round,
// abs, pow. reduce_add, reduce_mul, reduce_max and reduce_min combine groups of adjacent lanes of
// one vector, in any order: a call of n lanes has n groups, one for a number (see MakeReduce).
// repeat is a vector's lanes over and over (see MakeRepeat), interleave takes one lane of each
// argument in turn (see MakeInterleave). Instructions that multiply and sum
// groups of lanes are found among these by their definitions (compiler/te/instructions.h).
struct Call : ExprNode {
  static constexpr ExprKind kKind = ExprKind::kCall;
  std::string name;
  std::vector<Expr> args;
  Call(Type t, std::string n, std::vector<Expr> a)
      : ExprNode(kKind, t), name(std::move(n)), args(std::move(a)) {}
};

// Whether MakeBinary accepts these operand types: equal, and integers, booleans or any number as
// the operator wants.
bool BinaryTypesAgree(BinaryOp op, Type a, Type b);

// --- Construction. Factories check types (TESSERA_CHECK) and fold constants; nothing more.

VarRef MakeVar(std::string name, Type type = Index());
Expr MakeInt(Type type, int64_t value);
Expr MakeFloat(Type type, double value);
Expr MakeConst(Type type, double value);  // integer or float by type; broadcast if a vector
Expr MakeBinary(BinaryOp op, Expr a, Expr b);
Expr MakeNot(Expr a);
Expr MakeSelect(Expr condition, Expr if_true, Expr if_false);
Expr MakeCast(Type type, Expr value, bool saturate = false);
Expr MakeLoad(Buffer buffer, std::vector<Expr> indices, Expr predicate = {});
Expr MakeRamp(Expr base, int64_t stride, int lanes);
Expr MakeBroadcast(Expr value, int lanes);
Expr MakeCall(Type type, std::string name, std::vector<Expr> args);
// The lanes of `vector`, in `groups` of equal size, combined by kAdd, kMul, kMax or kMin: a call of
// reduce_add and so on, of as many lanes.
Expr MakeReduce(BinaryOp op, Expr vector, int groups = 1);
// Whether a call of that type combines groups of lanes of its one argument.
bool IsReduceOf(const Call& call);
// `lanes` lanes, a multiple of the value's, that repeat the value's.
Expr MakeRepeat(Expr value, int lanes);
// Whether the call is a repeat of its one argument.
bool IsRepeat(const Call& call);
// First lanes of all `vectors`, then their second lanes, …; of one type, two or four of them.
Expr MakeInterleave(std::vector<Expr> vectors);
// Whether the call interleaves its arguments.
bool IsInterleave(const Call& call);
// What a call of that name combines lanes by; nothing for all other names.
std::optional<BinaryOp> ReduceOp(std::string_view name);

Expr operator+(Expr a, Expr b);
Expr operator-(Expr a, Expr b);
Expr operator*(Expr a, Expr b);
Expr operator/(Expr a, Expr b);  // floor division on integers
Expr operator%(Expr a, Expr b);
Expr Min(Expr a, Expr b);
Expr Max(Expr a, Expr b);
Expr Eq(Expr a, Expr b);
Expr Lt(Expr a, Expr b);
Expr Le(Expr a, Expr b);
Expr And(Expr a, Expr b);  // an empty operand counts as true
Expr Or(Expr a, Expr b);

// Smallest and largest value of the type, and the additive zero, as constants.
Expr MinValue(Type type);
Expr MaxValue(Type type);
Expr Zero(Type type);

// The value of an integer constant (also of a broadcast one).
const int64_t* AsConstInt(const Expr& e);
bool IsConst(const Expr& e, double value);

// A power of two that divides the integer, 64 at most: alignments beyond a cache line tell nothing.
int64_t MultipleOf(int64_t value);
// The same of an integer expression; `known` is asked for the value of each part of it.
int64_t MultipleOf(const Expr& e, absl::FunctionRef<std::optional<int64_t>(const Expr&)> known);

// "add", "min", … as the printer writes calls; infix operators have their sign.
std::string_view ToString(BinaryOp op);

}  // namespace tessera::ir
