#include "worker/runner/stored_layout.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tessera::runner {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 36;
constexpr int64_t kMaxCopies = 1 << 11;

absl::StatusOr<int64_t> Product(absl::Span<const int64_t> extents, std::string_view what) {
  int64_t product = 1;
  for (const int64_t extent : extents) {
    if (extent < 1 || extent > kMaxElements / product) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(what), " [", absl::StrJoin(extents, ", "),
                       "]: every extent must be at least 1 and their product at most 2^36"));
    }
    product *= extent;
  }
  return product;
}

template <typename T, bool kToStored>
void CopyElements(const StoredLayout& layout, const std::byte* from, std::byte* to) {
  const T* source = reinterpret_cast<const T*>(from);
  T* target = reinterpret_cast<T*>(to);
  layout.ForEachRow([&](int64_t first, int64_t base, absl::Span<const int64_t> offsets) {
    for (size_t i = 0; i < offsets.size(); ++i) {
      const int64_t logical = first + static_cast<int64_t>(i), stored = base + offsets[i];
      if constexpr (kToStored) {
        target[stored] = source[logical];
      } else {
        target[logical] = source[stored];
      }
    }
  });
}

template <bool kToStored>
void Copy(const StoredLayout& layout, int element_bytes, const std::byte* from, std::byte* to) {
  switch (element_bytes) {
    case 1:
      return CopyElements<uint8_t, kToStored>(layout, from, to);
    case 2:
      return CopyElements<uint16_t, kToStored>(layout, from, to);
    case 4:
      return CopyElements<uint32_t, kToStored>(layout, from, to);
    default:
      return CopyElements<uint64_t, kToStored>(layout, from, to);
  }
}

}  // namespace

absl::StatusOr<StoredLayout> StoredLayout::Create(absl::Span<const int64_t> shape,
                                                  absl::Span<const LayoutDim> dims) {
  StoredLayout layout;
  if (shape.size() > kMaxRank) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape: ", shape.size(), " dimensions, at most ", kMaxRank, " are allowed"));
  }
  layout.shape_.assign(shape.begin(), shape.end());
  TESSERA_ASSIGN_OR_RETURN(layout.logical_elements_, Product(shape, "shape"));
  std::vector<LayoutDim> all(dims.begin(), dims.end());
  if (all.empty()) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      all.push_back({static_cast<int>(axis), 1, shape[axis]});
    }
  }
  std::vector<int64_t> extents;
  std::vector<std::vector<LayoutDim>> by_axis(shape.size());
  for (const LayoutDim& dim : all) {
    if (dim.axis < 0 || static_cast<size_t>(dim.axis) >= shape.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "stored layout: axis ", dim.axis, " of an array with ", shape.size(), " dimensions"));
    }
    extents.push_back(dim.extent);
    by_axis[static_cast<size_t>(dim.axis)].push_back(dim);
  }
  TESSERA_ASSIGN_OR_RETURN(layout.stored_elements_, Product(extents, "stored layout"));
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    std::vector<LayoutDim>& parts = by_axis[axis];
    std::sort(parts.begin(), parts.end(), [](const LayoutDim& a, const LayoutDim& b) {
      return std::pair(a.divisor, a.extent) < std::pair(b.divisor, b.extent);
    });
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    int64_t covered = 1;
    for (const LayoutDim& part : parts) {
      if (part.divisor != covered) {
        return absl::InvalidArgumentError(absl::StrCat("stored layout: axis ", axis,
                                                       " has a part with divisor ", part.divisor,
                                                       " where ", covered, " must follow"));
      }
      covered *= part.extent;
    }
    if (covered < shape[axis]) {
      return absl::InvalidArgumentError(absl::StrCat("stored layout: axis ", axis, " of extent ",
                                                     shape[axis], " is stored for ", covered,
                                                     " elements only"));
    }
  }
  for (const int64_t extent : shape) layout.offsets_.emplace_back(static_cast<size_t>(extent), 0);
  int64_t stride = 1;
  for (auto dim = all.rbegin(); dim != all.rend(); ++dim) {
    const std::vector<LayoutDim>& parts = by_axis[static_cast<size_t>(dim->axis)];
    if (dim->extent > 1 && dim->divisor >= shape[static_cast<size_t>(dim->axis)] &&
        *dim == parts.back()) {
      const size_t before = layout.copies_.size();
      if (dim->extent > kMaxCopies / static_cast<int64_t>(before)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "stored layout: axis ", dim->axis, " is stored more than ", kMaxCopies, " times"));
      }
      for (int64_t digit = 1; digit < dim->extent; ++digit) {
        for (size_t i = 0; i < before; ++i) {
          layout.copies_.push_back(layout.copies_[i] + digit * stride);
        }
      }
    }
    auto& offsets = layout.offsets_[static_cast<size_t>(dim->axis)];
    for (size_t i = 0; i < offsets.size(); ++i) {
      offsets[i] += static_cast<int64_t>(i) / dim->divisor % dim->extent * stride;
    }
    stride *= dim->extent;
  }
  return layout;
}

int64_t StoredLayout::Offset(int64_t logical_index) const {
  int64_t offset = 0;
  for (size_t axis = shape_.size(); axis-- > 0;) {
    offset += offsets_[axis][static_cast<size_t>(logical_index % shape_[axis])];
    logical_index /= shape_[axis];
  }
  return offset;
}

std::string StoredLayout::IndexText(int64_t logical_index) const {
  std::vector<int64_t> index(shape_.size());
  for (size_t axis = shape_.size(); axis-- > 0;) {
    index[axis] = logical_index % shape_[axis];
    logical_index /= shape_[axis];
  }
  return absl::StrCat("[", absl::StrJoin(index, ", "), "]");
}

void StoredLayout::Store(int element_bytes, absl::Span<const std::byte> logical,
                         absl::Span<std::byte> stored) const {
  TESSERA_CHECK(logical.size() == static_cast<size_t>(logical_elements_ * element_bytes));
  TESSERA_CHECK(stored.size() == static_cast<size_t>(stored_elements_ * element_bytes));
  if (stored_elements_ != logical_elements_) std::fill(stored.begin(), stored.end(), std::byte{0});
  for (const int64_t copy : copies_) {
    Copy<true>(*this, element_bytes, logical.data(), stored.data() + copy * element_bytes);
  }
}

void StoredLayout::Load(int element_bytes, absl::Span<const std::byte> stored,
                        absl::Span<std::byte> logical) const {
  TESSERA_CHECK(logical.size() == static_cast<size_t>(logical_elements_ * element_bytes));
  TESSERA_CHECK(stored.size() == static_cast<size_t>(stored_elements_ * element_bytes));
  Copy<false>(*this, element_bytes, stored.data(), logical.data());
}

}  // namespace tessera::runner
