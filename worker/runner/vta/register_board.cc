#include "worker/runner/vta/register_board.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace tessera::vta {
namespace {

using namespace registers;  // NOLINT: this file is about them

// First words of a product of no turns and of a finish, whose second words are 0.
constexpr uint64_t kNothing = 2, kFinish = 3;
// Of what takes the accelerator microseconds.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(1);
// Reads before the first pause: some 10 ms of them, of which a pause is less than 1 %.
constexpr int64_t kReadsAtOnce = 100'000;
constexpr absl::Duration kPause = absl::Microseconds(50);

// What the host has written before lies in DRAM, or its caches, when a register is written behind
// it; what the accelerator wrote before a register was read is read behind it.
void OrderMemory() {
#if defined(__aarch64__) || defined(__arm__)
  asm volatile("dsb sy" ::: "memory");
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

}  // namespace

absl::StatusOr<std::unique_ptr<RegisterBoard>> RegisterBoard::Open(Registers& registers,
                                                                   const Dram& dram,
                                                                   absl::Duration timeout,
                                                                   Clock& clock) {
  if (dram.bytes <= kPage) {
    return absl::InvalidArgumentError(
        absl::StrCat("VTA: ", dram.bytes, " bytes of DRAM; more than ", kPage, " are needed"));
  }
  auto board = std::unique_ptr<RegisterBoard>(new RegisterBoard(registers, dram, timeout, clock));
  // A process that was ended may have left it a program: it comes to this behind that.
  if (const absl::Status status = board->Execute(kFinish, 1); !status.ok()) {
    return absl::UnavailableError(absl::StrCat("VTA: the accelerator does not answer (",
                                               status.message(), "); load its bitstream again"));
  }
  return board;
}

absl::StatusOr<uint64_t> RegisterBoard::Run(uint32_t address, int64_t count) {
  TESSERA_RETURN_IF_ERROR(CheckInstructions(dram_, address, count));
  if (is_stuck_) {
    return absl::FailedPreconditionError(
        "VTA: the accelerator is stuck in an earlier program; load its bitstream again");
  }
  is_stuck_ = true;
  // `done` says 1 of the last program until the next one's first instruction of the compute module
  // is executed, which may wait for others: by an instruction of our own it says 0 before.
  TESSERA_RETURN_IF_ERROR(Annotate(Execute(kNothing, 0), "VTA: before a program"));
  TESSERA_RETURN_IF_ERROR(Annotate(AwaitFetch(), "VTA: before a program"));
  Start(address, static_cast<uint32_t>(count));
  TESSERA_RETURN_IF_ERROR(Annotate(Await(kDone, 1, 1, timeout_),
                                   absl::StrCat("VTA: a program of ", count, " instructions")));
  is_stuck_ = false;
  return 0;
}

absl::Status RegisterBoard::Execute(uint64_t instruction, uint32_t done) {
  TESSERA_RETURN_IF_ERROR(AwaitFetch());
  const uint64_t words[2] = {instruction, 0};
  memcpy(dram_.host, words, sizeof(words));
  Start(dram_.address, 1);
  return Await(kDone, 1, done, kAnswerTimeout);
}

// While it fetches, a start would be lost.
absl::Status RegisterBoard::AwaitFetch() {
  return Await(kFetch + kControl, kIdle, kIdle, kAnswerTimeout);
}

void RegisterBoard::Start(uint32_t address, uint32_t count) {
  OrderMemory();
  registers_.Write(kFetchCount, count);
  registers_.Write(kFetchAddress, address);
  // Instructions hold addresses, in tiles, that count from the first byte of all memory.
  for (const uint32_t base :
       {kLoadInputs, kLoadWeights, kComputeUops, kComputeAccumulators, kStoreResults}) {
    registers_.Write(base, 0);
  }
  registers_.Write(kFetch + kControl, kStart);
  for (const uint32_t engine : {kLoad, kCompute, kStore}) {
    registers_.Write(engine + kControl, kStartForEver);
  }
}

absl::Status RegisterBoard::Await(uint32_t offset, uint32_t bits, uint32_t value,
                                  absl::Duration timeout) {
  const absl::Time start = clock_.Now();
  for (int64_t reads = 1;; ++reads) {
    const uint32_t found = registers_.Read(offset);
    OrderMemory();
    if ((found & bits) == value) return absl::OkStatus();
    if (reads < kReadsAtOnce) continue;
    if (clock_.Now() - start > timeout) {
      return absl::DeadlineExceededError(absl::StrFormat("register 0x%04x is 0x%x after %s", offset,
                                                         found, absl::FormatDuration(timeout)));
    }
    clock_.SleepFor(kPause);
  }
}

}  // namespace tessera::vta
