#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/runtime/opencl.h"

enum { kMaxName = 256 };

// Images that kernels in a queue read. Drivers should keep what these read, as they do buffers, but
// PoCL 3.1 crashes where an image is released before its kernel has ended.
typedef struct kept_images {
  struct kept_images* next;
  cl_event last;  // of the kernels
  size_t count;
  cl_mem images[];
} kept_images;

struct tessera_opencl {
  const tessera_opencl_api* api;
  const tessera_device_library* library;
  cl_context context;
  cl_device_id device;
  pthread_mutex_t lock;  // guards the arguments of kernels, until they are in a queue, and `kept`
  kept_images* kept;
  tessera_opencl_program programs[];  // one an operator
};

// Kernels with the queue that they are put into.
typedef struct stream {
  tessera_opencl* kernels;
  cl_command_queue queue;
} stream;

static int64_t LimitOf(const tessera_opencl_api* api, cl_device_id device, cl_device_info what) {
  // A limit is a size_t or a cl_ulong. Where the first is narrower it fills the lower bytes, which
  // come first where Tessera runs.
  cl_ulong value = 0;
  api->clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
  return (int64_t)value;
}

static int HasHalf(const tessera_opencl_api* api, cl_device_id device) {
  enum { kMaxExtensions = 16384 };
  char* text = malloc(kMaxExtensions);
  if (text == NULL) return 0;
  const tessera_note note = {text, kMaxExtensions};
  tessera_opencl_text(api, device, CL_DEVICE_EXTENSIONS, note);
  const int has = strstr(text, "cl_khr_fp16") != NULL;
  free(text);
  return has;
}

// Whether the device has what the operator's kernels were made for. Their source fixes the size of
// a group, so that compilers keep registers within what it leaves, or fail.
static int CheckLimits(const tessera_opencl_api* api, cl_device_id device,
                       const tessera_device_op* op, tessera_note why) {
  const int64_t threads = LimitOf(api, device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  tessera_device_limits limits = {threads,
                                  {threads, threads, threads},
                                  LimitOf(api, device, CL_DEVICE_LOCAL_MEM_SIZE),
                                  LimitOf(api, device, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE),
                                  tessera_opencl_image_texels(api, device)};
  size_t along[3];
  if (api->clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof(along), along, NULL) ==
      CL_SUCCESS) {
    for (int axis = 0; axis < 3; ++axis) limits.threads_along[axis] = (int64_t)along[axis];
  }
  return tessera_device_check_limits(op, &limits, why);
}

// Releases images whose kernels have ended; `waits`: all, when they have.
static void ReleaseKept(tessera_opencl* kernels, int waits) {
  const tessera_opencl_api* api = kernels->api;
  kept_images** place = &kernels->kept;
  while (*place != NULL) {
    kept_images* kept = *place;
    if (waits) api->clWaitForEvents(1, &kept->last);
    cl_int state = CL_COMPLETE;  // below that: an error
    api->clGetEventInfo(kept->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state, NULL);
    if (!waits && state > CL_COMPLETE) {
      place = &kept->next;
      continue;
    }
    *place = kept->next;
    for (size_t i = 0; i < kept->count; ++i) api->clReleaseMemObject(kept->images[i]);
    api->clReleaseEvent(kept->last);
    free(kept);
  }
}

