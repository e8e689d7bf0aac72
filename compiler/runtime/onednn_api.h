#ifndef TESSERA_COMPILER_RUNTIME_ONEDNN_API_H_
#define TESSERA_COMPILER_RUNTIME_ONEDNN_API_H_

// The part of oneDNN's C interface, version 2, and of OpenMP's that Tessera calls. Declared here,
// so that nothing of either is needed where Tessera is built. Functions that return an int return
// 0, or why they did nothing.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Of the calling thread.
int omp_get_max_threads(void);
void omp_set_num_threads(int count);

// Bits of what code is generated for.
int dnnl_get_effective_cpu_isa(void);
enum { DNNL_ISA_AVX512_VNNI = 0x67 };

// Row-major; 'N' or 'T' says whether an operand is transposed.
int dnnl_sgemm(char transposes_a, char transposes_b, int64_t rows, int64_t columns, int64_t terms,
               float alpha, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
               float beta, float* c, int64_t c_stride);
// The offsets are taken from operands, and those of C, of which there is one for all where its kind
// is 'F', added.
int dnnl_gemm_s8s8s32(char transposes_a, char transposes_b, char c_offset_kind, int64_t rows,
                      int64_t columns, int64_t terms, float alpha, const int8_t* a,
                      int64_t a_stride, int8_t a_offset, const int8_t* b, int64_t b_stride,
                      int8_t b_offset, float beta, int32_t* c, int64_t c_stride,
                      const int32_t* c_offset);
int dnnl_gemm_u8s8s32(char transposes_a, char transposes_b, char c_offset_kind, int64_t rows,
                      int64_t columns, int64_t terms, float alpha, const uint8_t* a,
                      int64_t a_stride, uint8_t a_offset, const int8_t* b, int64_t b_stride,
                      int8_t b_offset, float beta, int32_t* c, int64_t c_stride,
                      const int32_t* c_offset);

// Values with room for what later versions 2 may add; those of 2.6 take 696 and 5976 bytes.
typedef union tessera_dnnl_memory_desc {
  int64_t words[128];
} tessera_dnnl_memory_desc;
typedef union tessera_dnnl_convolution_desc {
  int64_t words[1024];
} tessera_dnnl_convolution_desc;

typedef struct dnnl_engine* dnnl_engine_t;
typedef struct dnnl_stream* dnnl_stream_t;
typedef struct dnnl_memory* dnnl_memory_t;
typedef struct dnnl_primitive* dnnl_primitive_t;
typedef struct dnnl_primitive_desc* dnnl_primitive_desc_t;
typedef struct dnnl_primitive_attr* dnnl_primitive_attr_t;
typedef struct dnnl_exec_arg_t {
  int argument;
  dnnl_memory_t memory;
} dnnl_exec_arg_t;

enum { DNNL_CPU = 1, DNNL_F32 = 3, DNNL_FORWARD_INFERENCE = 96, DNNL_DIRECT = 1 };
enum { DNNL_USER_SCRATCHPAD = 1, DNNL_QUERY_SCRATCHPAD = 136, DNNL_DEFAULT_STREAM = 1 };
enum { DNNL_DATA = 1, DNNL_RESULT = 17, DNNL_WEIGHTS = 33, DNNL_SCRATCHPAD = 80 };

int dnnl_engine_create(dnnl_engine_t* engine, int kind, uint64_t index);
int dnnl_engine_destroy(dnnl_engine_t engine);
int dnnl_stream_create(dnnl_stream_t* stream, dnnl_engine_t engine, unsigned flags);
int dnnl_stream_destroy(dnnl_stream_t stream);
int dnnl_memory_desc_init_by_tag(tessera_dnnl_memory_desc* desc, int dims, const int64_t* extents,
                                 int type, int tag);
uint64_t dnnl_memory_desc_get_size(const tessera_dnnl_memory_desc* desc);
int dnnl_memory_create(dnnl_memory_t* memory, const tessera_dnnl_memory_desc* desc,
                       dnnl_engine_t engine, void* data);
int dnnl_memory_destroy(dnnl_memory_t memory);
int dnnl_memory_set_data_handle(dnnl_memory_t memory, void* data);
// Without bias; of dilations 0 is none.
int dnnl_dilated_convolution_forward_desc_init(tessera_dnnl_convolution_desc* desc, int propagation,
                                               int algorithm, const tessera_dnnl_memory_desc* data,
                                               const tessera_dnnl_memory_desc* weights,
                                               const tessera_dnnl_memory_desc* bias,
                                               const tessera_dnnl_memory_desc* result,
                                               const int64_t* strides, const int64_t* dilations,
                                               const int64_t* before, const int64_t* behind);
int dnnl_primitive_attr_create(dnnl_primitive_attr_t* attr);
int dnnl_primitive_attr_destroy(dnnl_primitive_attr_t attr);
int dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr_t attr, int mode);
int dnnl_primitive_desc_create(dnnl_primitive_desc_t* desc, const void* operation,
                               dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                               dnnl_primitive_desc_t forward);
int dnnl_primitive_desc_destroy(dnnl_primitive_desc_t desc);
// Belongs to `desc`.
const tessera_dnnl_memory_desc* dnnl_primitive_desc_query_md(dnnl_primitive_desc_t desc, int what,
                                                             int index);
int dnnl_primitive_create(dnnl_primitive_t* primitive, dnnl_primitive_desc_t desc);
int dnnl_primitive_destroy(dnnl_primitive_t primitive);
int dnnl_primitive_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int count,
                           const dnnl_exec_arg_t* arguments);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_ONEDNN_API_H_
