#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/dag.h"
#include "compiler/te/instructions.h"

// Sums of products rewritten so that an instruction that sums groups of products computes them.

namespace tessera::schedule {

// `sum` as stages, in order; the last one is `sum` itself, with its axes and output. With the
// instruction's operands A and B, G terms a group, and the reduction axis k that both read at a
// place of its own:
//   sum.a, sum.b   the operands in the instruction's types, k filled up with zeros to whole groups
//   sum.c          Σ −128 B, where A had to become unsigned: A + 128 there
//   sum.dot        Σ A B over [.., k / G, .., j], the indices G k + j
//   sum            sum.dot (+ sum.c)
// sum.a and sum.b may be inlined. InvalidArgument, saying why, where the definition is not of the
// instruction's form (te::Unify) or no reduction axis fits.
absl::StatusOr<std::vector<te::Stage>> TensorStages(const te::Stage& sum,
                                                    const te::Instruction& instruction,
                                                    const std::vector<te::Input>& inputs);

}  // namespace tessera::schedule
