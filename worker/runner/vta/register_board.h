#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "worker/runner/vta/board.h"

namespace tessera::vta {

// Registers of the published design for Pynq, Ultra96 and ZCU104, by their distance from its first
// module, which has its base address. Source: apache/tvm-vta d4a15f6, config/pkg_config.py
// (addresses), src/pynq/pynq_driver.cc (order), hardware/xilinx/src/vta.cc (what sets `done`); the
// bits of control registers are those of Vivado HLS (UG902, "S_AXILITE Control Register Map").
namespace registers {
inline constexpr uint32_t kFetch = 0x0000, kLoad = 0x1000, kCompute = 0x2000, kStore = 0x3000;
inline constexpr int64_t kBytes = 0x4000;

// Of each module.
inline constexpr uint32_t kControl = 0x00;
inline constexpr uint32_t kStart = 0x01, kIdle = 0x04, kStartForEver = 0x81;

inline constexpr uint32_t kFetchCount = kFetch + 0x10, kFetchAddress = kFetch + 0x18;
// Where tile 0 of each memory lies in DRAM.
inline constexpr uint32_t kLoadInputs = kLoad + 0x10, kLoadWeights = kLoad + 0x18;
inline constexpr uint32_t kComputeUops = kCompute + 0x20, kComputeAccumulators = kCompute + 0x28;
inline constexpr uint32_t kStoreResults = kStore + 0x10;
// 1 from the execution of a finish to that of the next instruction of the compute module.
inline constexpr uint32_t kDone = kCompute + 0x18;
}  // namespace registers

class Registers {
 public:
  virtual ~Registers() = default;
  virtual uint32_t Read(uint32_t offset) = 0;
  virtual void Write(uint32_t offset, uint32_t value) = 0;
};

// A board by registers. Its DRAM is coherent with the host's caches, as that of the published
// design is. It has no counter of cycles.
class RegisterBoard final : public Board {
 public:
  // `registers`, `clock` and DRAM outlive the board, to which the first page of DRAM belongs.
  // `timeout`: of one program. Unavailable where the accelerator does not answer; InvalidArgument
  // where DRAM has no more than that page.
  static absl::StatusOr<std::unique_ptr<RegisterBoard>> Open(Registers& registers, const Dram& dram,
                                                             absl::Duration timeout, Clock& clock);

 private:
  static constexpr int64_t kPage = 4096;
  RegisterBoard(Registers& registers, const Dram& dram, absl::Duration timeout, Clock& clock)
      : Board({dram.host + kPage, dram.address + static_cast<uint32_t>(kPage), dram.bytes - kPage}),
        registers_(registers),
        dram_(dram),
        timeout_(timeout),
        clock_(clock) {}

  // DeadlineExceeded: it has not ended in time, and nothing runs on the board any more until its
  // bitstream is loaded again.
  absl::StatusOr<uint64_t> Run(uint32_t address, int64_t count) override;
  // Executes an instruction of the board's own, after which `done` has this value.
  absl::Status Execute(uint64_t instruction, uint32_t done);
  absl::Status AwaitFetch();
  void Start(uint32_t address, uint32_t count);
  // Waits until `bits` of a register are `value`. DeadlineExceeded with what they are.
  absl::Status Await(uint32_t offset, uint32_t bits, uint32_t value, absl::Duration timeout);

  Registers& registers_;
  const Dram dram_;
  const absl::Duration timeout_;
  Clock& clock_;
  bool is_stuck_ = false;
};

}  // namespace tessera::vta
