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

// A dimension that stands twice: the places of both.
typedef struct diagonal {
  int64_t first, second;
} diagonal;

static int64_t FindDiagonals(const tessera_layout* layout, diagonal* diagonals) {
  int64_t count = 0;
  for (int64_t i = 1; i < layout->dim_count; ++i) {
    const tessera_layout_dim* dim = &layout->dims[i];
    for (int64_t j = 0; j < i && dim->extent > 1; ++j) {
      const tessera_layout_dim* other = &layout->dims[j];
      if (other->axis == dim->axis && other->divisor == dim->divisor &&
          other->extent == dim->extent) {
        diagonals[count++] = (diagonal){j, i};
        break;
      }
    }
  }
  return count;
}

// Whether each digit of a dimension stores all of its axis again.
static int IsOfCopies(const tessera_layout* layout, int64_t d) {
  const tessera_layout_dim* dim = &layout->dims[d];
  if (dim->extent == 1 || dim->divisor < layout->shape[dim->axis]) return 0;
  for (int64_t i = 0; i < layout->dim_count; ++i) {
    const tessera_layout_dim* other = &layout->dims[i];
    if (other->axis == dim->axis && other->divisor > dim->divisor) return 0;
  }
  return 1;
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
  diagonal diagonals[TESSERA_MAX_LAYOUT_DIMS];
  const int64_t diagonal_count = FindDiagonals(layout, diagonals);
  int is_still[TESSERA_MAX_LAYOUT_DIMS] = {0};  // moves no index
  for (int64_t i = 0; i < layout->dim_count; ++i) is_still[i] = IsOfCopies(layout, i);
  for (int64_t i = 0; i < diagonal_count; ++i) is_still[diagonals[i].second] = 1;
  int64_t offset = 0;
  int64_t outside = 0;  // axes whose index is in the padding
  for (int64_t position = 0; position < total; ++position) {
    char* here = stored + position * bytes;
    int is_beside = 0;  // a diagonal
    for (int64_t i = 0; i < diagonal_count; ++i) {
      is_beside |= digits[diagonals[i].first] != digits[diagonals[i].second];
    }
    if (outside == 0 && !is_beside) {
      char* there = row_major + offset * bytes;
      CopyElement(packs ? here : there, packs ? there : here, bytes);
    } else if (packs) {
      memset(here, 0, (size_t)bytes);
    }
    for (int64_t d = layout->dim_count - 1; d >= 0; --d) {
      const tessera_layout_dim* dim = &layout->dims[d];
      const int64_t before = index[dim->axis];
      int64_t step = is_still[d] ? 0 : dim->divisor;
      const int wraps = ++digits[d] == dim->extent;
      if (wraps) {
        digits[d] = 0;
        step *= 1 - dim->extent;
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
