#include "compiler/runtime/opencl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { kMaxLog = 2000 };

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static tessera_opencl_api loaded;
static const char* load_fault;  // NULL: it is loaded
static char missing[96];

static void Load(void) {
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) library = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    load_fault =
        "there is no libOpenCL.so.1; install an ICD loader (Debian: ocl-icd-libopencl1) and the "
        "device's driver";
    return;
  }
#define X(name)                                                                        \
  {                                                                                    \
    void* function = dlsym(library, #name);                                            \
    if (function == NULL) {                                                            \
      const tessera_note note = {missing, sizeof(missing)};                            \
      tessera_note_write(note, "the loader has no %s, which is of OpenCL 1.2", #name); \
      load_fault = missing;                                                            \
      return;                                                                          \
    }                                                                                  \
    memcpy(&loaded.name, &function, sizeof(function));                                 \
  }
  TESSERA_OPENCL_FUNCTIONS(X)
#undef X
}

const tessera_opencl_api* tessera_opencl_load(tessera_note why) {
  pthread_once(&load_once, Load);
  if (load_fault == NULL) return &loaded;
  tessera_note_write(why, "OpenCL: %s", load_fault);
  return NULL;
}

const char* tessera_opencl_error_name(cl_int error) {
  switch (error) {
#define NAME(code) \
  case code:       \
    return #code
    NAME(CL_DEVICE_NOT_FOUND);
    NAME(CL_DEVICE_NOT_AVAILABLE);
    NAME(CL_COMPILER_NOT_AVAILABLE);
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE);
    NAME(CL_OUT_OF_RESOURCES);
    NAME(CL_OUT_OF_HOST_MEMORY);
    NAME(CL_BUILD_PROGRAM_FAILURE);
    NAME(CL_INVALID_CONTEXT);
    NAME(CL_INVALID_MEM_OBJECT);
    NAME(CL_INVALID_BUFFER_SIZE);
    NAME(CL_INVALID_KERNEL_NAME);
    NAME(CL_INVALID_WORK_GROUP_SIZE);
    NAME(CL_INVALID_WORK_ITEM_SIZE);
#undef NAME
    default:
      return "error";
  }
}

size_t tessera_opencl_devices(const tessera_opencl_api* api, tessera_opencl_device* found,
                              size_t limit) {
  enum { kMost = 64 };
  cl_platform_id platforms[kMost];
  cl_uint platform_count = 0;
  if (api->clGetPlatformIDs(kMost, platforms, &platform_count) != CL_SUCCESS) return 0;
  size_t count = 0;
  for (int wants_gpu = 1; wants_gpu >= 0; --wants_gpu) {
    for (cl_uint p = 0; p < platform_count && p < kMost; ++p) {
      cl_device_id devices[kMost];
      cl_uint device_count = 0;
      if (api->clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, kMost, devices, &device_count) !=
          CL_SUCCESS) {
        continue;
      }
      for (cl_uint d = 0; d < device_count && d < kMost && count < limit; ++d) {
        cl_device_type type = 0;
        api->clGetDeviceInfo(devices[d], CL_DEVICE_TYPE, sizeof(type), &type, NULL);
        if (((type & CL_DEVICE_TYPE_GPU) != 0) != wants_gpu) continue;
        found[count].platform = platforms[p];
        found[count].device = devices[d];
        ++count;
      }
    }
  }
  return count;
}

void tessera_opencl_text(const tessera_opencl_api* api, cl_device_id device, cl_device_info what,
                         tessera_note text) {
  text.text[0] = '\0';
  size_t size = 0;
  if (api->clGetDeviceInfo(device, what, 0, NULL, &size) != CL_SUCCESS || size == 0) return;
  char* whole = malloc(size);
  if (whole != NULL && api->clGetDeviceInfo(device, what, size, whole, NULL) == CL_SUCCESS) {
    tessera_note_write(text, "%.*s", (int)size, whole);
  }
  free(whole);
}

int64_t tessera_opencl_image_texels(const tessera_opencl_api* api, cl_device_id device) {
  cl_bool has_images = CL_FALSE;
  size_t texels = 0;
  if (api->clGetDeviceInfo(device, CL_DEVICE_IMAGE_SUPPORT, sizeof(has_images), &has_images,
                           NULL) != CL_SUCCESS ||
      has_images == CL_FALSE ||
      api->clGetDeviceInfo(device, CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, sizeof(texels), &texels,
                           NULL) != CL_SUCCESS) {
    return 0;
  }
  return (int64_t)texels;
}

static void NoteLog(const tessera_opencl_api* api, cl_program program, cl_device_id device,
                    cl_int error, tessera_note why) {
  size_t size = 0;
  char* log = NULL;
  if (api->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) ==
      CL_SUCCESS) {
    log = malloc(size + 1);
  }
  if (log != NULL) {
    log[size] = '\0';
    if (api->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
        CL_SUCCESS) {
      log[0] = '\0';
    }
  }
  tessera_note_write(why, "clBuildProgram: %s (%d): %.*s", tessera_opencl_error_name(error),
                     (int)error, kMaxLog, log == NULL ? "" : log);
  free(log);
}

