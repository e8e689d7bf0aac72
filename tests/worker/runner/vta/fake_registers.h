#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
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
  bool is_mute = false;    // as a board without its bitstream
  int64_t finishes = 0;    // that were executed
  int64_t end_steps = 50;  // from a program's first instruction to its finish

  // What is executed now ends.
  void EndFirst() { events_.front().steps = 1; }

  uint32_t Read(uint32_t offset) override {
    if (is_mute) return 0;
    Advance();
    if (offset == registers::kDone) return done_;
    if (offset == registers::kFetch + registers::kControl) {
      return fetch_steps_ > 0 ? registers::kStart : registers::kIdle;
    }
    faults.push_back(absl::StrCat("reads ", absl::Hex(offset)));
    return 0;
  }

  void Write(uint32_t offset, uint32_t value) override {
    using namespace registers;  // NOLINT
    if (fetch_steps_ > 0 && offset < kLoad) {
      faults.push_back(absl::StrCat("writes ", absl::Hex(offset), " while fetch is busy"));
    }
    const bool is_engine =
        offset == kLoad + kControl || offset == kCompute + kControl || offset == kStore + kControl;
    const bool is_value = offset == kFetchCount || offset == kFetchAddress ||
                          offset == kLoadInputs || offset == kLoadWeights ||
                          offset == kComputeUops || offset == kComputeAccumulators ||
                          offset == kStoreResults;
    const bool is_fetch = offset == kFetch + kControl;
    if (!(is_value || (is_engine && value == kStartForEver) || (is_fetch && value == kStart))) {
      faults.push_back(absl::StrCat("writes ", absl::Hex(value), " to ", absl::Hex(offset)));
    }
    values_[offset] = value;
    if (is_fetch) is_started_ = true;
    if (is_started_ && values_.contains(kLoad + kControl) &&
        values_.contains(kCompute + kControl) && values_.contains(kStore + kControl)) {
      is_started_ = false;
      Begin();
    }
  }

 private:
  // What the compute module does next, after so many steps.
  struct Event {
    int64_t steps;
    bool finishes;
  };

  void Begin() {
    for (const uint32_t base :
         {registers::kLoadInputs, registers::kLoadWeights, registers::kComputeUops,
          registers::kComputeAccumulators, registers::kStoreResults}) {
      if (!values_.contains(base) || values_[base] != 0) {
        faults.push_back(absl::StrCat("starts with the base ", absl::Hex(base)));
      }
    }
    fetch_steps_ = 5;
    const uint32_t count = values_[registers::kFetchCount];
    const auto program =
        ReadInstructions(dram_, values_[registers::kFetchAddress], count, Config());
    if (!program.ok()) {
      faults.push_back(std::string(program.status().message()));
      return;
    }
    if (*program == std::vector{Instruction{{}, Gemm{.outer = {0}, .inner = {0}}}}) {
      events_.push_back({10, false});
      return;
    }
    const size_t bytes = static_cast<size_t>(dram_.address + dram_.bytes);
    const auto report =
        Simulate(*program, Config(), timing, absl::MakeSpan(dram_.host - dram_.address, bytes));
    if (count > 1) events_.push_back({10, false});
    events_.push_back({!report.ok() ? INT64_MAX : count > 1 ? end_steps : 10, true});
  }

  void Advance() {
    if (fetch_steps_ > 0) --fetch_steps_;
    if (events_.empty() || --events_.front().steps > 0) return;
    done_ = events_.front().finishes ? 1 : 0;
    finishes += done_;
    events_.pop_front();
  }

  const Dram dram_;
  std::map<uint32_t, uint32_t> values_;
  bool is_started_ = false;
  uint32_t done_ = 0;
  int64_t fetch_steps_ = 0;
  std::deque<Event> events_;
};

}  // namespace tessera::vta
