#pragma once

#include "absl/status/statusor.h"
#include "compiler/runtime/opencl.h"

namespace tessera::opencl {

// OpenCL as libraries load it, with errors as Status.
using Api = tessera_opencl_api;

// Loaded once a process. FailedPrecondition where there is no loader, with what to install.
// Thread-safe.
absl::StatusOr<const Api*> LoadApi();

// "clBuildProgram: CL_BUILD_PROGRAM_FAILURE (-11)"; OK for CL_SUCCESS. Out of memory is
// ResourceExhausted, other errors are Internal.
absl::Status CheckCall(cl_int code, const char* function);

}  // namespace tessera::opencl
