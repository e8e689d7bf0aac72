#ifndef TESSERA_COMPILER_RUNTIME_OPENCL_H_
#define TESSERA_COMPILER_RUNTIME_OPENCL_H_

// OpenCL as libraries and measurements use it: the system's loader, its devices, and how kernels
// are compiled and started. C11, libc only: the loader is opened when it is first needed. Functions
// that return cl_int return CL_SUCCESS or OpenCL's error. Thread-safe unless said otherwise.

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "compiler/runtime/device.h"

#ifdef __cplusplus
extern "C" {
#define TESSERA_POINTER_TO(function) decltype(&::function)
#else
#define TESSERA_POINTER_TO(function) __typeof__(&function)
#endif

#define TESSERA_OPENCL_FUNCTIONS(X) \
  X(clGetPlatformIDs)               \
  X(clGetPlatformInfo)              \
  X(clGetDeviceIDs)                 \
  X(clGetDeviceInfo)                \
  X(clCreateContext)                \
  X(clRetainContext)                \
  X(clReleaseContext)               \
  X(clCreateCommandQueue)           \
  X(clGetCommandQueueInfo)          \
  X(clReleaseCommandQueue)          \
  X(clCreateProgramWithSource)      \
  X(clCreateProgramWithBinary)      \
  X(clBuildProgram)                 \
  X(clGetProgramInfo)               \
  X(clGetProgramBuildInfo)          \
  X(clReleaseProgram)               \
  X(clCreateKernel)                 \
  X(clReleaseKernel)                \
  X(clSetKernelArg)                 \
  X(clCreateBuffer)                 \
  X(clCreateSubBuffer)              \
  X(clCreateImage)                  \
  X(clGetMemObjectInfo)             \
  X(clReleaseMemObject)             \
  X(clEnqueueReadBuffer)            \
  X(clEnqueueWriteBuffer)           \
  X(clEnqueueNDRangeKernel)         \
  X(clGetEventProfilingInfo)        \
  X(clRetainEvent)                  \
  X(clReleaseEvent)                 \
  X(clGetEventInfo)                 \
  X(clWaitForEvents)                \
  X(clFinish)

typedef struct tessera_opencl_api {
#define X(name) TESSERA_POINTER_TO(name) name;
  TESSERA_OPENCL_FUNCTIONS(X)
#undef X
} tessera_opencl_api;

// Loaded once. NULL with the reason where there is no loader, or one without such a function.
const tessera_opencl_api* tessera_opencl_load(tessera_note why);

// "CL_BUILD_PROGRAM_FAILURE"; "error" for what it does not know.
const char* tessera_opencl_error_name(cl_int error);

typedef struct tessera_opencl_device {
  cl_platform_id platform;
  cl_device_id device;
} tessera_opencl_device;

// Puts devices of all platforms, GPUs first, at most `limit`, into `found`. Returns their number.
size_t tessera_opencl_devices(const tessera_opencl_api* api, tessera_opencl_device* found,
                              size_t limit);

// What is said when `device` is asked for a text, cut to fit; empty where it does not know.
void tessera_opencl_text(const tessera_opencl_api* api, cl_device_id device, cl_device_info what,
                         tessera_note text);

// The texels that an image of a buffer may have; 0: the device has no images.
int64_t tessera_opencl_image_texels(const tessera_opencl_api* api, cl_device_id device);

// Compiled kernels of a tessera_device_code, in the order of its launches.
typedef struct tessera_opencl_program {
  cl_program program;
  cl_kernel* kernels;
  size_t kernel_count;
} tessera_opencl_program;

// What kernels are compiled with.
#define TESSERA_OPENCL_OPTIONS "-cl-std=CL1.2"

// What a driver made of a tessera_device_code.
typedef struct tessera_opencl_binary {
  const unsigned char* bytes;
  size_t size;  // 0: none
} tessera_opencl_binary;

// Compiles for one device of the context; with a binary of such a device and driver, which may
// refuse it, that instead of the source. Where it fails nothing is left, and the reason, with the
// beginning of the compiler's log, in `why`.
cl_int tessera_opencl_build(const tessera_opencl_api* api, cl_context context, cl_device_id device,
                            const tessera_device_code* code, tessera_opencl_binary binary,
                            tessera_opencl_program* made, tessera_note why);
void tessera_opencl_release(const tessera_opencl_api* api, tessera_opencl_program* program);

// What kernels are passed of a buffer: `part`, `bytes` of `whole` from `offset` on, or an image of
// `whole` up to there, which drivers don't make of parts.
typedef struct tessera_opencl_buffer {
  cl_mem part, whole;
  int64_t offset, bytes;
  cl_mem image;  // NULL until a kernel is passed it; the caller releases it
} tessera_opencl_buffer;

// Gives a kernel its arguments, which stay until the next time. `buffers` by number. Not
// thread-safe for one kernel.
cl_int tessera_opencl_bind(const tessera_opencl_api* api, cl_context context, cl_kernel kernel,
                           const tessera_device_launch* launch, tessera_opencl_buffer* buffers,
                           cl_mem workspace);
// Puts it into the queue. `event`: NULL, or where the event of its end goes.
cl_int tessera_opencl_enqueue(const tessera_opencl_api* api, cl_command_queue queue,
                              cl_kernel kernel, const tessera_device_launch* launch,
                              cl_event* event);

// What the device calls of a library do. Its kernels compiled for one device of one context:
typedef struct tessera_opencl tessera_opencl;

// For context and device of `queue`. Negative results are OpenCL's; `log` says more.
int tessera_opencl_create(const tessera_device_library* library, cl_command_queue queue,
                          tessera_opencl** made, char* log, size_t log_bytes);
// No call may be under way; what is in queues goes on, but kernels that read images, which it waits
// for. Accepts NULL.
void tessera_opencl_destroy(tessera_opencl* kernels);
// arguments: tessera_opencl*, cl_command_queue, the cl_mem of each argument of the operator, the
// workspace (NULL: it makes one), cl_event* (may be NULL).
int tessera_opencl_run(const tessera_device_op* op, void* const* arguments);
// arguments: tessera_opencl*, cl_command_queue, row-major constants in host memory, the cl_mem of
// the packed block. Waits.
int tessera_opencl_pack_constants(const tessera_device_op* op, void* const* arguments);

// The same for calls with host memory.
extern const tessera_device_driver tessera_opencl_driver;

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_OPENCL_H_
