#include "worker/runner/opencl/api.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace tessera::opencl {
namespace {

absl::StatusOr<const Api*> Load() {
  void* library = nullptr;
  for (const char* name : {"libOpenCL.so.1", "libOpenCL.so"}) {
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        "OpenCL: there is no libOpenCL.so.1; install an ICD loader (Debian: ocl-icd-libopencl1) "
        "and "
        "the device's driver");
  }
  static Api api;
#define X(name)                                                               \
  api.name = reinterpret_cast<decltype(&::name)>(dlsym(library, #name));      \
  if (api.name == nullptr) {                                                  \
    return absl::FailedPreconditionError("OpenCL: the loader has no " #name); \
  }
  TESSERA_OPENCL_FUNCTIONS(X)
#undef X
  return &api;
}

const char* NameOf(cl_int code) {
  switch (code) {
    case CL_DEVICE_NOT_FOUND:
      return "CL_DEVICE_NOT_FOUND";
    case CL_DEVICE_NOT_AVAILABLE:
      return "CL_DEVICE_NOT_AVAILABLE";
    case CL_COMPILER_NOT_AVAILABLE:
      return "CL_COMPILER_NOT_AVAILABLE";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
      return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
    case CL_OUT_OF_RESOURCES:
      return "CL_OUT_OF_RESOURCES";
    case CL_OUT_OF_HOST_MEMORY:
      return "CL_OUT_OF_HOST_MEMORY";
    case CL_BUILD_PROGRAM_FAILURE:
      return "CL_BUILD_PROGRAM_FAILURE";
    case CL_INVALID_BUFFER_SIZE:
      return "CL_INVALID_BUFFER_SIZE";
    case CL_INVALID_KERNEL_NAME:
      return "CL_INVALID_KERNEL_NAME";
    case CL_INVALID_WORK_GROUP_SIZE:
      return "CL_INVALID_WORK_GROUP_SIZE";
    case CL_INVALID_WORK_ITEM_SIZE:
      return "CL_INVALID_WORK_ITEM_SIZE";
    default:
      return "error";
  }
}

}  // namespace

absl::StatusOr<const Api*> LoadApi() {
  static const absl::StatusOr<const Api*> api = Load();
  return api;
}

absl::Status CheckCall(cl_int code, const char* function) {
  if (code == CL_SUCCESS) return absl::OkStatus();
  const std::string text = absl::StrCat(function, ": ", NameOf(code), " (", code, ")");
  const bool no_memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
  return no_memory ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

}  // namespace tessera::opencl
