#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera::vta {

// One of the accelerator's four memories that hold operands, or that of micro-ops. Values are those
// of instructions.
enum class Memory : uint8_t { kUop = 0, kWgt = 1, kInp = 2, kAcc = 3, kOut = 4 };
inline constexpr int kMemories = 5;
std::string_view MemoryName(Memory memory);  // "uop"

// A variant of the accelerator. Inputs, weights and results are of 8 bits, accumulators of 32. The
// unit of every memory is a tile: kInp batch × block inputs, kWgt block × block weights, kAcc
// batch × block accumulators, kOut as many results; kUop one micro-op of 32 bits. Results lie
// behind accumulators, one for one: the depth of kOut is that of kAcc. Source: arXiv:1807.04188 and
// the configuration files of apache/tvm-vta.
struct Config {
  // Base-2 logarithms.
  int log_batch = 0;
  int log_block = 4;
  int log_uop_bytes = 15;  // of the memory, as are the following
  int log_inp_bytes = 15;
  int log_wgt_bytes = 18;
  int log_acc_bytes = 17;

  int batch() const { return 1 << log_batch; }
  int block() const { return 1 << log_block; }
  int LogTileBytes(Memory memory) const;
  int64_t TileBytes(Memory memory) const { return int64_t{1} << LogTileBytes(memory); }
  // Of tiles.
  int LogDepth(Memory memory) const;
  int64_t Depth(Memory memory) const { return int64_t{1} << LogDepth(memory); }

  friend bool operator==(const Config&, const Config&) = default;
};

// InvalidArgument, with value and limit, where a memory holds less than one tile or an instruction
// or micro-op has more bits than its word.
absl::Status CheckEncodable(const Config& config);

// A JSON object with the names of apache/tvm-vta (LOG_BATCH, LOG_BLOCK, LOG_UOP_BUFF_SIZE …);
// what it leaves out is as above, LOG_INP_WIDTH and the like may be there with their only value.
// Encodable. InvalidArgument names the member.
absl::StatusOr<Config> ParseConfig(std::string_view json);
// In one line; ParseConfig reads it.
std::string Print(const Config& config);

}  // namespace tessera::vta
