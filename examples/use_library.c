// Calls every operator of the library that deploy/quickstart.sh builds from examples/resnet18.yaml,
// compares the results with plain loops and says how long each call takes.
//
//   cc -std=c11 -O2 -I dist examples/use_library.c -o use_library dist/libops.so
//   -Wl,-rpath,$PWD/dist -lm
//
// Exit code: 0 when all results are right, 1 otherwise.

#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ops.h"

// A network packs its weights once, when it is loaded, and keeps activations as they are stored
// from one operator to the next; only its first input and its last output are row-major.
typedef struct {
  const char* name;
  int (*run)(const float* input, const void* weights, float* output);
  size_t (*packed_bytes)(void);
  int (*pack_input)(const float* row_major, float* stored);
  int (*unpack_output)(const float* stored, float* row_major);
  size_t input_bytes, output_bytes;  // as they are stored
} Operator;

typedef struct {
  Operator op;
  int (*pack_weights)(const float* weight, const float* bias, void* weights);
  int in_channels, out_channels, size, kernel, stride, pad;
} Convolution;

typedef struct {
  Operator op;
  int (*pack_weights)(const float* b, void* weights);
  int m, n, k;
} Product;

#define OPERATOR(op, input, output) \
  {#op,                             \
   op,                              \
   op##_packed_bytes,               \
   op##_pack_input,                 \
   op##_unpack_output,              \
   op##_##input##_BYTES,            \
   op##_##output##_BYTES}
#define CONVOLUTION(op, ic, oc, size, kernel, stride, pad) \
  {OPERATOR(op, X, relu), op##_pack_weights, ic, oc, size, kernel, stride, pad}
#define PRODUCT(op, m, n, k) {OPERATOR(op, A, matmul), op##_pack_weights, m, n, k}

static const Convolution kConvolutions[] = {
    CONVOLUTION(c1, 3, 64, 224, 7, 2, 3),    CONVOLUTION(c2, 64, 64, 56, 3, 1, 1),
    CONVOLUTION(c3, 64, 64, 56, 1, 1, 0),    CONVOLUTION(c4, 64, 128, 56, 3, 2, 1),
    CONVOLUTION(c5, 64, 128, 56, 1, 2, 0),   CONVOLUTION(c6, 128, 128, 28, 3, 1, 1),
    CONVOLUTION(c7, 128, 256, 28, 3, 2, 1),  CONVOLUTION(c8, 128, 256, 28, 1, 2, 0),
    CONVOLUTION(c9, 256, 256, 14, 3, 1, 1),  CONVOLUTION(c10, 256, 512, 14, 3, 2, 1),
    CONVOLUTION(c11, 256, 512, 14, 1, 2, 0), CONVOLUTION(c12, 512, 512, 7, 3, 1, 1),
};
static const Product kProducts[] = {
    PRODUCT(gemm_512, 512, 512, 512),
    PRODUCT(gemm_bert, 128, 768, 768),
    PRODUCT(gemv_1024, 1, 1024, 1024),
};

// Rounding of sums in another order, or by Winograd's algorithm, stays below this share of the
// largest result.
static const double kTolerance = 1e-4;

// Operators take memory aligned to 64 bytes.
static void* Allocate(size_t bytes) {
  void* memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory == NULL) {
    fprintf(stderr, "use_library: no memory for %zu bytes\n", bytes);
    exit(1);
  }
  return memory;
}

// Numbers from -1 to 1, the same ones in each run.
static float* Filled(size_t count, uint32_t seed) {
  float* values = Allocate(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(seed >> 8) / (float)(1u << 23) - 1.0f;
  }
  return values;
}

static void Check(const Operator* op, const char* step, int status) {
  if (status == TESSERA_OPS_OK) return;
  fprintf(stderr, "use_library: %s: %s returned %d (see ops.h)\n", op->name, step, status);
  exit(1);
}

static double NowSeconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int CompareDoubles(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// The median of some calls, after one to warm up.
static double TimeSeconds(const Operator* op, const float* input, const void* weights,
                          float* output) {
  enum { kCalls = 15 };
  double seconds[kCalls];
  Check(op, op->name, op->run(input, weights, output));
  for (int i = 0; i < kCalls; ++i) {
    const double start = NowSeconds();
    Check(op, op->name, op->run(input, weights, output));
    seconds[i] = NowSeconds() - start;
  }
  qsort(seconds, kCalls, sizeof(double), CompareDoubles);
  return seconds[kCalls / 2];
}

// The largest difference as a share of the largest expected value; NaN where a result is one.
static double MaxError(const float* actual, const float* expected, size_t count) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = fabs((double)actual[i] - (double)expected[i]);
    if (!(difference <= error)) error = difference;
    if (isnan(difference)) return difference;
    largest = fmax(largest, fabs((double)expected[i]));
  }
  return largest > 0 ? error / largest : error;
}

