#pragma once

#include <cstddef>
#include <vector>

#include "compiler/ir/buffer.h"
#include "compiler/ir/evaluate.h"

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

// Row-major bytes rearranged into `stored`'s layout, padding zero; and back.
inline std::vector<std::byte> ToStored(const BufferNode& stored,
                                       const std::vector<std::byte>& row_major) {
  std::vector<std::byte> bytes(stored.StoredBytes());
  ForEachIndex(stored.shape, [&](const std::vector<int64_t>& index, int64_t position) {
    WriteElement(stored.type, absl::MakeSpan(bytes), StoredOffset(stored, index),
                 ReadElement(stored.type, row_major, position));
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
