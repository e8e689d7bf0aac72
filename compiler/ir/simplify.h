#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Inclusive range of an integer expression.
struct Interval {
  int64_t min, max;
  bool operator==(const Interval&) const = default;
};

// Ranges of the variables in scope.
using Ranges = absl::flat_hash_map<const Var*, Interval>;

// The tightest interval that interval arithmetic on the linear form gives, or nothing if a
// variable is unknown, a Load occurs, or it would overflow; a remainder by a positive constant is
// bounded by it in any case.
std::optional<Interval> Bound(const Expr& e, const Ranges& ranges);

// An equal expression: linear integer arithmetic in a canonical order with like terms joined,
// floor division and modulo by constants resolved where ranges allow ((16*a + b)/16 with
// 0 <= b < 16 is a, its modulo b), comparisons and min/max decided where ranges allow, trivial
// float identities that are exact (x+0 with x not -0 is not one of them; x*1 is). Idempotent.
Expr Simplify(const Expr& e, const Ranges& ranges);

// What the indices of loads and stores may be rewritten by. Under kLoops an index behind a test
// still means the place that it meant without the test, so a pass may move the access out.
enum class IndexFacts { kLoops, kLoopsAndTests };

// Simplifies every expression under its enclosing loops' ranges (and what enclosing conditions
// add to them), drops dead branches, loops of extent 0, and replaces loops of extent 1 (other than
// kThread and kParallel) by their body.
Stmt Simplify(const Stmt& s, IndexFacts facts = IndexFacts::kLoopsAndTests);

// `e` as sum of coefficient × variable + constant, or nothing if it is not linear.
struct LinearForm {
  std::vector<std::pair<VarRef, int64_t>> terms;  // no zero coefficients, first-use order
  int64_t constant = 0;
};
std::optional<LinearForm> AsLinear(const Expr& e);
Expr FromLinear(const LinearForm& form);

// An integer comparison < or <= as `form >= 0`, or nothing. One quotient by a constant may stand in
// it (a + b / c <= d), which is multiplied out.
std::optional<LinearForm> AsNonNegative(const Expr& condition);

}  // namespace tessera::ir
