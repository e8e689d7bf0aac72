#include "worker/runner/vta/board.h"

#include "absl/strings/str_cat.h"

namespace tessera::vta {
namespace {

constexpr int64_t kInstructionBytes = 16;

}  // namespace

Board::Board(const Dram& dram)
    : driver_{.dram = dram.host,
              .dram_address = dram.address,
              .dram_bytes = dram.bytes,
              .self = this,
              .flush = nullptr,
              .invalidate = nullptr,
              .run = RunByDriver} {}

int Board::RunByDriver(void* self, uint32_t address, int64_t count, uint64_t* cycles) {
  auto* board = static_cast<Board*>(self);
  const absl::StatusOr<uint64_t> ran = board->Run(address, count);
  board->last_run_ = ran.status();
  *cycles = ran.ok() ? *ran : 0;
  if (ran.ok()) return TESSERA_VTA_OK;
  return absl::IsDeadlineExceeded(ran.status()) ? TESSERA_VTA_TIMED_OUT : TESSERA_VTA_DEVICE_FAILED;
}

absl::Status CheckInstructions(const Dram& dram, uint32_t address, int64_t count) {
  const int64_t begin = int64_t{address} - dram.address;
  if (count > 0 && begin >= 0 && begin <= dram.bytes &&
      count <= (dram.bytes - begin) / kInstructionBytes) {
    return absl::OkStatus();
  }
  return absl::OutOfRangeError(absl::StrCat("VTA: ", count, " instructions at address ", address,
                                            " don't lie in DRAM, which has ", dram.bytes,
                                            " bytes from ", dram.address, " on"));
}

}  // namespace tessera::vta
