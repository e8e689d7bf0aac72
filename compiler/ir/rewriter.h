#pragma once

#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/affine.h"
#include "compiler/ir/simplify.h"

namespace tessera::ir {

// What is known about variables at one place of a program: ranges of loops and conditions that
// hold there. Scopes nest: Rewind(Mark()) forgets what came between. Internal to this folder.
class Knowledge {
 public:
  // `base` may be null and must outlive this.
  explicit Knowledge(const Ranges* base) : base_(base) {}

  size_t Mark() const { return undo_.size(); }
  void Rewind(size_t mark);

  void Bind(const Var* var, const Interval& range, int ordinal);
  std::optional<Interval> RangeOf(const Var* var) const;
  // The order of `var` among loops, -1 if it has none.
  int OrdinalOf(const Var* var) const;

  // The tightest range of the exact sum that is known; nothing if it may leave 64 bits.
  std::optional<Interval> RangeOf(const Affine& sum) const;

  // From here on, low <= the exact value of `sum` <= high; whoever adds it knows that `sum` does
  // not wrap. False if that can't be: the place is never reached.
  bool Assume(const Affine& sum, __int128 low, __int128 high);

 private:
  struct VarInfo {
    Interval range;
    int ordinal = -1;
  };
  // `sum` has no constant and coefficients without common divisor.
  struct Fact {
    Affine sum;
    Interval range;
  };
  struct Undo {
    const Var* var;  // null: the newest fact goes
    std::optional<VarInfo> before;
  };

  bool Narrow(const Var* var, __int128 low, __int128 high);

  const Ranges* base_;
  absl::flat_hash_map<const Var*, VarInfo> vars_;
  std::vector<Fact> facts_;
  std::vector<Undo> undo_;
};

// Rewrites expressions to the normal form that simplify.h promises, under some knowledge.
class Rewriter {
 public:
  explicit Rewriter(Knowledge& knowledge) : known_(knowledge), indices_(this) {}
  // The indices of loads are left to `indices`, which must outlive this.
  Rewriter(Knowledge& knowledge, Rewriter& indices) : known_(knowledge), indices_(&indices) {}
  Rewriter(const Rewriter&) = delete;

  Expr Rewrite(const Expr& e);
  // Adds what `condition` says, or its contrary. False if that can't be.
  bool Assume(const Expr& condition, bool holds = true);
  // The exact value's range of an index expression.
  std::optional<Interval> RangeOf(const Expr& index);

 private:
  Affine ToAffine(const Expr& e);
  // `e` is in normal form already.
  Affine ToAffineNormal(const Expr& e);
  void Accumulate(const Expr& e, int64_t scale, Affine& out);
  void AccumulateNormal(const Expr& e, int64_t scale, Affine& out);
  void AccumulateBinary(const Binary& node, int64_t scale, Affine& out);
  void AccumulateProduct(const Binary& node, int64_t scale, Affine& out);
  void AccumulateMinMax(const Binary& node, int64_t scale, Affine& out);
  void AddAtom(const Expr& atom, int64_t scale, Affine& out);
  // floor(x / divisor), or what it leaves; divisor > 0.
  Affine Divide(Affine x, int64_t divisor, bool modulo);
  Affine DivideRemainder(Affine x, int64_t divisor, bool modulo);
  std::optional<Affine> WithinMultiple(const Affine& x, int64_t divisor) const;
  Affine DivisionAtom(Affine x, int64_t divisor, bool modulo, const std::optional<Interval>& range);
  bool AssumeSum(const Affine& sum, __int128 low, __int128 high);
  // Joins what a division took apart: (x / c) * c + x % c.
  void Recombine(Affine& sum);
  bool RecombineOnce(Affine& sum);
  Expr Build(Affine sum);
  Expr BuildScalarIfUniform(Affine sum);

  Expr RewriteBinary(const Expr& e, const Binary& node);
  Expr RewriteCompare(BinaryOp op, const Expr& a, const Expr& b);
  Expr RewriteLogic(const Expr& e, const Binary& node);
  Expr RewriteNot(const Expr& e, const Not& node);
  Expr RewriteNegation(const Expr& a);
  Expr RewriteSelect(const Expr& e, const Select& node);
  Expr RewriteCast(const Expr& e, const Cast& node);
  Expr RewriteLoad(const Expr& e, const Load& node);
  Expr RewriteCall(const Expr& e, const Call& node);
  OrdinalOfVar Ordinals() const { return ordinals_; }

  struct OrdinalLookup {
    const Knowledge* known;
    int operator()(const Var* var) const { return known->OrdinalOf(var); }
  };

  Knowledge& known_;
  Rewriter* indices_;
  OrdinalLookup ordinals_{&known_};
};

}  // namespace tessera::ir
