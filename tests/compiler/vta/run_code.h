#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/vta/code.h"
#include "compiler/vta/simulator.h"

namespace tessera::vta {

// By their number, in bytes.
using Buffers = std::vector<std::vector<uint8_t>>;

// What a program becomes, and DRAM with its buffers and micro-ops.
struct Expansion {
  std::vector<Instruction> program;
  std::vector<uint8_t> dram;
  std::vector<int64_t> addresses;  // of the buffers
  int64_t uops = 0;                // in DRAM
};

// Check, Assemble, tessera_vta_expand, Decode. Requires that they succeed.
Expansion Expand(const Code& code, const Buffers& buffers);

// What the accelerator does to the buffers.
absl::StatusOr<Report> SimulateCode(const Code& code, const Timing& timing, Buffers& buffers);

// The same by plain loops: a program's meaning.
void Interpret(const Code& code, Buffers& buffers);

}  // namespace tessera::vta
