#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
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
  int64_t shared_bytes = 0;                      // of a block
  bool operator==(const Launch&) const = default;
};

struct DeviceCode {
  std::string source;
  // Of each program, in order; each begins when the one before has ended.
  std::vector<std::vector<Launch>> launches;
  int64_t workspace_bytes = 0;  // what the neediest program takes
};

// OpenCL C 1.2 of lowered programs (passes::Lower) of different names. f16 is computed in f32
// unless the target has fp16, bf16 always is. Deterministic. InvalidArgument as of SplitKernels;
// Unimplemented for what OpenCL C can't say (types of less than 8 bits but booleans, asynchronous
// copies, instructions of other targets).
absl::StatusOr<DeviceCode> GenerateOpenCl(absl::Span<const ir::Program> programs,
                                          const ir::Target& target);

}  // namespace tessera::codegen::gpu
