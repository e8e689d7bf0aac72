#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/vta/config.h"
#include "compiler/vta/simulator.h"

namespace tessera::vta {

// What a worker is told of its accelerator.
struct Setup {
  Config config;
  int64_t clock_mhz = 100;
  Timing timing;  // of the simulator

  // Of boards.
  std::string board = "pynq";
  uint32_t registers_base = 0x43C0'0000;  // physical; 0: this board's are not known
  std::string registers_file = "/dev/mem";
  std::string dram = "udmabuf0";
};

// A JSON object of what ParseConfig reads and, where they are there: TARGET, by which a known board
// (pynq, ultra96, zcu104) has its clock, bus and registers; CLOCK_MHZ; REGISTERS and DRAM of
// boards; the members of Timing in capitals (ROW_LATENCY). Empty text is the Pynq board.
// InvalidArgument names the member.
absl::StatusOr<Setup> ParseSetup(std::string_view text);

// As ir::Target prints it: "vta batch=1 block=16 uop=32768 inp=32768 wgt=262144 acc=131072
// pipeline=4".
std::string TargetText(const Setup& setup);
// Where times compare: "vta-sim/1x16/100mhz/0f3c…" of simulators, whose digest is of configuration,
// timing and kSimulatorVersion, "vta/pynq/1x16/100mhz/…" of boards, whose digest is of the
// configuration.
std::string SimulatorClass(const Setup& setup);
std::string BoardClass(const Setup& setup);
// Billions of multiplications and additions a second, where the multipliers never wait.
double PeakGops(const Setup& setup);
// In words, for people.
std::string Describe(const Config& config);

}  // namespace tessera::vta
