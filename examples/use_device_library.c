// Calls an operator of a library for a device in both ways: with memory of the host, which runs on
// the CPU where there is no device, and, for OpenCL, with buffers and a queue of the program's own.
//
//   tessera build --op matmul m=256 n=256 k=256 --device-class opencl/... --name ops --out dist
//   cc -std=c99 -O2 -I dist examples/use_device_library.c -o use_device_library dist/libops.so
//   -Wl,-rpath,$PWD/dist -lm [-DWITH_OPENCL -l:libOpenCL.so.1]
//
// Exit code: 0 when all results are right, 1 otherwise.

#ifdef WITH_OPENCL
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#endif

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

enum { kSize = 256 };

// Calls with host memory take it aligned to 64 bytes.
static void* Aligned(void* memory) { return (char*)memory + (64 - (uintptr_t)memory % 64) % 64; }

static float a_memory[kSize * kSize + 16], c_memory[kSize * kSize + 16];
static float b[kSize * kSize];  // the weights, row-major

static int Check(const char* step, int status) {
  if (status != TESSERA_OPS_OK) {
    fprintf(stderr, "use_device_library: %s returned %d (see ops.h)\n", step, status);
  }
  return status != TESSERA_OPS_OK;
}

static int IsRight(const char* how, const float* a, const float* c) {
  double error = 0;
  for (int i = 0; i < kSize; i += 17) {
    for (int j = 0; j < kSize; ++j) {
      double sum = 0;
      for (int k = 0; k < kSize; ++k) sum += (double)a[i * kSize + k] * b[k * kSize + j];
      error = fmax(error, fabs(sum - c[i * kSize + j]));
    }
  }
  printf("%s: max error %.1e\n", how, error);
  return error < 1e-3;
}

static int TryHostMemory(const float* a, float* c) {
  void* memory = malloc(matmul_packed_bytes() + 64);
  if (memory == NULL) return 0;
  void* weights = Aligned(memory);
  memset(c, 0, sizeof(float) * kSize * kSize);
  // The first call finds the device; pack in the process that uses the weights.
  int failed = Check("matmul_pack_weights", matmul_pack_weights(b, weights));
  if (!failed) failed = Check("matmul", matmul(a, weights, c));
  free(memory);
  if (failed) return 0;
  if (tessera_ops_device() != NULL) {
    printf("host memory runs on %s\n", tessera_ops_device());
  } else {
    printf("host memory runs on the CPU, because %s\n", tessera_ops_fallback());
  }
  return IsRight("host memory", a, c);
}

#ifdef WITH_OPENCL
// What a program that works on a device has anyway: a context, a queue, buffers.
static int TryDeviceMemory(const float* a, float* c) {
  cl_platform_id platforms[16];
  cl_uint platform_count = 0;
  cl_device_id device = NULL;
  clGetPlatformIDs(16, platforms, &platform_count);
  for (cl_uint i = 0; i < platform_count && device == NULL; ++i) {
    clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL);
  }
  if (device == NULL) {
    printf("device memory: there is no OpenCL device\n");
    return 1;
  }
  const size_t bytes = sizeof(float) * kSize * kSize;
  cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
  cl_command_queue queue = clCreateCommandQueue(context, device, 0, NULL);
  cl_mem a_buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, matmul_A_BYTES, NULL, NULL);
  cl_mem c_buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, matmul_matmul_BYTES, NULL, NULL);
  cl_mem weights = clCreateBuffer(context, CL_MEM_READ_WRITE, matmul_packed_bytes(), NULL, NULL);

  // Once, when the program starts:
  char log[1024];
  tessera_ops_opencl* kernels = NULL;
  int failed = Check("tessera_ops_opencl_create",
                     tessera_ops_opencl_create(queue, &kernels, log, sizeof(log)));
  if (failed) fprintf(stderr, "%s\n", log);
  if (!failed) {
    failed =
        Check("matmul_opencl_pack_weights", matmul_opencl_pack_weights(kernels, queue, b, weights));
  }
  // For each call; it returns when the work is in the queue.
  if (!failed) clEnqueueWriteBuffer(queue, a_buffer, CL_FALSE, 0, bytes, a, 0, NULL, NULL);
  if (!failed) {
    failed = Check("matmul_opencl",
                   matmul_opencl(kernels, queue, a_buffer, weights, c_buffer, NULL, NULL));
  }
  if (!failed) clEnqueueReadBuffer(queue, c_buffer, CL_TRUE, 0, bytes, c, 0, NULL, NULL);

  tessera_ops_opencl_destroy(kernels);
  clReleaseMemObject(weights);
  clReleaseMemObject(c_buffer);
  clReleaseMemObject(a_buffer);
  clReleaseCommandQueue(queue);
  clReleaseContext(context);
  return !failed && IsRight("device memory", a, c);
}
#endif

int main(void) {
  float* a = Aligned(a_memory);
  float* c = Aligned(c_memory);
  for (int i = 0; i < kSize * kSize; ++i) {
    a[i] = (float)(i % 7 - 3);
    b[i] = (float)(i % 5 - 2);
  }
  printf("library of %s\n", tessera_ops_version());
  if (!TryHostMemory(a, c)) return 1;
#ifdef WITH_OPENCL
  memset(c, 0, sizeof(float) * kSize * kSize);
  if (!TryDeviceMemory(a, c)) return 1;
#endif
  return 0;
}
