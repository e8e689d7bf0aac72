#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/runtime/vta.h"

namespace tessera::vta {

// Of the addresses that the accelerator uses, [address, address + bytes): where the host finds the
// same bytes.
struct Dram {
  uint8_t* host = nullptr;
  uint32_t address = 0;
  int64_t bytes = 0;
};

// An accelerator with its DRAM: what a tessera_vta_driver is made of, with errors that say what
// went wrong. Not thread-safe; stays where it is.
class Board {
 public:
  explicit Board(const Dram& dram);
  virtual ~Board() = default;
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // Lives as long as this. DeadlineExceeded of a run is TESSERA_VTA_TIMED_OUT, every other error
  // TESSERA_VTA_DEVICE_FAILED.
  const tessera_vta_driver& driver() const { return driver_; }
  // Of the last run by the driver.
  const absl::Status& last_run() const { return last_run_; }

 protected:
  // Executes `count` instructions that lie at `address`, the last of which is a finish, and waits
  // for it. Cycles, or 0 where nobody counts them.
  virtual absl::StatusOr<uint64_t> Run(uint32_t address, int64_t count) = 0;

 private:
  static int RunByDriver(void* self, uint32_t address, int64_t count, uint64_t* cycles);

  tessera_vta_driver driver_;
  absl::Status last_run_;
};

// OutOfRange unless so many instructions that lie at `address` lie within the DRAM.
absl::Status CheckInstructions(const Dram& dram, uint32_t address, int64_t count);

}  // namespace tessera::vta
