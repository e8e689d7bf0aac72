#pragma once

#include <utility>

#include "compiler/ir/expr.h"

// A number of f32 of which a target may use as little as TF32 holds: all of the exponent and ten
// bits of the fraction, to nearest. For all that do not, and for the evaluator, it is the number.

namespace tessera::ir {

inline constexpr char kTf32[] = "tf32";
inline constexpr int kTf32Bits = 10;

// `value`, or each of its lanes, as such a number.
inline Expr MakeTf32(Expr value) {
  const Type type = value.type();
  return MakeCall(type, kTf32, {std::move(value)});
}

// The number, if `e` is such a one; else null.
inline const Expr* AsTf32(const Expr& e) {
  const auto* call = e.As<Call>();
  return call != nullptr && call->name == kTf32 && call->args.size() == 1 ? &call->args[0]
                                                                          : nullptr;
}

}  // namespace tessera::ir
