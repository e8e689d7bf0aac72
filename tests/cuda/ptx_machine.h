#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tests/cuda/ptx_program.h"

namespace tessera::ptx {

// Where generic addresses of memory that is not the device's own begin.
inline constexpr Word kSharedWindow = Word{1} << 60, kLocalWindow = Word{1} << 61;

// The device's memory: ranges of the host's, by address.
using Memory = std::map<Word, int64_t>;  // begin, bytes

struct Launch {
  std::array<uint32_t, 3> blocks, threads;
  int64_t shared_bytes = 0;
  std::vector<Word> params;
};

// Runs all blocks, one after the other. InvalidArgument where threads are not those that the kernel
// requires; OutOfRange naming the instruction that touches what is not there or not aligned;
// Aborted where threads wait for others that don't come.
absl::Status Run(const Kernel& kernel, const Launch& launch, const Memory& memory);

// A block that runs, as instructions see it.
class Block {
 public:
  Block(const Kernel& kernel, const Launch& launch, const Memory& memory);

  absl::Status Run(const std::array<uint32_t, 3>& number);

  // `bytes` at a generic address, for the thread; null, and the block ends, where there are none.
  std::byte* At(Thread& thread, Word address, int64_t bytes);
  void Fail(std::string_view why);

 private:
  // Until it waits or has ended.
  Wait Step(Thread& thread);
  absl::Status RunWarps(std::vector<Wait>& waits);

  const Kernel& kernel_;
  const Launch& launch_;
  const Memory& memory_;
  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  std::vector<std::vector<std::byte>> local_;  // of each thread
  absl::Status status_;
};

}  // namespace tessera::ptx
