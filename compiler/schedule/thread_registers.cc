#include "compiler/schedule/thread_registers.h"

#include <algorithm>
#include <limits>

namespace tessera::schedule {
namespace {

constexpr int64_t kRegisterBytes = 4;
// Beside what is held: the fewest with which a thread finds an operand and counts its steps, and
// what addresses, tests and further steps in flight usually take.
constexpr int64_t kFewestOthers = 8;
constexpr double kUsualOthers = 32;

}  // namespace

int64_t HoldableBytes(const ir::Target& target, int64_t block_threads) {
  const std::optional<int64_t> registers = ir::ThreadRegisters(target, block_threads);
  if (!registers) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, *registers - kFewestOthers) * kRegisterBytes;
}

double LikelyRegisters(double held_bytes, double operand_bytes) {
  return (held_bytes + operand_bytes) / kRegisterBytes + kUsualOthers;
}

}  // namespace tessera::schedule
