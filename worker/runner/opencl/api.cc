#include "worker/runner/opencl/api.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace tessera::opencl {

absl::StatusOr<const Api*> LoadApi() {
  char why[256] = "";
  const Api* api = tessera_opencl_load({why, sizeof(why)});
  if (api == nullptr) return absl::FailedPreconditionError(why);
  return api;
}

absl::Status CheckCall(cl_int code, const char* function) {
  if (code == CL_SUCCESS) return absl::OkStatus();
  const std::string text =
      absl::StrCat(function, ": ", tessera_opencl_error_name(code), " (", code, ")");
  const bool no_memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
  return no_memory ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

}  // namespace tessera::opencl
