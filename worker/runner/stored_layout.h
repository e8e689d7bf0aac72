#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::runner {

constexpr size_t kMaxRank = 16;

// One dimension of a stored array: (logical index of `axis` / divisor) % extent.
struct LayoutDim {
  int axis = 0;
  int64_t divisor = 1;
  int64_t extent = 1;
  bool operator==(const LayoutDim&) const = default;
};

// Where each element of a logical array lies in its stored one. Immutable.
class StoredLayout {
 public:
  // `dims` outermost first; empty = row-major. InvalidArgument unless the dims of each axis cover
  // it without gap or overlap but for one that stands twice, a diagonal in padding; when an array
  // exceeds 2^36 elements, or 16 dimensions.
  static absl::StatusOr<StoredLayout> Create(absl::Span<const int64_t> shape,
                                             absl::Span<const LayoutDim> dims);

  int64_t logical_elements() const { return logical_elements_; }
  int64_t stored_elements() const { return stored_elements_; }  // padding included

  // Calls visit(first, base, offsets) for each innermost logical row: element first + i of the
  // row-major array is stored at base + offsets[i].
  template <typename Visit>
  void ForEachRow(Visit visit) const;

  // Stored position of one row-major logical index.
  int64_t Offset(int64_t logical_index) const;
  // "[0, 3, 12]", for messages.
  std::string IndexText(int64_t logical_index) const;

  // Copies row-major elements of `element_bytes` to their stored places, all of them, and zeroes
  // the padding.
  void Store(int element_bytes, absl::Span<const std::byte> logical,
             absl::Span<std::byte> stored) const;
  // The reverse.
  void Load(int element_bytes, absl::Span<const std::byte> stored,
            absl::Span<std::byte> logical) const;

 private:
  std::vector<int64_t> shape_;
  std::vector<std::vector<int64_t>> offsets_;  // by axis and index along it; they add up
  std::vector<int64_t> copies_ = {0};          // where each copy of all elements begins
  int64_t logical_elements_ = 1;
  int64_t stored_elements_ = 1;
};

template <typename Visit>
void StoredLayout::ForEachRow(Visit visit) const {
  const size_t rank = shape_.size();
  constexpr int64_t kScalar[] = {0};
  const absl::Span<const int64_t> row =
      rank == 0 ? absl::Span<const int64_t>(kScalar) : absl::Span<const int64_t>(offsets_.back());
  std::array<size_t, kMaxRank> index = {};
  int64_t base = 0;
  for (int64_t first = 0; first < logical_elements_; first += static_cast<int64_t>(row.size())) {
    visit(first, base, row);
    for (size_t axis = rank < 2 ? 0 : rank - 1; axis-- > 0;) {
      const std::vector<int64_t>& offsets = offsets_[axis];
      const size_t before = index[axis];
      index[axis] = before + 1 < offsets.size() ? before + 1 : 0;
      base += offsets[index[axis]] - offsets[before];
      if (index[axis] != 0) break;
    }
  }
}

}  // namespace tessera::runner
