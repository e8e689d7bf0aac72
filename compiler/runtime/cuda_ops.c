#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/runtime/cuda.h"

enum { kMaxLog = 2000 };

typedef struct program {
  CUmodule module;
  CUfunction* kernels;  // in the order of the launches
} program;

struct tessera_cuda {
  const tessera_cuda_api* api;
  const tessera_device_library* library;
  CUcontext context;
  program programs[];  // one an operator
};

// Kernels with the stream that they are put into.
typedef struct stream {
  tessera_cuda* kernels;
  CUstream queue;
} stream;

// Device memory and pointers of the host's pass through the same arguments; CUDA has no 32-bit
// driver.
static CUdeviceptr AddressOf(const void* argument) { return (CUdeviceptr)(uintptr_t)argument; }

static int Result(CUresult error) { return -(int)error; }

// "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)" in `why`. Returns what calls return.
static int Fail(const tessera_cuda_api* api, CUresult error, const char* function, const char* more,
                tessera_note why) {
  tessera_note_write(why, "%s: %s (%d)%s%s", function, tessera_cuda_error_name(api, error), error,
                     *more == '\0' ? "" : ": ", more);
  return Result(error);
}

static int CheckDevice(const tessera_cuda_api* api, const tessera_device_library* library,
                       CUdevice device, tessera_note why) {
  const int capability = tessera_cuda_capability(api, device);
  if (capability < library->needs) {
    tessera_note_write(why, "the kernels are for compute capability %d.%d; the device has %d.%d",
                       (int)library->needs / 10, (int)library->needs % 10, capability / 10,
                       capability % 10);
    return TESSERA_OPS_DEVICE_LIMITS;
  }
  const int first = CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X;
  const tessera_device_limits limits = {
      tessera_cuda_number(api, device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
      {tessera_cuda_number(api, device, first), tessera_cuda_number(api, device, first + 1),
       tessera_cuda_number(api, device, first + 2)},
      tessera_cuda_shared_bytes(api, device),
      0,
      0};
  int status = TESSERA_OPS_OK;
  for (int64_t i = 0; i < library->op_count && status == TESSERA_OPS_OK; ++i) {
    status = tessera_device_check_limits(library->ops[i], &limits, why);
  }
  return status;
}

// What is made is left in `made` where it fails, for Release.
static int Load(const tessera_cuda_api* api, const tessera_device_code* code, program* made,
                tessera_note why) {
  char log[kMaxLog];
  const tessera_note words = {log, sizeof(log)};
  CUresult error = tessera_cuda_compile(api, code->source, &made->module, words);
  if (error != CUDA_SUCCESS) return Fail(api, error, "cuModuleLoadDataEx", log, why);
  made->kernels = calloc((size_t)code->launch_count + 1, sizeof(CUfunction));
  if (made->kernels == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  for (int64_t i = 0; i < code->launch_count; ++i) {
    const tessera_device_launch* launch = &code->launches[i];
    const char* call = "";
    error = tessera_cuda_kernel(api, made->module, launch->kernel, launch->shared_bytes,
                                &made->kernels[i], &call);
    if (error != CUDA_SUCCESS) return Fail(api, error, call, launch->kernel, why);
  }
  return TESSERA_OPS_OK;
}

// For `context`, which is current and of `device`.
static int Create(const tessera_cuda_api* api, const tessera_device_library* library,
                  CUcontext context, CUdevice device, tessera_cuda** result, tessera_note why) {
  int status = CheckDevice(api, library, device, why);
  if (status != TESSERA_OPS_OK) return status;
  const size_t count = (size_t)library->op_count;
  tessera_cuda* made = calloc(1, sizeof(*made) + count * sizeof(program));
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  made->api = api;
  made->library = library;
  made->context = context;
  char log[kMaxLog + 200];
  const tessera_note log_note = {log, sizeof(log)};
  for (size_t i = 0; i < count && status == TESSERA_OPS_OK; ++i) {
    log[0] = '\0';
    status = Load(api, &library->ops[i]->code, &made->programs[i], log_note);
    if (status != TESSERA_OPS_OK) tessera_note_write(why, "%s: %s", library->ops[i]->name, log);
  }
  if (status != TESSERA_OPS_OK) {
    tessera_cuda_destroy(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

int tessera_cuda_create(const tessera_device_library* library, tessera_cuda** made, char* log,
                        size_t log_bytes) {
  const tessera_note why = {log, log_bytes};
  tessera_note_write(why, "%s", "");
  if (made == NULL) return TESSERA_OPS_NULL_POINTER;
  const tessera_cuda_api* api = tessera_cuda_load(why);
  if (api == NULL) return TESSERA_OPS_NO_DEVICE;
  CUcontext context = NULL;
  CUdevice device = 0;
  CUresult error = api->cuCtxGetCurrent(&context);
  if (error != CUDA_SUCCESS) return Fail(api, error, "cuCtxGetCurrent", "", why);
  if (context == NULL) {
    tessera_note_write(why,
                       "the calling thread has no current CUDA context; make one current by "
                       "cuCtxSetCurrent, or by cudaSetDevice and cudaFree(0)");
    return Result(CUDA_ERROR_INVALID_CONTEXT);
  }
  error = api->cuCtxGetDevice(&device);
  if (error != CUDA_SUCCESS) return Fail(api, error, "cuCtxGetDevice", "", why);
  return Create(api, library, context, device, made, why);
}

// Makes the kernels' context the current one until Leave.
static int Enter(const tessera_cuda* kernels) {
  return Result(kernels->api->cuCtxPushCurrent(kernels->context));
}

static void Leave(const tessera_cuda* kernels) {
  CUcontext left = NULL;
  kernels->api->cuCtxPopCurrent(&left);
}

void tessera_cuda_destroy(tessera_cuda* kernels) {
  if (kernels == NULL) return;
  const int is_entered = Enter(kernels) == TESSERA_OPS_OK;
  for (int64_t i = 0; i < kernels->library->op_count; ++i) {
    const program* one = &kernels->programs[i];
    // With the context its modules went.
    if (is_entered && one->module != NULL) kernels->api->cuModuleUnload(one->module);
    free(one->kernels);
  }
  if (is_entered) Leave(kernels);
  free(kernels);
}

// Starts kernels `first` to `end` of an operator, each with the buffers that `places` names in
// `arguments`.
static int Launch(const stream* to, const tessera_device_op* op, int64_t first, int64_t end,
                  const tessera_device_buffer* places, void* const* arguments,
                  CUdeviceptr workspace) {
  CUresult error = CUDA_SUCCESS;
  for (int64_t i = first; i < end && error == CUDA_SUCCESS; ++i) {
    const tessera_device_launch* launch = &op->code.launches[i];
    CUdeviceptr values[TESSERA_OP_MAX_BUFFERS + 1];
    void* params[TESSERA_OP_MAX_BUFFERS + 1];
    for (int64_t p = 0; p < launch->argument_count; ++p) {
      const int64_t number = launch->arguments[p].buffer;
      params[p] = &values[p];
      values[p] =
          number == TESSERA_DEVICE_WORKSPACE
              ? workspace
              : AddressOf(arguments[places[number].argument]) + (CUdeviceptr)places[number].offset;
    }
    error = to->kernels->api->cuLaunchKernel(
        to->kernels->programs[op->number].kernels[i], (unsigned)launch->blocks[0],
        (unsigned)launch->blocks[1], (unsigned)launch->blocks[2], (unsigned)launch->threads[0],
        (unsigned)launch->threads[1], (unsigned)launch->threads[2], (unsigned)launch->shared_bytes,
        to->queue, params, NULL);
  }
  return Result(error);
}

// Of the kernels' context, which is current. The default stream is of every context.
static int CheckStream(const stream* to) {
  CUcontext context = NULL;
  const CUresult error = to->kernels->api->cuStreamGetCtx(to->queue, &context);
  if (error != CUDA_SUCCESS) return Result(error);
  return context == to->kernels->context ? TESSERA_OPS_OK : TESSERA_OPS_BAD_QUEUE;
}

// Where the caller gave no workspace the call takes one in the order of the stream, and waits for
// nothing.
static int Run(const stream* to, const tessera_device_op* op, void* const* arguments,
               CUdeviceptr workspace) {
  const tessera_cuda_api* api = to->kernels->api;
  const int takes_own = workspace == 0 && op->workspace_bytes > 0;
  CUresult error = CUDA_SUCCESS;
  if (takes_own) {
    error = api->cuMemAllocAsync(&workspace, (size_t)op->workspace_bytes, to->queue);
    if (error != CUDA_SUCCESS) return Result(error);
  }
  const int status = Launch(to, op, 0, op->call_launches, op->buffers, arguments, workspace);
  if (takes_own) error = api->cuMemFreeAsync(workspace, to->queue);
  return status != TESSERA_OPS_OK ? status : Result(error);
}

int tessera_cuda_run(const tessera_device_op* op, void* const* arguments) {
  const stream to = {arguments[0], arguments[1]};
  if (to.kernels == NULL) return TESSERA_OPS_NULL_POINTER;
  void* const* workspace = &arguments[2 + op->argument_count];
  int status = tessera_op_check_pointers(arguments + 2, op->argument_count, TESSERA_CUDA_ALIGNMENT);
  if (status == TESSERA_OPS_OK && *workspace != NULL) {
    status = tessera_op_check_pointers(workspace, 1, TESSERA_CUDA_ALIGNMENT);
  }
  if (status == TESSERA_OPS_OK) status = Enter(to.kernels);
  if (status != TESSERA_OPS_OK) return status;
  status = CheckStream(&to);
  if (status == TESSERA_OPS_OK) status = Run(&to, op, arguments + 2, AddressOf(*workspace));
  Leave(to.kernels);
  return status;
}

int tessera_cuda_pack_constants(const tessera_device_op* op, void* const* arguments) {
  stream to = {arguments[0], arguments[1]};
  if (to.kernels == NULL) return TESSERA_OPS_NULL_POINTER;
  void* packed = arguments[2 + op->constant_count];
  int status = tessera_op_check_pointers(arguments + 2, op->constant_count, 1);
  if (status == TESSERA_OPS_OK) {
    status = tessera_op_check_pointers(&packed, 1, TESSERA_CUDA_ALIGNMENT);
  }
  if (status == TESSERA_OPS_OK) status = Enter(to.kernels);
  if (status != TESSERA_OPS_OK) return status;
  status = CheckStream(&to);
  if (status == TESSERA_OPS_OK) {
    status = tessera_device_pack(&tessera_cuda_driver, &to, op, arguments + 2, packed);
  }
  Leave(to.kernels);
  return status;
}

// The device whose name contains `wanted`, and its name. Whether there is one.
static int Find(const tessera_cuda_api* api, const char* wanted, CUdevice* device,
                tessera_note name, tessera_note why) {
  int count = 0;
  if (api->cuDeviceGetCount(&count) != CUDA_SUCCESS) count = 0;
  for (int i = 0; i < count; ++i) {
    char text[256] = "";
    if (api->cuDeviceGet(device, i) != CUDA_SUCCESS ||
        api->cuDeviceGetName(text, sizeof(text) - 1, *device) != CUDA_SUCCESS ||
        strstr(text, wanted) == NULL) {
      continue;
    }
    tessera_note_write(name, "%s (CUDA)", text);
    return 1;
  }
  if (count == 0) {
    tessera_note_write(why, "there is no CUDA device; the driver found none");
  } else {
    tessera_note_write(why, "TESSERA_DEVICE is \"%s\", which none of %d CUDA devices is called",
                       wanted, count);
  }
  return 0;
}

// The kernels and a stream in the primary context, which is `context`.
static int Start(const tessera_cuda_api* api, const tessera_device_library* library,
                 CUcontext context, CUdevice device, stream* made, tessera_note why) {
  CUresult error = api->cuCtxPushCurrent(context);
  if (error != CUDA_SUCCESS) return Fail(api, error, "cuCtxPushCurrent", "", why);
  error = api->cuStreamCreate(&made->queue, CU_STREAM_NON_BLOCKING);
  int status = error == CUDA_SUCCESS ? Create(api, library, context, device, &made->kernels, why)
                                     : Fail(api, error, "cuStreamCreate", "", why);
  if (error == CUDA_SUCCESS && status != TESSERA_OPS_OK) api->cuStreamDestroy(made->queue);
  CUcontext left = NULL;
  api->cuCtxPopCurrent(&left);
  return status;
}

static int OpenStream(const tessera_device_library* library, const char* wanted, void** result,
                      tessera_note name, tessera_note why) {
  const tessera_cuda_api* api = tessera_cuda_load(why);
  CUdevice device = 0;
  if (api == NULL || !Find(api, wanted, &device, name, why)) return TESSERA_OPS_NO_DEVICE;
  stream* made = calloc(1, sizeof(*made));
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  CUcontext context = NULL;
  const CUresult error = api->cuDevicePrimaryCtxRetain(&context, device);
  int status = TESSERA_OPS_OK;
  if (error != CUDA_SUCCESS) {
    status = Fail(api, error, "cuDevicePrimaryCtxRetain", "", why);
  } else {
    status = Start(api, library, context, device, made, why);
    if (status != TESSERA_OPS_OK) api->cuDevicePrimaryCtxRelease(device);
  }
  if (status != TESSERA_OPS_OK) {
    free(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

static int Allocate(void* opaque, int64_t bytes, void** buffer) {
  const tessera_cuda* kernels = ((const stream*)opaque)->kernels;
  const int entered = Enter(kernels);
  if (entered != TESSERA_OPS_OK) return entered;
  CUdeviceptr made = 0;
  const CUresult error = kernels->api->cuMemAlloc(&made, bytes == 0 ? 1 : (size_t)bytes);
  Leave(kernels);
  *buffer = (void*)(uintptr_t)made;
  return Result(error);
}

static void Release(void* opaque, void* buffer) {
  const tessera_cuda* kernels = ((const stream*)opaque)->kernels;
  if (Enter(kernels) != TESSERA_OPS_OK) return;
  kernels->api->cuMemFree(AddressOf(buffer));
  Leave(kernels);
}

// Waits for what was put into the stream, unless that failed.
static int Finish(const stream* to, CUresult error) {
  if (error == CUDA_SUCCESS) error = to->kernels->api->cuStreamSynchronize(to->queue);
  return Result(error);
}

static int Write(void* opaque, void* buffer, int64_t offset, const void* from, int64_t bytes) {
  const stream* to = opaque;
  int status = Enter(to->kernels);
  if (status != TESSERA_OPS_OK) return status;
  status = Finish(to, to->kernels->api->cuMemcpyHtoDAsync(AddressOf(buffer) + (CUdeviceptr)offset,
                                                          from, (size_t)bytes, to->queue));
  Leave(to->kernels);
  return status;
}

static int Read(void* opaque, void* buffer, void* into, int64_t bytes) {
  const stream* from = opaque;
  int status = Enter(from->kernels);
  if (status != TESSERA_OPS_OK) return status;
  status = Finish(from, from->kernels->api->cuMemcpyDtoHAsync(into, AddressOf(buffer),
                                                              (size_t)bytes, from->queue));
  Leave(from->kernels);
  return status;
}

// Runs kernels `first` to `end` and waits for them, with a workspace if there is a need of one.
static int RunAndWait(void* opaque, const tessera_device_op* op, int64_t first, int64_t end,
                      const tessera_device_buffer* places, void* const* arguments) {
  const stream* to = opaque;
  int status = Enter(to->kernels);
  if (status != TESSERA_OPS_OK) return status;
  void* workspace = NULL;
  if (op->workspace_bytes > 0) status = Allocate(opaque, op->workspace_bytes, &workspace);
  if (status == TESSERA_OPS_OK) {
    status = Launch(to, op, first, end, places, arguments, AddressOf(workspace));
  }
  if (status == TESSERA_OPS_OK) status = Finish(to, CUDA_SUCCESS);
  if (workspace != NULL) Release(opaque, workspace);
  Leave(to->kernels);
  return status;
}

static int RunHosted(void* opaque, const tessera_device_op* op, void* const* buffers) {
  return RunAndWait(opaque, op, 0, op->call_launches, op->buffers, buffers);
}

static int Prepare(void* opaque, const tessera_device_op* op, void* const* memory) {
  return RunAndWait(opaque, op, op->call_launches, op->code.launch_count, op->packing_buffers,
                    memory);
}

const tessera_device_driver tessera_cuda_driver = {OpenStream, Allocate,  Release, Write,
                                                   Read,       RunHosted, Prepare, NULL};
