#include "compiler/schedule/thread_registers.h"

#include <algorithm>
#include <limits>

namespace tessera::schedule {
namespace {

constexpr int64_t kRegisterBytes = 4;
// Beside what is held: the fewest with which a thread finds an operand and counts its steps.
constexpr int64_t kFewestOthers = 8;
// What addresses, tests and further steps in flight take more, of most programs that
// bench/registers.cc drew.
constexpr double kUsualOthers = 20, kUsualSurplus = 1.25;

}  // namespace

int64_t HoldableBytes(const ir::Target& target, int64_t block_threads) {
  const std::optional<int64_t> registers = ir::ThreadRegisters(target, block_threads);
  if (!registers) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, *registers - kFewestOthers) * kRegisterBytes;
}

double LikelyRegisters(double held_bytes, double operand_bytes) {
  return (kUsualSurplus * held_bytes + operand_bytes) / kRegisterBytes + kUsualOthers;
}

}  // namespace tessera::schedule
