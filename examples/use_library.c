// Calls every operator of the library that deploy/quickstart.sh builds from examples/resnet18.yaml
// and compares the results with plain loops.
//
//   cc -O2 -I dist examples/use_library.c -o use_library dist/libops.so -Wl,-rpath,dist -lm

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ops.h"

// Operators take memory aligned to 64 bytes.
static void* Allocate(size_t bytes) {
  void* memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory == NULL) {
    fprintf(stderr, "use_library: no memory for %zu bytes\n", bytes);
    exit(1);
  }
  return memory;
}

static float* Filled(size_t count, uint32_t seed) {
  float* values = Allocate(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(seed >> 8) / (float)(1u << 23) - 1.0f;
  }
  return values;
}

static double Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int g_failures = 0;

// Prints one line; an error that rounding can't explain counts as a failure.
static void Report(const char* name, int status, double seconds, const float* actual,
                   const float* expected, size_t count, int reduction) {
  double worst = 0;
  for (size_t i = 0; i < count; ++i) {
    const double error = fabs((double)actual[i] - (double)expected[i]);
    if (!(error <= worst)) worst = error;
  }
  // Sums of `reduction` products of magnitude up to 1, in another order.
  const double limit = 1e-6 * reduction;
  const int ok = status == TESSERA_OPS_OK && worst <= limit;
  g_failures += !ok;
  printf("%-10s %s  %9.1f us  largest error %.2e (limit %.1e)\n", name, ok ? "ok   " : "WRONG",
         seconds * 1e6, worst, limit);
}

static void PlainConvolution(const float* x, const float* w, const float* bias, float* y, int ic,
                             int oc, int size, int k, int stride, int pad) {
  const int out = (size + 2 * pad - k) / stride + 1;
  for (int o = 0; o < oc; ++o) {
    for (int i = 0; i < out * out; ++i) y[o * out * out + i] = bias[o];
    for (int c = 0; c < ic; ++c) {
      for (int kh = 0; kh < k; ++kh) {
        for (int kw = 0; kw < k; ++kw) {
          const float weight = w[((o * ic + c) * k + kh) * k + kw];
          for (int oh = 0; oh < out; ++oh) {
            const int h = oh * stride + kh - pad;
            if (h < 0 || h >= size) continue;
            for (int ow = 0; ow < out; ++ow) {
              const int v = ow * stride + kw - pad;
              if (v < 0 || v >= size) continue;
              y[(o * out + oh) * out + ow] += weight * x[(c * size + h) * size + v];
            }
          }
        }
      }
    }
    for (int i = 0; i < out * out; ++i) y[o * out * out + i] = fmaxf(y[o * out * out + i], 0);
  }
}

static void PlainProduct(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) c[i * n + j] = 0;
    for (int r = 0; r < k; ++r) {
      for (int j = 0; j < n; ++j) c[i * n + j] += a[i * k + r] * b[r * n + j];
    }
  }
}

// The fastest of a few calls; `call` sets `status`.
#define TIME_CALLS(seconds, status, call)          \
  for (int repeat = 0; repeat < 5; ++repeat) {     \
    const double start = Now();                    \
    status = call;                                 \
    const double taken = Now() - start;            \
    if (repeat == 0 || taken < seconds) seconds = taken; \
  }

// Weights are packed once; activations are packed on the way in and unpacked on the way out. In a
// network only the first and the last layer need that.
#define CONVOLUTION(op, ic, oc, size, k, stride, pad)                                     \
  do {                                                                                    \
    const int out = (size + 2 * pad - k) / stride + 1;                                    \
    const size_t x_count = (size_t)ic * size * size, y_count = (size_t)oc * out * out;    \
    float* x = Filled(x_count, 1);                                                        \
    float* w = Filled((size_t)oc * ic * k * k, 2);                                        \
    float* bias = Filled(oc, 3);                                                          \
    float *stored_x = Allocate(x_count * 4), *stored_y = Allocate(y_count * 4);           \
    float *y = Allocate(y_count * 4), *expected = Allocate(y_count * 4);                  \
    void* weights = Allocate(op##_packed_bytes());                                        \
    int status = op##_pack_weights(w, bias, weights);                                     \
    if (status == TESSERA_OPS_OK) status = op##_pack_input(x, stored_x);                  \
    double seconds = 0;                                                                   \
    if (status == TESSERA_OPS_OK) TIME_CALLS(seconds, status, op(stored_x, weights, stored_y)); \
    if (status == TESSERA_OPS_OK) status = op##_unpack_output(stored_y, y);               \
    PlainConvolution(x, w, bias, expected, ic, oc, size, k, stride, pad);                 \
    Report(#op, status, seconds, y, expected, y_count, ic * k * k);                       \
    free(x), free(w), free(bias), free(stored_x), free(stored_y), free(y), free(expected); \
    free(weights);                                                                        \
  } while (0)

#define PRODUCT(op, m, n, k)                                                    \
  do {                                                                          \
    float *a = Filled((size_t)m * k, 4), *b = Filled((size_t)k * n, 5);         \
    float *c = Allocate((size_t)m * n * 4), *expected = Allocate((size_t)m * n * 4); \
    void* weights = Allocate(op##_packed_bytes());                              \
    int status = op##_pack_weights(b, weights);                                 \
    double seconds = 0;                                                         \
    if (status == TESSERA_OPS_OK) TIME_CALLS(seconds, status, op(a, weights, c)); \
    PlainProduct(a, b, expected, m, n, k);                                      \
    Report(#op, status, seconds, c, expected, (size_t)m * n, k);                \
    free(a), free(b), free(c), free(expected), free(weights);                   \
  } while (0)

int main(void) {
  printf("library of %s\n", tessera_ops_version());
  CONVOLUTION(c1, 3, 64, 224, 7, 2, 3);
  CONVOLUTION(c2, 64, 64, 56, 3, 1, 1);
  CONVOLUTION(c3, 64, 64, 56, 1, 1, 0);
  CONVOLUTION(c4, 64, 128, 56, 3, 2, 1);
  CONVOLUTION(c5, 64, 128, 56, 1, 2, 0);
  CONVOLUTION(c6, 128, 128, 28, 3, 1, 1);
  CONVOLUTION(c7, 128, 256, 28, 3, 2, 1);
  CONVOLUTION(c8, 128, 256, 28, 1, 2, 0);
  CONVOLUTION(c9, 256, 256, 14, 3, 1, 1);
  CONVOLUTION(c10, 256, 512, 14, 3, 2, 1);
  CONVOLUTION(c11, 256, 512, 14, 1, 2, 0);
  CONVOLUTION(c12, 512, 512, 7, 3, 1, 1);
  PRODUCT(gemm_512, 512, 512, 512);
  PRODUCT(gemm_bert, 128, 768, 768);
  PRODUCT(gemv_1024, 1, 1024, 1024);
  if (g_failures > 0) fprintf(stderr, "use_library: %d operators failed\n", g_failures);
  return g_failures > 0;
}
