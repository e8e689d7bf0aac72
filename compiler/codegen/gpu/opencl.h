#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen::gpu {

// The argument that is the workspace.
inline constexpr int kWorkspaceArgument = -1;

// How one kernel is started.
struct Launch {
  std::string kernel;                            // its name in the source
  std::array<int64_t, 3> blocks, block_threads;  // x, y, z
  std::vector<int> arguments;                    // buffers: a program's parameter, or the workspace
  bool operator==(const Launch&) const = default;
};

struct DeviceCode {
  std::string source;
  std::vector<Launch> launches;  // in order; each begins when the one before has ended
  int64_t workspace_bytes = 0;
};

// OpenCL C 1.2 of a lowered program (passes::Lower). f16 is computed in f32 unless the target has
// fp16, bf16 always is. Deterministic. InvalidArgument as of SplitKernels; Unimplemented for what
// OpenCL C can't say (types of less than 8 bits but booleans, asynchronous copies, instructions of
// other targets).
absl::StatusOr<DeviceCode> GenerateOpenCl(const ir::Program& program, const ir::Target& target);

}  // namespace tessera::codegen::gpu