static int Create(const tessera_opencl_api* api, const tessera_device_library* library,
                  cl_context context, cl_device_id device, tessera_opencl** result,
                  tessera_note why) {
  if (library->needs != 0 && !HasHalf(api, device)) {
    tessera_note_write(why, "the kernels compute in half precision; the device has no cl_khr_fp16");
    return TESSERA_OPS_DEVICE_LIMITS;
  }
  const size_t count = (size_t)library->op_count;
  tessera_opencl* made = calloc(1, sizeof(*made) + count * sizeof(tessera_opencl_program));
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  made->api = api;
  made->library = library;
  made->context = context;
  made->device = device;
  api->clRetainContext(context);
  pthread_mutex_init(&made->lock, NULL);
  char log[2200];
  const tessera_note log_note = {log, sizeof(log)};
  int status = TESSERA_OPS_OK;
  for (size_t i = 0; i < count && status == TESSERA_OPS_OK; ++i) {
    const tessera_device_op* op = library->ops[i];
    status = CheckLimits(api, device, op, why);
    if (status != TESSERA_OPS_OK) break;
    const tessera_opencl_binary none = {NULL, 0};
    status =
        tessera_opencl_build(api, context, device, &op->code, none, &made->programs[i], log_note);
    if (status != CL_SUCCESS) tessera_note_write(why, "%s: %s", op->name, log);
  }
  if (status != TESSERA_OPS_OK) {
    tessera_opencl_destroy(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

int tessera_opencl_create(const tessera_device_library* library, cl_command_queue queue,
                          tessera_opencl** made, char* log, size_t log_bytes) {
  const tessera_note why = {log, log_bytes};
  tessera_note_write(why, "%s", "");
  if (queue == NULL || made == NULL) return TESSERA_OPS_NULL_POINTER;
  const tessera_opencl_api* api = tessera_opencl_load(why);
  if (api == NULL) return TESSERA_OPS_NO_DEVICE;
  cl_context context = NULL;
  cl_device_id device = NULL;
  cl_int error =
      api->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(context), &context, NULL);
  if (error == CL_SUCCESS) {
    error = api->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL);
  }
  if (error != CL_SUCCESS) {
    tessera_note_write(why, "clGetCommandQueueInfo: %s (%d)", tessera_opencl_error_name(error),
                       (int)error);
    return error;
  }
  return Create(api, library, context, device, made, why);
}

void tessera_opencl_destroy(tessera_opencl* kernels) {
  if (kernels == NULL) return;
  ReleaseKept(kernels, 1);
  for (int64_t i = 0; i < kernels->library->op_count; ++i) {
    tessera_opencl_release(kernels->api, &kernels->programs[i]);
  }
  kernels->api->clReleaseContext(kernels->context);
  pthread_mutex_destroy(&kernels->lock);
  free(kernels);
}

static cl_mem NewBuffer(const tessera_opencl* kernels, int64_t bytes, cl_int* error) {
  return kernels->api->clCreateBuffer(kernels->context, CL_MEM_READ_WRITE,
                                      bytes == 0 ? 1 : (size_t)bytes, NULL, error);
}

static int CheckBuffer(const tessera_opencl* kernels, cl_mem buffer, int64_t bytes) {
  if (buffer == NULL) return TESSERA_OPS_NULL_POINTER;
  size_t size = 0;
  const cl_int error =
      kernels->api->clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof(size), &size, NULL);
  if (error != CL_SUCCESS) return error;
  return (int64_t)size < bytes ? TESSERA_OPS_SMALL_BUFFER : TESSERA_OPS_OK;
}

static int CheckQueue(const tessera_opencl* kernels, cl_command_queue queue) {
  if (queue == NULL) return TESSERA_OPS_NULL_POINTER;
  const tessera_opencl_api* api = kernels->api;
  cl_context context = NULL;
  cl_device_id device = NULL;
  cl_command_queue_properties properties = 0;
  cl_int error =
      api->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(context), &context, NULL);
  if (error == CL_SUCCESS) {
    error = api->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL);
  }
  if (error == CL_SUCCESS) {
    error = api->clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties,
                                       NULL);
  }
  if (error != CL_SUCCESS) return error;
  const int fits = context == kernels->context && device == kernels->device &&
                   (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) == 0;
  return fits ? TESSERA_OPS_OK : TESSERA_OPS_BAD_QUEUE;
}

static size_t CountImages(const tessera_device_op* op, const tessera_opencl_buffer* buffers) {
  size_t count = 0;
  for (int64_t i = 0; i < op->buffer_count; ++i) count += buffers[i].image != NULL;
  return count;
}

// Keeps the buffers' images until the kernel of `last` has ended, by which time all kernels have
// that read them. Waits for the queue where it can't, or `last` is NULL. The lock is held.
static void KeepImages(const stream* to, const tessera_device_op* op,
                       const tessera_opencl_buffer* buffers, cl_event last) {
  const size_t count = CountImages(op, buffers);
  if (count == 0) return;
  const tessera_opencl_api* api = to->kernels->api;
  kept_images* kept = last == NULL ? NULL : malloc(sizeof(*kept) + count * sizeof(cl_mem));
  if (kept == NULL) {
    api->clFinish(to->queue);
    for (int64_t i = 0; i < op->buffer_count; ++i) {
      if (buffers[i].image != NULL) api->clReleaseMemObject(buffers[i].image);
    }
    return;
  }
  api->clRetainEvent(last);
  kept->last = last;
  kept->count = 0;
  for (int64_t i = 0; i < op->buffer_count; ++i) {
    if (buffers[i].image != NULL) kept->images[kept->count++] = buffers[i].image;
  }
  kept->next = to->kernels->kept;
  to->kernels->kept = kept;
}

