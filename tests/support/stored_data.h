#pragma once

#include <cstddef>
#include <vector>

#include "compiler/ir/buffer.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/layout_parts.h"

namespace tessera::ir {

// Calls `visit(index, row_major_position)` for every logical index of `shape`.
template <typename Visitor>
void ForEachIndex(const std::vector<int64_t>& shape, Visitor visit) {
  std::vector<int64_t> index(shape.size(), 0);
  for (int64_t position = 0;; ++position) {
    visit(index, position);
    size_t d = shape.size();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

// Where the copies of all elements begin that a constant's layout asks for.
inline std::vector<int64_t> CopiesOf(const BufferNode& stored) {
  std::vector<int64_t> copies = {0};
  int64_t stride = 1;
  for (int part = static_cast<int>(stored.layout.size()) - 1; part >= 0; --part) {
    const int64_t extent = stored.layout[part].extent;
    const size_t before = copies.size();
    for (int64_t digit = 1; digit < extent && IsOfCopies(stored.layout, stored.shape, part);
         ++digit)
      for (size_t i = 0; i < before; ++i) copies.push_back(copies[i] + digit * stride);
    stride *= extent;
  }
  return copies;
}

// Row-major bytes rearranged into `stored`'s layout, padding zero; and back.
inline std::vector<std::byte> ToStored(const BufferNode& stored,
                                       const std::vector<std::byte>& row_major) {
  std::vector<std::byte> bytes(stored.StoredBytes());
  const std::vector<int64_t> copies = CopiesOf(stored);
  ForEachIndex(stored.shape, [&](const std::vector<int64_t>& index, int64_t position) {
    for (const int64_t copy : copies) {
      WriteElement(stored.type, absl::MakeSpan(bytes), StoredOffset(stored, index) + copy,
                   ReadElement(stored.type, row_major, position));
    }
  });
  return bytes;
}

inline std::vector<double> FromStored(const BufferNode& stored,
                                      const std::vector<std::byte>& bytes) {
  std::vector<double> values(stored.ElementCount());
  ForEachIndex(stored.shape, [&](const std::vector<int64_t>& index, int64_t position) {
    values[position] = ReadElement(stored.type, bytes, StoredOffset(stored, index));
  });
  return values;
}

}  // namespace tessera::ir
