#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// A program as text, as artifacts carry it. What is in a loop stands two spaces further to the
// right; values and places are words (value_text.h).
//
//   vta 1
//   config {"LOG_BATCH":0,"LOG_BLOCK":4, …}
//   allocation inp first 0 tiles 64 copies 2
//   allocation acc first 0 tiles 16 copies 1
//   repeat 14
//     load 0[i0%2]@0 buffer 0 tile 0 rows -1+i0%14 3 of 14 columns 0 14 of 14 stride 14
//     gemm reset dst 1[0]@0 loop 14 by 1 0 0
//     alu max imm 0 dst 1[0]@0 loop 14 by 1 0 0
//     store 1[0]@0 buffer 2 tile 0 rows i0%14 1 of 14 columns 0 14 of 14 stride 14
//
// Rows and columns are first, count and limit; loops turns and the steps of dst, src and wgt.
std::string Print(const Code& code);

// Reads what Print writes. Input is hostile: what Check refuses, it refuses. InvalidArgument names
// the line, or what Check names.
absl::StatusOr<Code> ParseCode(std::string_view text, int buffers);

}  // namespace tessera::vta