// Runs an operator on row-major data and prints a line. Returns whether the result is right.
static int RunAndCompare(const Operator* op, const float* input, const void* weights,
                         const float* expected, size_t count) {
  float* stored_input = Allocate(op->input_bytes);
  float* stored_output = Allocate(op->output_bytes);
  float* output = Allocate(count * sizeof(float));
  Check(op, "pack_input", op->pack_input(input, stored_input));
  const double seconds = TimeSeconds(op, stored_input, weights, stored_output);
  Check(op, "unpack_output", op->unpack_output(stored_output, output));
  const double error = MaxError(output, expected, count);
  const int is_right = error <= kTolerance;
  printf("%-10s %9.1f us   max error %.1e   %s\n", op->name, seconds * 1e6, error,
         is_right ? "ok" : "WRONG");
  fflush(stdout);
  free(stored_input);
  free(stored_output);
  free(output);
  return is_right;
}

// y = relu(convolution of x and w + bias); all row-major: [channels, height, width].
static void PlainConvolution(const Convolution* c, const float* x, const float* w,
                             const float* bias, float* y) {
  const int size = c->size, kernel = c->kernel;
  const int out = (size + 2 * c->pad - kernel) / c->stride + 1;
  for (int oc = 0; oc < c->out_channels; ++oc) {
    float* plane = y + (size_t)oc * out * out;
    for (int i = 0; i < out * out; ++i) plane[i] = bias[oc];
    for (int ic = 0; ic < c->in_channels; ++ic) {
      const float* image = x + (size_t)ic * size * size;
      const float* window = w + ((size_t)oc * c->in_channels + ic) * kernel * kernel;
      for (int kh = 0; kh < kernel; ++kh) {
        for (int kw = 0; kw < kernel; ++kw) {
          const float weight = window[kh * kernel + kw];
          for (int oh = 0; oh < out; ++oh) {
            const int ih = oh * c->stride + kh - c->pad;
            if (ih < 0 || ih >= size) continue;
            for (int ow = 0; ow < out; ++ow) {
              const int iw = ow * c->stride + kw - c->pad;
              if (iw >= 0 && iw < size) plane[oh * out + ow] += weight * image[ih * size + iw];
            }
          }
        }
      }
    }
    for (int i = 0; i < out * out; ++i) plane[i] = plane[i] > 0 ? plane[i] : 0;
  }
}

static int TryConvolution(const Convolution* c) {
  const int out = (c->size + 2 * c->pad - c->kernel) / c->stride + 1;
  const size_t weight_count = (size_t)c->out_channels * c->in_channels * c->kernel * c->kernel;
  const size_t count = (size_t)c->out_channels * out * out;
  float* x = Filled((size_t)c->in_channels * c->size * c->size, 1);
  float* w = Filled(weight_count, 2);
  float* bias = Filled((size_t)c->out_channels, 3);
  float* expected = Allocate(count * sizeof(float));
  void* weights = Allocate(c->op.packed_bytes());
  Check(&c->op, "pack_weights", c->pack_weights(w, bias, weights));
  PlainConvolution(c, x, w, bias, expected);
  const int is_right = RunAndCompare(&c->op, x, weights, expected, count);
  free(x);
  free(w);
  free(bias);
  free(expected);
  free(weights);
  return is_right;
}

static int TryProduct(const Product* p) {
  const size_t m = (size_t)p->m, n = (size_t)p->n, k = (size_t)p->k;
  float* a = Filled(m * k, 4);
  float* b = Filled(k * n, 5);
  float* expected = Allocate(m * n * sizeof(float));
  void* weights = Allocate(p->op.packed_bytes());
  Check(&p->op, "pack_weights", p->pack_weights(b, weights));
  for (size_t i = 0; i < m; ++i) {
    float* row = expected + i * n;
    for (size_t j = 0; j < n; ++j) row[j] = 0;
    for (size_t l = 0; l < k; ++l) {
      for (size_t j = 0; j < n; ++j) row[j] += a[i * k + l] * b[l * n + j];
    }
  }
  const int is_right = RunAndCompare(&p->op, a, weights, expected, m * n);
  free(a);
  free(b);
  free(expected);
  free(weights);
  return is_right;
}

int main(void) {
  const size_t convolutions = sizeof(kConvolutions) / sizeof(kConvolutions[0]);
  const size_t products = sizeof(kProducts) / sizeof(kProducts[0]);
  int wrong = 0;
  printf("library of %s\n", tessera_ops_version());
  for (size_t i = 0; i < convolutions; ++i) wrong += !TryConvolution(&kConvolutions[i]);
  for (size_t i = 0; i < products; ++i) wrong += !TryProduct(&kProducts[i]);
  if (wrong > 0) {
    fprintf(stderr, "use_library: %d of %zu operators compute something else\n", wrong,
            convolutions + products);
    return 1;
  }
  printf("all %zu operators agree with plain loops\n", convolutions + products);
  return 0;
}
