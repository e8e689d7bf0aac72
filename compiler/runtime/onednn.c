#include "compiler/runtime/onednn.h"

#include "compiler/runtime/onednn_alone.h"
#include "compiler/runtime/onednn_api.h"

static char Form(int32_t transposes) { return transposes ? 'T' : 'N'; }

// Sums of integers are exact with these instructions alone: others add pairs of products in 16
// bits.
static int AddsExactly(void) {
  return (dnnl_get_effective_cpu_isa() & DNNL_ISA_AVX512_VNNI) == DNNL_ISA_AVX512_VNNI;
}

#define MULTIPLY_IN_LOOPS(sum_type, result_type)                                 \
  for (int64_t i = 0; i < rows; ++i) {                                           \
    for (int64_t j = 0; j < columns; ++j) {                                      \
      sum_type sum = 0;                                                          \
      for (int64_t l = 0; l < terms; ++l) {                                      \
        sum += (sum_type)a[transposes_a ? l * a_stride + i : i * a_stride + l] * \
               (sum_type)b[transposes_b ? j * b_stride + l : l * b_stride + j];  \
      }                                                                          \
      c[i * c_stride + j] = (result_type)sum;                                    \
    }                                                                            \
  }

void tessera_onednn_gemm_f32(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                             int32_t transposes_b, const float* a, int64_t a_stride, const float* b,
                             int64_t b_stride, float* c, int64_t c_stride) {
  const int threads = BeginAlone();
  const int error = dnnl_sgemm(Form(transposes_a), Form(transposes_b), rows, columns, terms, 1, a,
                               a_stride, b, b_stride, 0, c, c_stride);
  EndAlone(threads);
  if (error != 0) MULTIPLY_IN_LOOPS(float, float)
}

// Integers wrap as sums of unsigned ones.
void tessera_onednn_gemm_s8(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                            int32_t transposes_b, const int8_t* a, int64_t a_stride,
                            const int8_t* b, int64_t b_stride, int32_t* c, int64_t c_stride) {
  int error = 1;
  if (AddsExactly()) {
    const int32_t none = 0;
    const int threads = BeginAlone();
    error = dnnl_gemm_s8s8s32(Form(transposes_a), Form(transposes_b), 'F', rows, columns, terms, 1,
                              a, a_stride, 0, b, b_stride, 0, 0, c, c_stride, &none);
    EndAlone(threads);
  }
  if (error != 0) MULTIPLY_IN_LOOPS(uint32_t, int32_t)
}

void tessera_onednn_gemm_u8(int64_t rows, int64_t columns, int64_t terms, int32_t transposes_a,
                            int32_t transposes_b, const uint8_t* a, int64_t a_stride,
                            const int8_t* b, int64_t b_stride, int32_t* c, int64_t c_stride) {
  int error = 1;
  if (AddsExactly()) {
    const int32_t none = 0;
    const int threads = BeginAlone();
    error = dnnl_gemm_u8s8s32(Form(transposes_a), Form(transposes_b), 'F', rows, columns, terms, 1,
                              a, a_stride, 0, b, b_stride, 0, 0, c, c_stride, &none);
    EndAlone(threads);
  }
  if (error != 0) MULTIPLY_IN_LOOPS(uint32_t, int32_t)
}
