#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/codegen/gpu/kernels.h"

// What code generators of GPUs make.

namespace tessera::codegen::gpu {

// The argument that is the workspace.
inline constexpr int kWorkspaceArgument = -1;

// How a kernel is passed a buffer: its memory, the same as constant memory, or as an image of
// texels of four elements; behind an image stands the number of the texel at which the buffer
// begins.
enum class ArgumentKind : uint8_t { kMemory, kConstant, kImageF32, kImageF16 };
struct Argument {
  int buffer;  // a program's parameter, or the workspace
  ArgumentKind kind = ArgumentKind::kMemory;
  bool operator==(const Argument&) const = default;
};

// How one kernel is started.
struct Launch {
  std::string kernel;                            // its name in the source
  std::array<int64_t, 3> blocks, block_threads;  // x, y, z
  std::vector<Argument> arguments;
  int64_t shared_bytes = 0;  // of a block
  bool operator==(const Launch&) const = default;
};

struct DeviceCode {
  std::string source;
  // Of each program, in order; each begins when the one before has ended.
  std::vector<std::vector<Launch>> launches;
  int64_t workspace_bytes = 0;  // what the neediest program takes
};

// With memory for all arguments.
Launch LaunchOf(const KernelNest& nest);

}  // namespace tessera::codegen::gpu
