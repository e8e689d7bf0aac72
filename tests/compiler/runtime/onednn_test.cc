// What stands between generated code and oneDNN, over a oneDNN and an OpenMP of this file's.

#include "compiler/runtime/onednn.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/runtime/onednn_api.h"

namespace {

int threads = 4;          // of this thread, as OpenMP has it
int threads_in_call = 0;  // when oneDNN was called last
int isa = DNNL_ISA_AVX512_VNNI;
bool fails = false;
std::string called;

template <typename A, typename B, typename C>
int Multiply(const char* name, char transposes_a, char transposes_b, int64_t rows, int64_t columns,
             int64_t terms, const A* a, int64_t a_stride, const B* b, int64_t b_stride, C* c,
             int64_t c_stride) {
  called = name;
  threads_in_call = threads;
  if (fails) return 1;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      C sum = 0;
      for (int64_t l = 0; l < terms; ++l) {
        const C left = a[transposes_a == 'T' ? l * a_stride + i : i * a_stride + l];
        const C right = b[transposes_b == 'T' ? j * b_stride + l : l * b_stride + j];
        sum += left * right;
      }
      c[i * c_stride + j] = sum;
    }
  }
  return 0;
}

}  // namespace

int omp_get_max_threads() { return threads; }
void omp_set_num_threads(int count) { threads = count; }
int dnnl_get_effective_cpu_isa() { return isa; }
int dnnl_sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
               int64_t a_stride, const float* b, int64_t b_stride, float beta, float* c,
               int64_t c_stride) {
  CHECK((alpha == 1 && beta == 0));
  return Multiply("f32", ta, tb, m, n, k, a, a_stride, b, b_stride, c, c_stride);
}
int dnnl_gemm_s8s8s32(char ta, char tb, char kind, int64_t m, int64_t n, int64_t k, float alpha,
                      const int8_t* a, int64_t a_stride, int8_t ao, const int8_t* b,
                      int64_t b_stride, int8_t bo, float beta, int32_t* c, int64_t c_stride,
                      const int32_t* co) {
  CHECK((kind == 'F' && *co == 0 && ao == 0 && bo == 0 && alpha == 1 && beta == 0));
  return Multiply("s8", ta, tb, m, n, k, a, a_stride, b, b_stride, c, c_stride);
}
int dnnl_gemm_u8s8s32(char ta, char tb, char kind, int64_t m, int64_t n, int64_t k, float alpha,
                      const uint8_t* a, int64_t a_stride, uint8_t ao, const int8_t* b,
                      int64_t b_stride, int8_t bo, float beta, int32_t* c, int64_t c_stride,
                      const int32_t* co) {
  CHECK((kind == 'F' && *co == 0 && ao == 0 && bo == 0 && alpha == 1 && beta == 0));
  return Multiply("u8", ta, tb, m, n, k, a, a_stride, b, b_stride, c, c_stride);
}

namespace {

// Of a 2 × 3 and a 3 × 2 matrix, whose rows are 5 and 4 elements apart, either one transposed.
template <typename A, typename B, typename C, typename Call>
void CheckProducts(Call call) {
  const A left[2][3] = {{1, 2, 3}, {4, 5, 127}};
  const B right[3][2] = {{7, 127}, {9, 2}, {100, 1}};
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      CAPTURE(ta, tb);
      std::vector<A> a(15, A{77});
      std::vector<B> b(12, B{77});
      for (int i = 0; i < 2; ++i) {
        for (int l = 0; l < 3; ++l) a[ta ? l * 5 + i : i * 5 + l] = left[i][l];
        for (int l = 0; l < 3; ++l) b[tb ? i * 4 + l : l * 4 + i] = right[l][i];
      }
      std::vector<C> c(6, C{-1});
      call(2, 2, 3, ta, tb, a.data(), 5, b.data(), 4, c.data(), 3);
      CHECK(c ==
            std::vector<C>{7 + 18 + 300, 127 + 4 + 3, -1, 28 + 45 + 12700, 508 + 10 + 127, -1});
    }
  }
}

}  // namespace

TEST_CASE("calls of oneDNN run on one thread and leave OpenMP as it was", "[runtime]") {
  fails = false;
  isa = DNNL_ISA_AVX512_VNNI | 0x80;
  for (const int before : {4, 1}) {
    threads = before;
    CheckProducts<float, float, float>(tessera_onednn_gemm_f32);
    CHECK(called == "f32");
    CHECK(threads_in_call == 1);
    CHECK(threads == before);
    CheckProducts<int8_t, int8_t, int32_t>(tessera_onednn_gemm_s8);
    CHECK(called == "s8");
    CHECK(threads_in_call == 1);
    CHECK(threads == before);
    CheckProducts<uint8_t, int8_t, int32_t>(tessera_onednn_gemm_u8);
    CHECK(called == "u8");
    CHECK(threads_in_call == 1);
    CHECK(threads == before);
  }
}

TEST_CASE("what oneDNN does not compute is computed in loops", "[runtime]") {
  isa = DNNL_ISA_AVX512_VNNI;
  fails = true;
  CheckProducts<float, float, float>(tessera_onednn_gemm_f32);
  CheckProducts<int8_t, int8_t, int32_t>(tessera_onednn_gemm_s8);
  CheckProducts<uint8_t, int8_t, int32_t>(tessera_onednn_gemm_u8);
  CHECK(threads_in_call == 1);
}

TEST_CASE("oneDNN is not asked for sums of integers that it would saturate", "[runtime]") {
  fails = false;
  isa = 0x27;  // AVX-512 without VNNI
  called = "nothing";
  CheckProducts<int8_t, int8_t, int32_t>(tessera_onednn_gemm_s8);
  CheckProducts<uint8_t, int8_t, int32_t>(tessera_onednn_gemm_u8);
  CHECK(called == "nothing");
}
