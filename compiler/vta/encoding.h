#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "compiler/vta/config.h"
#include "compiler/vta/instruction.h"

namespace tessera::vta {

// An instruction's 128 bits. Bit 0 is the lowest of the first word; in memory both are
// little-endian.
using Word = std::array<uint64_t, 2>;

// Requires an encodable configuration (CheckEncodable), as do the others. InvalidArgument names the
// field, its value and its bits where one doesn't fit, and what the accelerator can't do: loading
// results, storing anything else, padding of stores.
absl::StatusOr<Word> Encode(const Instruction& instruction, const Config& config);

// InvalidArgument for words that Encode makes of no instruction.
absl::StatusOr<Instruction> Decode(const Word& word, const Config& config);

absl::StatusOr<uint32_t> EncodeMicroOp(const MicroOp& uop, const Config& config);
// Any 32 bits are a micro-op, if bits that no field has are 0; else InvalidArgument.
absl::StatusOr<MicroOp> DecodeMicroOp(uint32_t word, const Config& config);

// Bits of a word from `position` on; they lie within one of its halves.
struct FieldPlace {
  int position = 0;
  int bits = 0;
};
// Where the fields lie that depend on more than what an instruction does. Those of `uop_begin` and
// `uop_end` are the same in Gemm and Alu.
struct FieldPlaces {
  FieldPlace pops_previous, pops_next, pushes_previous, pushes_next;
  FieldPlace sram_base, dram_base, y_size, x_size;
  FieldPlace y_pad_before, y_pad_after, x_pad_before, x_pad_after;
  FieldPlace uop_begin, uop_end;
  FieldPlace dst, src, wgt;  // of micro-ops
};
FieldPlaces FieldPlacesOf(const Config& config);

}  // namespace tessera::vta
