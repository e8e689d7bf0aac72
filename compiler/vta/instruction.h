#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "compiler/vta/config.h"

namespace tessera::vta {

// Instructions as values, before they are encoded (encoding.h). Addresses and extents count tiles
// of the memory that they are of. Source: arXiv:1807.04188 §2.

// Tokens between neighbours in the row load, compute, store: `previous` is the one to the left.
// An instruction waits for what it pops, and gives what it pushes when it has ended.
struct Dependences {
  bool pops_previous = false;
  bool pops_next = false;
  bool pushes_previous = false;
  bool pushes_next = false;

  friend bool operator==(const Dependences&, const Dependences&) = default;
};

// `y_size` rows of `x_size` tiles, `x_stride` apart in DRAM, that lie one behind the other in
// `memory`. Loads may put rows and columns of zeros around them; they count as tiles of `memory`.
// Loaded are kUop, kWgt, kInp and kAcc, stored kOut.
struct Transfer {
  bool is_store = false;
  Memory memory = Memory::kInp;
  int64_t sram_base = 0;
  int64_t dram_base = 0;
  int64_t y_size = 0;
  int64_t x_size = 0;
  int64_t x_stride = 0;
  int64_t y_pad_before = 0;
  int64_t y_pad_after = 0;
  int64_t x_pad_before = 0;
  int64_t x_pad_after = 0;

  friend bool operator==(const Transfer&, const Transfer&) = default;
};

// A loop around the micro-ops and what each of its turns adds to their indices.
struct Loop {
  int64_t turns = 1;
  int64_t dst_step = 0;
  int64_t src_step = 0;
  int64_t wgt_step = 0;  // 0 in Alu

  friend bool operator==(const Loop&, const Loop&) = default;
};

// For each turn of `outer`, of `inner`, and each micro-op of [uop_begin, uop_end):
// acc[dst] += inp[src] × wgtᵀ, or acc[dst] = 0 where it resets.
struct Gemm {
  bool resets = false;
  int64_t uop_begin = 0;
  int64_t uop_end = 0;
  Loop outer, inner;

  friend bool operator==(const Gemm&, const Gemm&) = default;
};

enum class AluOp : uint8_t { kMin = 0, kMax = 1, kAdd = 2, kShr = 3 };
inline constexpr int kAluOps = 4;
std::string_view AluOpName(AluOp op);  // "min"

// In the same loops acc[dst] = op(acc[dst], acc[src]), or op(acc[dst], immediate). kShr is
// arithmetic, and shifts left by negative amounts.
struct Alu {
  AluOp op = AluOp::kAdd;
  bool uses_immediate = false;
  int64_t immediate = 0;  // of 16 bits, signed
  int64_t uop_begin = 0;
  int64_t uop_end = 0;
  Loop outer, inner;

  friend bool operator==(const Alu&, const Alu&) = default;
};

// Ends a program.
struct Finish {
  friend bool operator==(const Finish&, const Finish&) = default;
};

struct Instruction {
  Dependences dependences;
  std::variant<Transfer, Gemm, Alu, Finish> operation;

  friend bool operator==(const Instruction&, const Instruction&) = default;
};

// Where the innermost step of Gemm and Alu finds its tiles, before the loops' steps are added.
// `src` is of kInp in Gemm, of kAcc in Alu, which has no `wgt`.
struct MicroOp {
  int64_t dst = 0;
  int64_t src = 0;
  int64_t wgt = 0;

  friend bool operator==(const MicroOp&, const MicroOp&) = default;
};

}  // namespace tessera::vta
