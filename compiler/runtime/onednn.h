#ifndef TESSERA_COMPILER_RUNTIME_ONEDNN_H_
#define TESSERA_COMPILER_RUNTIME_ONEDNN_H_

// What generated code calls in place of oneDNN (base/third_party.h), version 2: each call runs on
// its caller alone, whatever OpenMP is told, and computes what it should where oneDNN can't, in
// plain loops. Any number of threads may call at once. C11; it needs libdnnl.so.2 and libgomp.so.1.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// C[i, j] = sum of A[i, l] * B[l, j] over l. A stride is the distance between the beginnings of
// rows, in elements; an operand with `transposes` has its other index in front. Sums of integers
// wrap.
void tessera_onednn_gemm_f32(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                             int32_t transposes_b, const float* a, int64_t a_stride, const float* b,
                             int64_t b_stride, float* c, int64_t c_stride);
void tessera_onednn_gemm_s8(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                            int32_t transposes_b, const int8_t* a, int64_t a_stride,
                            const int8_t* b, int64_t b_stride, int32_t* c, int64_t c_stride);
void tessera_onednn_gemm_u8(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                            int32_t transposes_b, const uint8_t* a, int64_t a_stride,
                            const int8_t* b, int64_t b_stride, int32_t* c, int64_t c_stride);

// How the channels of a convolution's tensors of f32 are stored, one image a call:
//            data          weights               result
//   ROWS     c y x         f c i j               f y x
//   BLOCKED  c/b y x c%b   f/b c/b i j c%b f%b   f/b y x f%b
//   FIRST    c y x         f/b i j c f%b         f/b y x f%b
//   CHANNEL  c/b y x c%b   c/b i j c%b           c/b y x c%b
// for channels c, filters f, taps i and j, and blocks of b. The last has a filter a channel.
enum {
  TESSERA_ONEDNN_ROWS = 0,
  TESSERA_ONEDNN_BLOCKED = 1,
  TESSERA_ONEDNN_FIRST = 2,
  TESSERA_ONEDNN_CHANNEL = 3
};

// One that generated code has in its own memory, with `plan` NULL. `height` and `width` are of the
// data, which has what windows need, `block` is 1, 8 or 16; 1 dilation is none.
typedef struct tessera_onednn_convolution {
  struct tessera_onednn_plan* plan;  // of oneDNN, made by the first call
  int64_t form;
  int64_t block;
  int64_t channels, height, width;
  int64_t filters, result_height, result_width;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width;
  int64_t dilation_height, dilation_width;
} tessera_onednn_convolution;

// The result of one image. The first call prepares, which takes up to some milliseconds; what it
// keeps is freed when the library is unloaded. Later ones allocate nothing here, but for one thread
// more than ever before called at once.
void tessera_onednn_convolve(tessera_onednn_convolution* self, const float* data,
                             const float* weights, float* result);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_ONEDNN_H_
