#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cuda/ptx_program.h"

namespace tessera::ptx {

struct Operand {
  std::string name;        // of its last part
  std::vector<int> slots;  // registers: one, or those of a vector
  int64_t offset = 0;      // bytes, of an address
};

// What `opcode` (its parts between dots) does with `operands`, into `instruction`. False where it
// is not known.
bool MakeInstruction(const std::vector<std::string>& opcode, const std::vector<Operand>& operands,
                     Instruction& instruction);

// The same of what a warp does together (ptx_matrices.cc): mma, ldmatrix.
bool MakeMatrixInstruction(const std::vector<std::string>& opcode,
                           const std::vector<Operand>& operands, Instruction& instruction);

}  // namespace tessera::ptx