// Starts kernels `first` to `end` of an operator, each with the buffers that `places` names in
// `arguments`. What is made here for them lives on as long as they need it.
static int Launch(const stream* to, const tessera_device_op* op, int64_t first, int64_t end,
                  const tessera_device_buffer* places, const cl_mem* arguments, cl_mem workspace,
                  cl_event* event) {
  const tessera_opencl_api* api = to->kernels->api;
  tessera_opencl_buffer buffers[TESSERA_OP_MAX_BUFFERS] = {{NULL, NULL, 0, 0, NULL}};
  cl_int error = CL_SUCCESS;
  for (int64_t i = 0; i < op->buffer_count && error == CL_SUCCESS; ++i) {
    if (places[i].argument == TESSERA_OP_UNUSED) continue;
    tessera_opencl_buffer* buffer = &buffers[i];
    buffer->whole = arguments[places[i].argument];
    buffer->part = buffer->whole;
    buffer->offset = places[i].offset;
    buffer->bytes = places[i].bytes;
    if (buffer->offset == 0) continue;
    const cl_buffer_region region = {(size_t)buffer->offset, (size_t)buffer->bytes};
    buffer->part = api->clCreateSubBuffer(buffer->whole, CL_MEM_READ_WRITE,
                                          CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
  }
  cl_mem own = NULL;
  if (workspace == NULL && op->workspace_bytes > 0 && error == CL_SUCCESS) {
    own = NewBuffer(to->kernels, op->workspace_bytes, &error);
    workspace = own;
  }
  const tessera_opencl_program* program = &to->kernels->programs[op->number];
  cl_event last = NULL;  // of the last kernel, where the caller or images want it
  pthread_mutex_lock(&to->kernels->lock);
  ReleaseKept(to->kernels, 0);
  for (int64_t i = first; i < end && error == CL_SUCCESS; ++i) {
    const tessera_device_launch* launch = &op->code.launches[i];
    error = tessera_opencl_bind(api, to->kernels->context, program->kernels[i], launch, buffers,
                                workspace);
    if (error != CL_SUCCESS) break;
    const int is_wanted = i + 1 == end && (event != NULL || CountImages(op, buffers) > 0);
    error = tessera_opencl_enqueue(api, to->queue, program->kernels[i], launch,
                                   is_wanted ? &last : NULL);
  }
  KeepImages(to, op, buffers, last);
  pthread_mutex_unlock(&to->kernels->lock);
  if (event != NULL && error == CL_SUCCESS) {
    *event = last;
  } else if (last != NULL) {
    api->clReleaseEvent(last);
  }
  if (own != NULL) api->clReleaseMemObject(own);
  for (int64_t i = 0; i < op->buffer_count; ++i) {
    const tessera_opencl_buffer* buffer = &buffers[i];
    if (buffer->part != NULL && buffer->part != buffer->whole) {
      api->clReleaseMemObject(buffer->part);
    }
  }
  return error;
}

static int Run(const stream* to, const tessera_device_op* op, const cl_mem* arguments,
               cl_mem workspace, cl_event* event) {
  return Launch(to, op, 0, op->call_launches, op->buffers, arguments, workspace, event);
}

int tessera_opencl_run(const tessera_device_op* op, void* const* arguments) {
  const stream to = {arguments[0], arguments[1]};
  if (to.kernels == NULL) return TESSERA_OPS_NULL_POINTER;
  int status = CheckQueue(to.kernels, to.queue);
  cl_mem buffers[TESSERA_OP_MAX_BUFFERS];
  for (int64_t i = 0; i < op->argument_count && status == TESSERA_OPS_OK; ++i) {
    buffers[i] = arguments[2 + i];
    status = CheckBuffer(to.kernels, buffers[i], op->argument_bytes[i]);
  }
  cl_mem workspace = arguments[2 + op->argument_count];
  if (workspace != NULL && status == TESSERA_OPS_OK) {
    status = CheckBuffer(to.kernels, workspace, op->workspace_bytes);
  }
  if (status != TESSERA_OPS_OK) return status;
  return Run(&to, op, buffers, workspace, arguments[3 + op->argument_count]);
}

int tessera_opencl_pack_constants(const tessera_device_op* op, void* const* arguments) {
  stream to = {arguments[0], arguments[1]};
  int status = tessera_op_check_pointers(arguments, op->constant_count + 3, 1);
  if (status == TESSERA_OPS_OK) status = CheckQueue(to.kernels, to.queue);
  cl_mem packed = arguments[2 + op->constant_count];
  if (status == TESSERA_OPS_OK) status = CheckBuffer(to.kernels, packed, op->packed_bytes);
  if (status != TESSERA_OPS_OK) return status;
  return tessera_device_pack(&tessera_opencl_driver, &to, op, arguments + 2, packed);
}

// The device that `wanted` names a part of, and its name. Whether there is one.
static int Find(const tessera_opencl_api* api, const char* wanted, cl_device_id* device,
                tessera_note name, tessera_note why) {
  enum { kMost = 64 };
  tessera_opencl_device found[kMost];
  const size_t count = tessera_opencl_devices(api, found, kMost);
  for (size_t i = 0; i < count; ++i) {
    char device_name[kMaxName], platform_name[kMaxName] = "";
    const tessera_note note = {device_name, sizeof(device_name)};
    tessera_opencl_text(api, found[i].device, CL_DEVICE_NAME, note);
    api->clGetPlatformInfo(found[i].platform, CL_PLATFORM_NAME, sizeof(platform_name) - 1,
                           platform_name, NULL);
    if (strstr(device_name, wanted) == NULL && strstr(platform_name, wanted) == NULL) continue;
    tessera_note_write(name, "%s (%s)", device_name, platform_name);
    *device = found[i].device;
    return 1;
  }
  if (count == 0) {
    tessera_note_write(why, "there is no OpenCL device; install the driver of one");
  } else {
    tessera_note_write(why, "TESSERA_DEVICE is \"%s\", which none of %zu OpenCL devices is called",
                       wanted, count);
  }
  return 0;
}

static int OpenStream(const tessera_device_library* library, const char* wanted, void** result,
                      tessera_note name, tessera_note why) {
  const tessera_opencl_api* api = tessera_opencl_load(why);
  cl_device_id device;
  if (api == NULL || !Find(api, wanted, &device, name, why)) return TESSERA_OPS_NO_DEVICE;
  stream* made = calloc(1, sizeof(*made));
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  cl_int error = CL_SUCCESS;
  cl_context context = api->clCreateContext(NULL, 1, &device, NULL, NULL, &error);
  if (error != CL_SUCCESS) {
    tessera_note_write(why, "clCreateContext: %s (%d)", tessera_opencl_error_name(error),
                       (int)error);
    free(made);
    return error;
  }
  int status = TESSERA_OPS_OK;
  made->queue = api->clCreateCommandQueue(context, device, 0, &error);
  if (error != CL_SUCCESS) {
    tessera_note_write(why, "clCreateCommandQueue: %s (%d)", tessera_opencl_error_name(error),
                       (int)error);
    status = error;
  } else {
    status = Create(api, library, context, device, &made->kernels, why);
    if (status != TESSERA_OPS_OK) api->clReleaseCommandQueue(made->queue);
  }
  api->clReleaseContext(context);  // kernels and queue hold it
  if (status != TESSERA_OPS_OK) {
    free(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

static int Allocate(void* opaque, int64_t bytes, void** buffer) {
  cl_int error = CL_SUCCESS;
  *buffer = NewBuffer(((const stream*)opaque)->kernels, bytes, &error);
  return error;
}

static void Release(void* opaque, void* buffer) {
  ((const stream*)opaque)->kernels->api->clReleaseMemObject(buffer);
}

static int Write(void* opaque, void* buffer, int64_t offset, const void* from, int64_t bytes) {
  const stream* to = opaque;
  return to->kernels->api->clEnqueueWriteBuffer(to->queue, buffer, CL_TRUE, (size_t)offset,
                                                (size_t)bytes, from, 0, NULL, NULL);
}

static int Read(void* opaque, void* buffer, void* into, int64_t bytes) {
  const stream* from = opaque;
  return from->kernels->api->clEnqueueReadBuffer(from->queue, buffer, CL_TRUE, 0, (size_t)bytes,
                                                 into, 0, NULL, NULL);
}

static int RunHosted(void* opaque, const tessera_device_op* op, void* const* buffers) {
  return Run(opaque, op, (const cl_mem*)buffers, NULL, NULL);
}

static int Prepare(void* opaque, const tessera_device_op* op, void* const* memory) {
  const stream* to = opaque;
  const int error = Launch(to, op, op->call_launches, op->code.launch_count, op->packing_buffers,
                           (const cl_mem*)memory, NULL, NULL);
  return error == CL_SUCCESS ? to->kernels->api->clFinish(to->queue) : error;
}

const tessera_device_driver tessera_opencl_driver = {OpenStream, Allocate,  Release, Write,
                                                     Read,       RunHosted, Prepare, NULL};
