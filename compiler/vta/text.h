#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/instruction.h"

namespace tessera::vta {

// Instructions as text, one a line:
//
//   load inp sram 0 dram 128 y 14 x 14 stride 14 pad 1 1 1 1 pop next push next
//   gemm reset uop 0 9 outer 14 by 14 0 0 inner 14 by 1 0 0
//   alu max imm -3 uop 0 1 outer 2 by 32 32 inner 1 by 0 0 pop prev
//   store out sram 0 dram 4096 y 1 x 64 stride 64 push prev
//   finish
//
// `by` says what a turn adds to dst, src and, of gemm, wgt. Padding stands above, below, left and
// right of the tiles, and only where there is some.
std::string Print(const Instruction& instruction);
std::string PrintAll(absl::Span<const Instruction> program);

// Reads what Print writes; values that no instruction can carry are refused when it is encoded.
// InvalidArgument names what was expected where; of ParseAll with the number of the line. Empty
// lines and what follows a # are left out.
absl::StatusOr<Instruction> ParseInstruction(std::string_view line);
absl::StatusOr<std::vector<Instruction>> ParseAll(std::string_view text);

}  // namespace tessera::vta
