#pragma once

#include "absl/status/status.h"
#include "compiler/codegen/gpu/device_code.h"
#include "compiler/codegen/gpu/kernels.h"
#include "compiler/ir/buffer.h"
#include "compiler/ir/target.h"

// How kernels of OpenCL are passed what they read (ir::ReadPath).

namespace tessera::codegen::gpu {

ArgumentKind KindOf(const ir::BufferNode& param);

// InvalidArgument naming value and limit where the kernel writes what it reads by another path,
// where the target has less constant memory than its arguments take, shorter images, or where
// there are too many of these.
absl::Status CheckReadPaths(const ir::Program& program, const KernelNest& nest,
                            const ir::Target& target);

}  // namespace tessera::codegen::gpu
