#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/dag.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/simulator.h"
#include "compiler/vta/timing.h"

namespace tessera::codesign {

// OK where a workload's tensors lie within the 4 GiB of DRAM that a VTA's addresses reach; else
// InvalidArgument with the bytes.
absl::Status CheckTensors(const te::Dag& dag);

// What became of a kernel that was generated, expanded by the runtime and simulated.
struct SimulatedKernel {
  vta::Report report;
  std::vector<vta::Instruction> instructions;
};

// Each kernel of a scheduled program. Its tensors are zeros: no time depends on values.
// Deterministic; thread-safe. Errors are of code generation (InvalidArgument; so is what takes more
// than 4 GiB of DRAM) and of the simulator.
absl::StatusOr<std::vector<SimulatedKernel>> Simulate(const schedule::Schedule& schedule,
                                                      const ir::Target& target,
                                                      const vta::Timing& timing);

}  // namespace tessera::codesign
