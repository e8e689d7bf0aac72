#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "compiler/runtime/vta_registers.h"
#include "compiler/vta/simulator.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::vta {

// Registers behind which the simulator does the work. Everything takes some reads of a register,
// so that whoever doesn't wait sees what was there before. What hardware would not do is a fault.
class FakeRegisters {
 public:
  // DRAM that begins at `dram.address` of a memory whose first byte the host finds at
  // dram.host - dram.address.
  explicit FakeRegisters(const Dram& dram) : dram_(dram) {}

  Timing timing;
  std::vector<std::string> faults;
  bool is_mute = false;    // as a board without its bitstream
  int64_t finishes = 0;    // that were executed
  int64_t end_steps = 50;  // from a program's first instruction to its finish

  // By them and the clock, which both outlive it.
  tessera_vta_access Access(Clock& clock) {
    clock_ = &clock;
    return {
        .self = this,
        .read = [](void* self, uint32_t offset) { return Of(self).Read(offset); },
        .write = [](void* self, uint32_t offset, uint32_t value) { Of(self).Write(offset, value); },
        .now =
            [](void* self) {
              return absl::ToDoubleSeconds(Of(self).clock_->Now() - absl::UnixEpoch());
            },
        .sleep = [](void* self,
                    double seconds) { Of(self).clock_->SleepFor(absl::Seconds(seconds)); }};
  }

  // What is executed now ends.
  void EndFirst() { events_.front().steps = 1; }

  uint32_t Read(uint32_t offset) {
    if (is_mute) return 0;
    Advance();
    if (offset == TESSERA_VTA_DONE) return done_;
    if (offset == TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL) {
      return fetch_steps_ > 0 ? TESSERA_VTA_START : TESSERA_VTA_IDLE;
    }
    faults.push_back(absl::StrCat("reads ", absl::Hex(offset)));
    return 0;
  }

  void Write(uint32_t offset, uint32_t value) {
    if (fetch_steps_ > 0 && offset < TESSERA_VTA_LOAD) {
      faults.push_back(absl::StrCat("writes ", absl::Hex(offset), " while fetch is busy"));
    }
    const bool is_engine = offset == TESSERA_VTA_LOAD + TESSERA_VTA_CONTROL ||
                           offset == TESSERA_VTA_COMPUTE + TESSERA_VTA_CONTROL ||
                           offset == TESSERA_VTA_STORE + TESSERA_VTA_CONTROL;
    const bool is_value =
        offset == TESSERA_VTA_FETCH_COUNT || offset == TESSERA_VTA_FETCH_ADDRESS ||
        offset == TESSERA_VTA_LOAD_INPUTS || offset == TESSERA_VTA_LOAD_WEIGHTS ||
        offset == TESSERA_VTA_COMPUTE_UOPS || offset == TESSERA_VTA_COMPUTE_ACCUMULATORS ||
        offset == TESSERA_VTA_STORE_RESULTS;
    const bool is_fetch = offset == TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL;
    if (!(is_value || (is_engine && value == TESSERA_VTA_START_FOR_EVER) ||
          (is_fetch && value == TESSERA_VTA_START))) {
      faults.push_back(absl::StrCat("writes ", absl::Hex(value), " to ", absl::Hex(offset)));
    }
    values_[offset] = value;
    if (is_fetch) is_started_ = true;
    if (is_started_ && values_.contains(TESSERA_VTA_LOAD + TESSERA_VTA_CONTROL) &&
        values_.contains(TESSERA_VTA_COMPUTE + TESSERA_VTA_CONTROL) &&
        values_.contains(TESSERA_VTA_STORE + TESSERA_VTA_CONTROL)) {
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
         {TESSERA_VTA_LOAD_INPUTS, TESSERA_VTA_LOAD_WEIGHTS, TESSERA_VTA_COMPUTE_UOPS,
          TESSERA_VTA_COMPUTE_ACCUMULATORS, TESSERA_VTA_STORE_RESULTS}) {
      if (!values_.contains(base) || values_[base] != 0) {
        faults.push_back(absl::StrCat("starts with the base ", absl::Hex(base)));
      }
    }
    fetch_steps_ = 5;
    const uint32_t count = values_[TESSERA_VTA_FETCH_COUNT];
    const auto program =
        ReadInstructions(dram_, values_[TESSERA_VTA_FETCH_ADDRESS], count, Config());
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

  static FakeRegisters& Of(void* self) { return *static_cast<FakeRegisters*>(self); }

  const Dram dram_;
  Clock* clock_ = nullptr;
  std::map<uint32_t, uint32_t> values_;
  bool is_started_ = false;
  uint32_t done_ = 0;
  int64_t fetch_steps_ = 0;
  std::deque<Event> events_;
};

}  // namespace tessera::vta