cl_int tessera_opencl_build(const tessera_opencl_api* api, cl_context context, cl_device_id device,
                            const tessera_device_code* code, tessera_opencl_binary binary,
                            tessera_opencl_program* made, tessera_note why) {
  const tessera_opencl_program none = {NULL, NULL, 0};
  *made = none;
  cl_int error = CL_SUCCESS;
  const size_t length = (size_t)code->source_bytes;
  made->program = binary.size > 0
                      ? api->clCreateProgramWithBinary(context, 1, &device, &binary.size,
                                                       &binary.bytes, NULL, &error)
                      : api->clCreateProgramWithSource(context, 1, (const char**)&code->source,
                                                       &length, &error);
  if (error != CL_SUCCESS) {
    tessera_note_write(why, "clCreateProgramWith%s: %s (%d)", binary.size > 0 ? "Binary" : "Source",
                       tessera_opencl_error_name(error), (int)error);
    return error;
  }
  error = api->clBuildProgram(made->program, 1, &device, TESSERA_OPENCL_OPTIONS, NULL, NULL);
  if (error != CL_SUCCESS) {
    NoteLog(api, made->program, device, error, why);
    tessera_opencl_release(api, made);
    return error;
  }
  made->kernels = calloc((size_t)code->launch_count + 1, sizeof(cl_kernel));
  if (made->kernels == NULL) error = CL_OUT_OF_HOST_MEMORY;
  for (int64_t i = 0; i < code->launch_count && error == CL_SUCCESS; ++i) {
    made->kernels[i] = api->clCreateKernel(made->program, code->launches[i].kernel, &error);
    if (error == CL_SUCCESS) ++made->kernel_count;
  }
  if (error != CL_SUCCESS) {
    tessera_note_write(why, "clCreateKernel: %s (%d): %s", tessera_opencl_error_name(error),
                       (int)error, code->launches[made->kernel_count].kernel);
    tessera_opencl_release(api, made);
  }
  return error;
}

void tessera_opencl_release(const tessera_opencl_api* api, tessera_opencl_program* program) {
  const tessera_opencl_program none = {NULL, NULL, 0};
  for (size_t i = 0; i < program->kernel_count; ++i) api->clReleaseKernel(program->kernels[i]);
  free(program->kernels);
  if (program->program != NULL) api->clReleaseProgram(program->program);
  *program = none;
}

// An image of what lies in `buffer->whole` up to the buffer's end.
static cl_int MakeImage(const tessera_opencl_api* api, cl_context context, int64_t kind,
                        tessera_opencl_buffer* buffer) {
  const cl_image_format format = {CL_RGBA,
                                  kind == TESSERA_DEVICE_IMAGE_F32 ? CL_FLOAT : CL_HALF_FLOAT};
  cl_image_desc shape;
  memset(&shape, 0, sizeof(shape));
  shape.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER;
  shape.image_width = (size_t)((buffer->offset + buffer->bytes) / tessera_device_texel_bytes(kind));
  shape.buffer = buffer->whole;
  cl_int error = CL_SUCCESS;
  buffer->image = api->clCreateImage(context, CL_MEM_READ_ONLY, &format, &shape, NULL, &error);
  return error;
}

cl_int tessera_opencl_bind(const tessera_opencl_api* api, cl_context context, cl_kernel kernel,
                           const tessera_device_launch* launch, tessera_opencl_buffer* buffers,
                           cl_mem workspace) {
  cl_int error = CL_SUCCESS;
  cl_uint place = 0;
  for (int64_t i = 0; i < launch->argument_count && error == CL_SUCCESS; ++i) {
    const int64_t number = launch->arguments[i].buffer, kind = launch->arguments[i].kind;
    const int64_t texel = tessera_device_texel_bytes(kind);
    if (texel == 0) {
      const cl_mem* memory =
          number == TESSERA_DEVICE_WORKSPACE ? &workspace : &buffers[number].part;
      error = api->clSetKernelArg(kernel, place++, sizeof(cl_mem), memory);
      continue;
    }
    tessera_opencl_buffer* buffer = &buffers[number];
    const cl_int first = (cl_int)(buffer->offset / texel);
    if (buffer->image == NULL) error = MakeImage(api, context, kind, buffer);
    if (error == CL_SUCCESS) {
      error = api->clSetKernelArg(kernel, place++, sizeof(cl_mem), &buffer->image);
    }
    if (error == CL_SUCCESS) error = api->clSetKernelArg(kernel, place++, sizeof(first), &first);
  }
  return error;
}

cl_int tessera_opencl_enqueue(const tessera_opencl_api* api, cl_command_queue queue,
                              cl_kernel kernel, const tessera_device_launch* launch,
                              cl_event* event) {
  size_t global[3], local[3];
  for (size_t i = 0; i < 3; ++i) {
    local[i] = (size_t)launch->threads[i];
    global[i] = local[i] * (size_t)launch->blocks[i];
  }
  return api->clEnqueueNDRangeKernel(queue, kernel, 3, NULL, global, local, 0, NULL, event);
}
