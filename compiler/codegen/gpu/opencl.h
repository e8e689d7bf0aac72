#pragma once

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/codegen/gpu/device_code.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen::gpu {

// OpenCL C 1.2 of lowered programs (passes::Lower) of different names. f16 is computed in f32
// unless the target has fp16, bf16 always is. Deterministic. InvalidArgument as of SplitKernels;
// Unimplemented for what OpenCL C can't say (types of less than 8 bits but booleans, asynchronous
// copies, instructions of other targets).
absl::StatusOr<DeviceCode> GenerateOpenCl(absl::Span<const ir::Program> programs,
                                          const ir::Target& target);

}  // namespace tessera::codegen::gpu
