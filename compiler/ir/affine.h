#pragma once

#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "compiler/ir/interval.h"
#include "compiler/ir/structural_hash.h"

// The normal form of index arithmetic; internal to this folder.

namespace tessera::ir {

// Order of variables, smaller first: a loop's depth, or nothing to go by the name.
using OrdinalOfVar = absl::FunctionRef<int(const Var*)>;

// A total preorder on expressions that does not depend on addresses: negative, zero (the same
// expression, or variables that only their node tells apart) or positive.
int CompareExprs(const Expr& a, const Expr& b, OrdinalOfVar ordinal);

// Σ coefficient × atom + lane_stride × lane + constant over 64-bit integers that wrap. An atom is a
// variable or an expression in normal form that is no sum; a scalar atom of a vector form is meant
// broadcast.
struct Affine {
  struct Term {
    Expr atom;
    int64_t coefficient;
    std::optional<Interval> range;  // of the atom
  };
  absl::InlinedVector<Term, 4> terms;
  int64_t lane_stride = 0;
  int64_t constant = 0;
  int lanes = 1;

  bool IsConstant() const { return terms.empty() && lane_stride == 0; }
  // No lane's value differs from another's by construction.
  bool IsUniform() const;

  void Add(const Expr& atom, int64_t coefficient, const std::optional<Interval>& range);
  void AddScaled(const Affine& other, int64_t scale);
  void Scale(int64_t factor);
  void DropZeros();

  // The interval of the exact sum; nothing if an atom has none or the sum leaves 64 bits.
  std::optional<Interval> Range() const;
  // The greatest common divisor of the coefficients and the stride, and of `start`.
  int64_t CommonDivisor(int64_t start) const;
  // Largest coefficients first; equal ones by CompareExprs.
  void Sort(OrdinalOfVar ordinal);
  // The form as an expression, in the order of the terms.
  Expr Build() const;
};

}  // namespace tessera::ir
