#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/te/dag.h"

namespace tessera::te {

// Finds out where values are known to be padding. The work over the lifetime is bounded, since a
// chain of products has exponentially many paths; beyond the bound nothing is known.
class LifeFinder {
 public:
  explicit LifeFinder(const Dag& dag);

  // Conditions over the variables of `e` outside of which `e` is the constant `value`: found
  // through casts, the zero operand of products, selects, and the definitions of the stages that
  // are read. All have to hold for `e` to be anything else. Empty if nothing is known.
  std::vector<ir::Expr> Conditions(const ir::Expr& e, double value);

 private:
  std::vector<ir::Expr> ConditionsOfRead(const ir::Load& load, double value);

  absl::flat_hash_map<const ir::BufferNode*, const Stage*> stages_;  // that reduce nothing
  int64_t steps_left_ = int64_t{1} << 20;
};

// The parts of a conjunction.
std::vector<ir::Expr> Conjuncts(const ir::Expr& condition);

}  // namespace tessera::te
