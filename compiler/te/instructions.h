#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"

// Instructions that compute several points of a sum of products at once, each described by what it
// computes, in the terms in which workloads are written. Schedules, spaces and code generators find
// out by these definitions where an instruction applies (ISA Mapper, 1810.09958; UNIT, 2101.08458).

namespace tessera::te {

// One stage out[i] = Σ_j body(A[i, j], B[i, j]) with `lanes` points and `group` terms each. An
// operand lies in a register row by row; where a program's operand is the same for all i, its row
// is repeated.
struct Instruction {
  std::string name;
  ir::TargetKind kind;
  std::string feature;  // that the target must have
  int lanes = 0;
  int group = 0;
  Workload definition;

  const Stage& stage() const { return definition.dag.stages[0]; }
  // Of operand 0 (A) or 1 (B).
  ir::Type operand_type(int operand) const { return definition.dag.inputs[operand].buffer->type; }
};

// All that are known, of any target. The widest of each kind first.
absl::Span<const Instruction> Instructions();
// Null if there is none of that name.
const Instruction* InstructionNamed(std::string_view name);
// What VTA's matrix unit does for one row of a tile: as many points as a tile has columns, with a
// group of as many terms. Requires a target of that kind.
Instruction TileProduct(const ir::Target& target);
// Whether code for the target may use it.
bool Offers(const ir::Target& target, const Instruction& instruction);

// How an operand becomes one of the type that an instruction takes.
enum class Conversion : uint8_t {
  kNone,
  kWiden,   // the same value in more bits
  kOffset,  // i8 as u8: 128 more, which the sum is corrected by
};
// Nothing where there is none.
std::optional<Conversion> ConversionTo(ir::Type wanted, ir::Type given);

// What stands for the instruction's operands A and B in an expression of the form of its body.
struct Operands {
  ir::Expr a, b;
};

// Every way in which `value` is the body of the instruction's definition, operands of commutative
// operations in either order; types are compared element by element, so `value` may be of vectors.
// `convert`: operands may be of a type that has a conversion.
std::vector<Operands> Unify(const Instruction& instruction, const ir::Expr& value,
                            bool convert = false);

}  // namespace tessera::te
