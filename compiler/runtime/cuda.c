#include "compiler/runtime/cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

// More of it a kernel has to ask for.
enum { kFreeSharedBytes = 48 << 10 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static tessera_cuda_api loaded;
static char refusal_text[160] = "";
static const tessera_note refusal = {refusal_text, sizeof(refusal_text)};

static void load(void) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    tessera_note_write(refusal, "there is no libcuda.so.1; install the driver of an NVIDIA GPU");
    return;
  }
#define X(name, symbol, parameters)                                                   \
  *(void**)&loaded.name = dlsym(library, symbol);                                     \
  if (loaded.name == NULL) {                                                          \
    tessera_note_write(refusal, "the driver has no %s; install a newer one", symbol); \
    return;                                                                           \
  }
  TESSERA_CUDA_FUNCTIONS(X)
#undef X
  const CUresult error = loaded.cuInit(0);
  if (error == CUDA_SUCCESS) return;
  tessera_note_write(refusal, "the driver does not start: cuInit: %s (%d)",
                     tessera_cuda_error_name(&loaded, error), error);
}

const tessera_cuda_api* tessera_cuda_load(tessera_note why) {
  pthread_once(&once, load);
  if (refusal_text[0] == 0) return &loaded;
  tessera_note_write(why, "%s", refusal_text);
  return NULL;
}

const char* tessera_cuda_error_name(const tessera_cuda_api* api, CUresult error) {
  const char* name = NULL;
  return api->cuGetErrorName(error, &name) == CUDA_SUCCESS && name != NULL ? name : "error";
}

int tessera_cuda_number(const tessera_cuda_api* api, CUdevice device, int attribute) {
  int value = 0;
  return api->cuDeviceGetAttribute(&value, attribute, device) == CUDA_SUCCESS ? value : 0;
}

int tessera_cuda_capability(const tessera_cuda_api* api, CUdevice device) {
  return 10 * tessera_cuda_number(api, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
         tessera_cuda_number(api, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
}

int tessera_cuda_shared_bytes(const tessera_cuda_api* api, CUdevice device) {
  const int always =
      tessera_cuda_number(api, device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
  const int asked =
      tessera_cuda_number(api, device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  return asked > always ? asked : always;
}

CUresult tessera_cuda_compile(const tessera_cuda_api* api, const char* source, CUmodule* made,
                              tessera_note log) {
  int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  // The driver need not end what it writes.
  void* values[] = {log.text, (void*)(uintptr_t)(log.bytes - 1)};
  memset(log.text, 0, log.bytes);
  const CUresult error = api->cuModuleLoadDataEx(made, source, 2, options, values);
  if (error != CUDA_SUCCESS) *made = NULL;
  return error;
}

CUresult tessera_cuda_kernel(const tessera_cuda_api* api, CUmodule module, const char* name,
                             int64_t shared_bytes, CUfunction* made, const char** call) {
  *call = "cuModuleGetFunction";
  const CUresult error = api->cuModuleGetFunction(made, module, name);
  if (error != CUDA_SUCCESS || shared_bytes <= kFreeSharedBytes) return error;
  *call = "cuFuncSetAttribute";
  return api->cuFuncSetAttribute(*made, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                 (int)shared_bytes);
}
