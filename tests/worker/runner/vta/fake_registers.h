#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "compiler/vta/simulator.h"
#include "worker/runner/vta/register_board.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::vta {

// Registers behind which the simulator does the work. Everything takes some reads of a register,
// so that whoever doesn't wait sees what was there before. What hardware would not do is a fault.
class FakeRegisters final : public Registers {
 public:
  // DRAM that begins at `dram.address` of a memory whose first byte the host finds at
  // dram.host - dram.address.
  explicit FakeRegisters(const Dram& dram) : dram_(dram) {}

  Timing timing;
  std::vector<std::string> faults;
  bool is_mute = false;  // as a board without its bitstream
  int64_t programs = 0;  // that were executed, by their finish

  uint32_t Read(uint32_t offset) override {
    if (is_mute) return 0;
    Advance();
    if (offset == registers::kDone) return done_;
    if (offset == registers::kFetch + registers::kControl) {
      return steps_to_idle_ > 0 ? registers::kStart : registers::kIdle;
    }
    faults.push_back(absl::StrCat("reads ", absl::Hex(offset)));
    return 0;
  }

  void Write(uint32_t offset, uint32_t value) override {
    using namespace registers;  // NOLINT
    const bool is_busy = steps_to_end_ > 0 || steps_to_idle_ > 0;
    switch (offset) {
      case kFetchCount:
      case kFetchAddress:
      case kLoadInputs:
      case kLoadWeights:
      case kComputeUops:
      case kComputeAccumulators:
      case kStoreResults:
        if (is_busy) faults.push_back(absl::StrCat("writes ", absl::Hex(offset), " while busy"));
        values_[offset] = value;
        return;
      case kFetch + kControl:
        if (is_busy) faults.push_back("starts fetch while busy");
        if (value != kStart) faults.push_back("starts fetch for ever");
        steps_to_idle_ = 5;
        is_started_ = true;
        break;
      case kLoad + kControl:
      case kCompute + kControl:
      case kStore + kControl:
        if (value != kStartForEver) faults.push_back("starts an engine once");
        values_[offset] = value;
        break;
      default:
        faults.push_back(absl::StrCat("writes ", absl::Hex(offset)));
    }
    const bool run = values_.contains(kLoad + kControl) && values_.contains(kCompute + kControl) &&
                     values_.contains(kStore + kControl);
    if (!is_started_ || !run) return;
    is_started_ = false;
    Begin();
  }

 private:
  // Fetch hands out instructions, the first of the compute module is executed, then the last.
  void Begin() {
    for (const uint32_t base :
         {registers::kLoadInputs, registers::kLoadWeights, registers::kComputeUops,
          registers::kComputeAccumulators, registers::kStoreResults}) {
      if (!values_.contains(base) || values_[base] != 0) {
        faults.push_back(absl::StrCat("starts with the base ", absl::Hex(base)));
      }
    }
    if (is_hung_) return;
    const uint32_t count = values_[registers::kFetchCount];
    const auto program =
        ReadInstructions(dram_, values_[registers::kFetchAddress], count, Config());
    if (!program.ok()) {
      faults.push_back(std::string(program.status().message()));
      return;
    }
    steps_to_first_ = 10;
    if (!std::holds_alternative<Finish>(program->back().operation)) {
      if (count != 1 || program->front() != Instruction{{}, Gemm{.outer = {0}, .inner = {0}}}) {
        faults.push_back("executes something else than nothing without a finish");
      }
      return;
    }
    const size_t bytes = static_cast<size_t>(dram_.address + dram_.bytes);
    const auto report =
        Simulate(*program, Config(), timing, absl::MakeSpan(dram_.host - dram_.address, bytes));
    is_hung_ = !report.ok();
    steps_to_end_ = 50;
  }

  void Advance() {
    if (steps_to_idle_ > 0) --steps_to_idle_;
    if (steps_to_first_ > 0 && --steps_to_first_ == 0) done_ = 0;
    if (steps_to_end_ == 0 || is_hung_ || --steps_to_end_ > 0) return;
    done_ = 1;
    ++programs;
  }

  const Dram dram_;
  std::map<uint32_t, uint32_t> values_;
  bool is_started_ = false;
  bool is_hung_ = false;  // in a program that never ends
  uint32_t done_ = 0;
  int steps_to_idle_ = 0, steps_to_first_ = 0, steps_to_end_ = 0;
};

}  // namespace tessera::vta
