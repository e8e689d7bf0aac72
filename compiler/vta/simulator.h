#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/config.h"
#include "compiler/vta/engine.h"
#include "compiler/vta/instruction.h"
#include "compiler/vta/timing.h"

namespace tessera::vta {

// Of Gemm and Alu in a program; a turn without micro-ops counts as one. 10 s at 100 MHz.
inline constexpr int64_t kMaxSteps = int64_t{1} << 30;

// Cycles of an engine. What is left of the program's is idle.
struct EngineReport {
  int64_t instructions = 0;
  int64_t busy = 0;            // from an instruction's start to its end, without what follows
  int64_t bus = 0;             // of instructions under way, that others had the bus
  int64_t no_instruction = 0;  // its queue was empty
  int64_t no_token = 0;        // an instruction waited for what it pops
  int64_t queue_full = 0;      // what it hands on, an instruction or a token, found no place
};

// An instruction from its start to its end. Of fetch: a row of instructions from its request on.
struct TimelineEntry {
  Engine engine;
  int64_t instruction;  // its place in the program; of a row the first one's
  int64_t begin_cycle;
  int64_t end_cycle;
  // What of its engine's EngineReport is due to it; of fetch only what it waited for the bus.
  // Before begin_cycle there was no instruction and then no token; after end_cycle a queue was
  // full.
  int64_t bus = 0;
  int64_t no_instruction = 0;
  int64_t no_token = 0;
  int64_t queue_full = 0;
};

struct Report {
  int64_t cycles = 0;  // until the program's last instruction has ended
  int64_t gemm_steps = 0;
  int64_t alu_steps = 0;
  int64_t dram_bytes_read = 0;  // with instructions
  int64_t dram_bytes_written = 0;
  std::array<EngineReport, kEngines> engines;
  std::vector<TimelineEntry> timeline;  // by begin_cycle

  const EngineReport& of(Engine engine) const { return engines[static_cast<size_t>(engine)]; }
};

// Runs a program, whose last instruction is its only finish, and computes what it computes in
// `dram`: in order in each engine, at the cycles at which hardware with these parameters starts
// each instruction. Deterministic, and it always ends. InvalidArgument where CheckTiming says so.
// FailedPrecondition, naming instruction and cycle, for more steps than kMaxSteps and for what
// hardware would silently do wrong: what can't be encoded, those of Execute, instructions that use
// the same memory and that no tokens put in order (Order), that wait for each other for ever or
// that finish doesn't come after, tokens that nobody has popped.
//
// Behavioural in what it computes, event-driven in time: an event is the start of an instruction,
// a row's use of the bus or an instruction's end.
absl::StatusOr<Report> Simulate(absl::Span<const Instruction> program, const Config& config,
                                const Timing& timing, absl::Span<uint8_t> dram);

// Of the cycles that it counts: raised when a program takes others by the same parameters.
inline constexpr int kSimulatorVersion = 1;

}  // namespace tessera::vta
