#include "compiler/runtime/layout.h"

#include <string.h>

int64_t tessera_layout_logical_bytes(const tessera_layout* layout) {
  int64_t bytes = layout->element_bytes;
  for (int64_t i = 0; i < layout->rank; ++i) bytes *= layout->shape[i];
  return bytes;
}

int64_t tessera_layout_stored_bytes(const tessera_layout* layout) {
  if (layout->dim_count == 0) return tessera_layout_logical_bytes(layout);
  int64_t bytes = layout->element_bytes;
  for (int64_t i = 0; i < layout->dim_count; ++i) bytes *= layout->dims[i].extent;
  return bytes;
}

static void CopyElement(char* to, const char* from, int64_t bytes) {
  switch (bytes) {
    case 1:
      *to = *from;
      return;
    case 2:
      memcpy(to, from, 2);
      return;
    case 4:
      memcpy(to, from, 4);
      return;
    default:
      memcpy(to, from, 8);
      return;
  }
}

// Walks the stored array in order with a counter a dimension, and keeps the logical index of every
// axis (the sum of digit × divisor) and the row-major offset up to date. `packs`: row_major is read
// and stored written, else the other way round.
static void Walk(const tessera_layout* layout, char* row_major, char* stored, int packs) {
  const int64_t bytes = layout->element_bytes;
  const int64_t total = tessera_layout_stored_bytes(layout) / bytes;
  int64_t strides[TESSERA_MAX_RANK], index[TESSERA_MAX_RANK] = {0};
  int64_t digits[TESSERA_MAX_LAYOUT_DIMS] = {0};
  int64_t stride = 1;
  for (int64_t i = layout->rank - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= layout->shape[i];
  }
  int64_t offset = 0;
  int64_t outside = 0;  // axes whose index is in the padding
  for (int64_t position = 0; position < total; ++position) {
    char* here = stored + position * bytes;
    if (outside == 0) {
      char* there = row_major + offset * bytes;
      CopyElement(packs ? here : there, packs ? there : here, bytes);
    } else if (packs) {
      memset(here, 0, (size_t)bytes);
    }
    for (int64_t d = layout->dim_count - 1; d >= 0; --d) {
      const tessera_layout_dim* dim = &layout->dims[d];
      const int64_t before = index[dim->axis];
      int64_t step = dim->divisor;
      const int wraps = ++digits[d] == dim->extent;
      if (wraps) {
        digits[d] = 0;
        step -= dim->extent * dim->divisor;
      }
      index[dim->axis] = before + step;
      offset += step * strides[dim->axis];
      outside +=
          (index[dim->axis] >= layout->shape[dim->axis]) - (before >= layout->shape[dim->axis]);
      if (!wraps) break;
    }
  }
}

void tessera_layout_pack(const tessera_layout* layout, const void* from, void* to) {
  if (layout->dim_count == 0) {
    memcpy(to, from, (size_t)tessera_layout_logical_bytes(layout));
    return;
  }
  Walk(layout, (char*)from, to, 1);
}

void tessera_layout_unpack(const tessera_layout* layout, const void* from, void* to) {
  if (layout->dim_count == 0) {
    memcpy(to, from, (size_t)tessera_layout_logical_bytes(layout));
    return;
  }
  Walk(layout, to, (char*)from, 0);
}
