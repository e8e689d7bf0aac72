#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

// PTX as an interpreter runs it: the instructions that code generation writes, by NVIDIA's
// "Parallel Thread Execution ISA", version 8. What stands in for a GPU where there is none.

namespace tessera::ptx {

// What a register holds, in its low bits.
using Word = uint64_t;

class Block;

// One that a thread has started and not waited for.
struct AsyncCopy {
  std::byte* to;
  const std::byte* from;
  size_t bytes;
};

struct Thread {
  std::vector<Word> registers;
  size_t next = 0;  // instruction
  bool has_ended = false;
  std::vector<AsyncCopy> copies = {};
};

inline constexpr size_t kWarp = 32;  // threads that run some instructions together

// What a thread waits for after an instruction.
enum class Wait : uint8_t {
  kNothing,
  kBlock,  // all threads of the block
  kWarp,   // all threads of the warp, which then run the instruction's `together`
};

struct Instruction {
  std::string text;
  int guard = -1;  // the predicate's register; -1: none
  bool guard_negated = false;
  std::function<Wait(Block&, Thread&)> run;
  std::function<void(Block&, absl::Span<Thread>)> together;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> instructions;
  std::vector<Word> registers;  // as every thread begins: constants are registers too
  std::vector<int> params;      // registers that hold them
  std::array<int, 3> block_number, block_count, thread_number, thread_count;  // registers
  std::array<uint32_t, 3> required_threads = {0, 0, 0};                       // .reqntid
  int64_t local_bytes = 0;
};

// InvalidArgument naming the line that is not understood.
absl::StatusOr<std::map<std::string, Kernel>> ParsePtx(std::string_view text);

}  // namespace tessera::ptx
