#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

// What builders hand to runners of devices: the source of kernels, and how a call starts them. One
// text, so that an artifact is a file that people and drivers can read: lines of comment in front
// of the source say how it is started.
//
//   // tessera opencl 3
//   // workspace 4096
//   // prepare tessera_prepare_0 blocks 4 1 1 threads 64 1 1 shared 0 arguments 1 3
//   // launch tessera_candidate_0 blocks 32 1 1 threads 64 1 1 shared 0 arguments 0:image_f32 2
//   workspace
//   __kernel void …

namespace tessera::proto {

inline constexpr int kDeviceCodeVersion = 3;
// The argument that is the workspace.
inline constexpr int kWorkspaceArgument = -1;

// How a kernel is passed a buffer: its memory, the same as constant memory, or as an image of
// texels of four elements. Behind an image stands, as an int, the texel at which the buffer begins.
enum class ArgumentKind : uint8_t { kMemory, kConstant, kImageF32, kImageF16 };

struct KernelArgument {
  int buffer = 0;  // its number, or kWorkspaceArgument, which is memory
  ArgumentKind kind = ArgumentKind::kMemory;
  bool operator==(const KernelArgument&) const = default;
};

// How one kernel is started.
struct KernelLaunch {
  std::string kernel;
  std::array<int64_t, 3> blocks = {1, 1, 1}, threads = {1, 1, 1};  // threads of a block
  int64_t shared_bytes = 0;  // of a block; some sources declare it themselves
  std::vector<KernelArgument> arguments;
  bool operator==(const KernelLaunch&) const = default;
};

struct DeviceCode {
  std::string kind;  // "opencl", "cuda" or "vta", whose source is as of compiler/vta/kernels.h
  int64_t workspace_bytes = 0;
  std::vector<KernelLaunch> preparation;  // once, when constants are there
  std::vector<KernelLaunch> launches;     // of a call; each begins when the one before has ended
  std::string source;
  bool operator==(const DeviceCode&) const = default;
};

std::string Print(const DeviceCode& code);
// Input is hostile: names are identifiers, numbers and their products in range, arguments below
// `buffers`, of kinds other than memory only where `kind` is "opencl"; of "vta" one block of one
// thread, without shared memory. InvalidArgument naming the line.
absl::StatusOr<DeviceCode> ParseDeviceCode(std::string_view text, int buffers);

}  // namespace tessera::proto
