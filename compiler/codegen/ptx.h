#pragma once

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/codegen/gpu/device_code.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// PTX of lowered programs (passes::Lower) of different names, by LLVM. Buffers are aligned to 16
// bytes at least. What blocks share is one dynamic allocation, of which a launch says the size.
// Deterministic. InvalidArgument as of SplitKernels and for targets that are not CUDA.
absl::StatusOr<gpu::DeviceCode> GeneratePtx(absl::Span<const ir::Program> programs,
                                            const ir::Target& target);

}  // namespace tessera::codegen
