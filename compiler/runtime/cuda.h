#ifndef TESSERA_COMPILER_RUNTIME_CUDA_H_
#define TESSERA_COMPILER_RUNTIME_CUDA_H_

// The part of CUDA's driver interface that libraries and measurements use, declared here so that
// nothing of CUDA is needed to build: the driver's library is opened when it is first needed. Names
// and numbers are NVIDIA's ("CUDA Driver API", version 12); drivers have all of it since CUDA 11.2.
// And what the device calls of a library do. C11, libc only.

#include <stddef.h>

#include "compiler/runtime/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st* CUcontext;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_FAILED = 719
};

// Of cuDeviceGetAttribute.
enum {
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X = 2,  // y and z follow
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
  CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
  CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK = 12,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97
};

enum { CU_STREAM_NON_BLOCKING = 1 };

enum { CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };

// Options of cuModuleLoadDataEx.
enum { CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };

// Name, name in the library, parameters; all return a CUresult.
#define TESSERA_CUDA_FUNCTIONS(X)                                                                 \
  X(cuInit, "cuInit", (unsigned flags))                                                           \
  X(cuDriverGetVersion, "cuDriverGetVersion", (int* version))                                     \
  X(cuGetErrorName, "cuGetErrorName", (CUresult error, const char** name))                        \
  X(cuDeviceGetCount, "cuDeviceGetCount", (int* count))                                           \
  X(cuDeviceGet, "cuDeviceGet", (CUdevice * device, int number))                                  \
  X(cuDeviceGetName, "cuDeviceGetName", (char* name, int bytes, CUdevice device))                 \
  X(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int* value, int what, CUdevice device))        \
  X(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t* bytes, CUdevice device))                    \
  X(cuCtxCreate, "cuCtxCreate_v2", (CUcontext * context, unsigned flags, CUdevice device))        \
  X(cuCtxDestroy, "cuCtxDestroy_v2", (CUcontext context))                                         \
  X(cuCtxSynchronize, "cuCtxSynchronize", (void))                                                 \
  X(cuCtxGetCurrent, "cuCtxGetCurrent", (CUcontext * context))                                    \
  X(cuCtxGetDevice, "cuCtxGetDevice", (CUdevice * device))                                        \
  X(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext context))                                 \
  X(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext * context))                                 \
  X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext * context, CUdevice device)) \
  X(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                 \
  X(cuStreamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))                        \
  X(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                     \
  X(cuStreamGetCtx, "cuStreamGetCtx", (CUstream stream, CUcontext * context))                     \
  X(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))                                \
  X(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                                     \
    (CUmodule * module, const void* image, unsigned count, int* options, void** values))          \
  X(cuModuleUnload, "cuModuleUnload", (CUmodule module))                                          \
  X(cuModuleGetFunction, "cuModuleGetFunction",                                                   \
    (CUfunction * function, CUmodule module, const char* name))                                   \
  X(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction function, int what, int value))         \
  X(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr * memory, size_t bytes))                            \
  X(cuMemFree, "cuMemFree_v2", (CUdeviceptr memory))                                              \
  X(cuMemAllocAsync, "cuMemAllocAsync", (CUdeviceptr * memory, size_t bytes, CUstream stream))    \
  X(cuMemFreeAsync, "cuMemFreeAsync", (CUdeviceptr memory, CUstream stream))                      \
  X(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                    \
    (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))                            \
  X(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                                    \
    (void* to, CUdeviceptr from, size_t bytes, CUstream stream))                                  \
  X(cuMemcpyHtoD, "cuMemcpyHtoD_v2", (CUdeviceptr to, const void* from, size_t bytes))            \
  X(cuMemcpyDtoH, "cuMemcpyDtoH_v2", (void* to, CUdeviceptr from, size_t bytes))                  \
  X(cuMemsetD8, "cuMemsetD8_v2", (CUdeviceptr to, unsigned char value, size_t bytes))             \
  X(cuLaunchKernel, "cuLaunchKernel",                                                             \
    (CUfunction function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,                \
     unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared_bytes,           \
     CUstream stream, void** params, void** extra))                                               \
  X(cuEventCreate, "cuEventCreate", (CUevent * event, unsigned flags))                            \
  X(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream))                             \
  X(cuEventSynchronize, "cuEventSynchronize", (CUevent event))                                    \
  X(cuEventElapsedTime, "cuEventElapsedTime", (float* milliseconds, CUevent from, CUevent to))

typedef struct tessera_cuda_api {
#define X(name, symbol, parameters) CUresult(*name) parameters;
  TESSERA_CUDA_FUNCTIONS(X)
#undef X
} tessera_cuda_api;

// Opened and initialised once a process. NULL where there is no driver or it does not start, with
// the reason in `why`. Thread-safe.
const tessera_cuda_api* tessera_cuda_load(tessera_note why);

// "CUDA_ERROR_OUT_OF_MEMORY"; "error" for what the driver does not know.
const char* tessera_cuda_error_name(const tessera_cuda_api* api, CUresult error);

// What the driver says of a device when it is asked for an attribute; 0 where it does not know.
int tessera_cuda_number(const tessera_cuda_api* api, CUdevice device, int attribute);
// 80 of sm_80.
int tessera_cuda_capability(const tessera_cuda_api* api, CUdevice device);
// What a block may share, where its kernel asks for it (tessera_cuda_kernel does).
int tessera_cuda_shared_bytes(const tessera_cuda_api* api, CUdevice device);

// Compiles PTX for the current context, by cuModuleLoadDataEx. Where that fails the compiler's
// words are in `log`, which has a text.
CUresult tessera_cuda_compile(const tessera_cuda_api* api, const char* source, CUmodule* made,
                              tessera_note log);
// A kernel of the module that may be started with so much shared memory. `call` becomes the
// function of the driver's that was called last.
CUresult tessera_cuda_kernel(const tessera_cuda_api* api, CUmodule module, const char* name,
                             int64_t shared_bytes, CUfunction* made, const char** call);

// What the device calls of a library do. Its kernels compiled in one context:
typedef struct tessera_cuda tessera_cuda;

// A tensor of the device begins at a multiple of it.
#define TESSERA_CUDA_ALIGNMENT 16

// For the calling thread's current context. Negative results are minus CUDA's; `log` says more.
int tessera_cuda_create(const tessera_device_library* library, tessera_cuda** made, char* log,
                        size_t log_bytes);
// No call may be under way, and what they started has to be done. Accepts NULL.
void tessera_cuda_destroy(tessera_cuda* kernels);
// arguments: tessera_cuda*, CUstream, the CUdeviceptr of each argument of the operator, the
// workspace (0: it takes one from the stream's memory pool). Any context may be current.
int tessera_cuda_run(const tessera_device_op* op, void* const* arguments);
// arguments: tessera_cuda*, CUstream, row-major constants in host memory, the CUdeviceptr of the
// packed block. Waits.
int tessera_cuda_pack_constants(const tessera_device_op* op, void* const* arguments);

// The same for calls with host memory, in the device's primary context.
extern const tessera_device_driver tessera_cuda_driver;

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_CUDA_H_
