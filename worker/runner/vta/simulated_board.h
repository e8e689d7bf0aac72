#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/vta/config.h"
#include "compiler/vta/instruction.h"
#include "compiler/vta/simulator.h"
#include "worker/runner/vta/board.h"

namespace tessera::vta {

// The simulator as a board. DRAM is memory of this process, from address 0 on, zeros at first.
class SimulatedBoard final : public Board {
 public:
  // ResourceExhausted where the system doesn't grant so many bytes. Only those that are touched
  // take memory.
  static absl::StatusOr<std::unique_ptr<SimulatedBoard>> Create(const Config& config,
                                                                const Timing& timing,
                                                                int64_t dram_bytes);
  ~SimulatedBoard() override;

 private:
  SimulatedBoard(const Config& config, const Timing& timing, const Dram& dram)
      : Board(dram), config_(config), timing_(timing), dram_(dram) {}

  // Errors of ReadInstructions and Simulate.
  absl::StatusOr<uint64_t> Run(uint32_t address, int64_t count) override;

  const Config config_;
  const Timing timing_;
  const Dram dram_;
};

// The instructions that lie at `address`. OutOfRange as CheckInstructions; InvalidArgument with the
// number of the one that Decode refuses.
absl::StatusOr<std::vector<Instruction>> ReadInstructions(const Dram& dram, uint32_t address,
                                                          int64_t count, const Config& config);

}  // namespace tessera::vta
