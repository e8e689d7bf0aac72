#ifndef TESSERA_COMPILER_RUNTIME_LAYOUT_H_
#define TESSERA_COMPILER_RUNTIME_LAYOUT_H_

// Copies between row-major arrays and stored layouts (compiler/ir/buffer.h). C11, libc only.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TESSERA_MAX_RANK 16
#define TESSERA_MAX_LAYOUT_DIMS 64

// One stored dimension: (logical index of `axis` / divisor) % extent. Of a dimension that stands
// twice elements are the diagonal; what lies beside it is padding. The outermost dimension of an
// axis, where those inside have all of it, is of copies.
typedef struct tessera_layout_dim {
  int64_t axis;
  int64_t divisor;
  int64_t extent;
} tessera_layout_dim;

typedef struct tessera_layout {
  int64_t element_bytes;           // 1, 2, 4 or 8
  int64_t rank;                    // at most TESSERA_MAX_RANK
  const int64_t* shape;            // logical
  int64_t dim_count;               // 0: row-major; at most TESSERA_MAX_LAYOUT_DIMS
  const tessera_layout_dim* dims;  // outermost first
} tessera_layout;

// Bytes of the row-major array, and of the stored one with its padding.
int64_t tessera_layout_logical_bytes(const tessera_layout* layout);
int64_t tessera_layout_stored_bytes(const tessera_layout* layout);

// Row-major `from` to stored `to`; padding becomes zero. The arrays must not overlap.
void tessera_layout_pack(const tessera_layout* layout, const void* from, void* to);
// Stored `from` to row-major `to`.
void tessera_layout_unpack(const tessera_layout* layout, const void* from, void* to);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_LAYOUT_H_
