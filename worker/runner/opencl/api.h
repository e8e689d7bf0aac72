#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "absl/status/statusor.h"

namespace tessera::opencl {

#define TESSERA_OPENCL_FUNCTIONS(X) \
  X(clGetPlatformIDs)               \
  X(clGetPlatformInfo)              \
  X(clGetDeviceIDs)                 \
  X(clGetDeviceInfo)                \
  X(clCreateContext)                \
  X(clReleaseContext)               \
  X(clCreateCommandQueue)           \
  X(clReleaseCommandQueue)          \
  X(clCreateProgramWithSource)      \
  X(clBuildProgram)                 \
  X(clGetProgramBuildInfo)          \
  X(clReleaseProgram)               \
  X(clCreateKernel)                 \
  X(clReleaseKernel)                \
  X(clSetKernelArg)                 \
  X(clCreateBuffer)                 \
  X(clCreateSubBuffer)              \
  X(clReleaseMemObject)             \
  X(clEnqueueReadBuffer)            \
  X(clEnqueueWriteBuffer)           \
  X(clEnqueueNDRangeKernel)         \
  X(clGetEventProfilingInfo)        \
  X(clReleaseEvent)                 \
  X(clWaitForEvents)                \
  X(clFinish)

// The functions of the system's OpenCL loader, which is opened when it is first needed: nothing has
// to be installed to build or to run without a device.
struct Api {
#define X(name) decltype(&::name) name = nullptr;
  TESSERA_OPENCL_FUNCTIONS(X)
#undef X
};

// Loaded once a process. FailedPrecondition where there is no loader, with what to install.
// Thread-safe.
absl::StatusOr<const Api*> LoadApi();

// "clBuildProgram: CL_BUILD_PROGRAM_FAILURE (-11)"; OK for CL_SUCCESS. Out of memory is
// ResourceExhausted, other errors are Internal.
absl::Status CheckCall(cl_int code, const char* function);

}  // namespace tessera::opencl
