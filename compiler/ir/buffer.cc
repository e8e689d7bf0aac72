#include "compiler/ir/buffer.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "compiler/ir/layout_parts.h"

namespace tessera::ir {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return a / b + (a % b != 0); }

// The stored dimensions of `axis`, innermost first.
std::vector<int> DimsOfAxis(const std::vector<LayoutDim>& layout, int axis) {
  std::vector<int> dims;
  for (size_t i = 0; i < layout.size(); ++i) {
    if (layout[i].axis == axis) dims.push_back(static_cast<int>(i));
  }
  std::sort(dims.begin(), dims.end(), [&](int a, int b) {
    return std::tuple(layout[a].divisor, layout[a].extent, a) <
           std::tuple(layout[b].divisor, layout[b].extent, b);
  });
  return dims;
}

absl::Status CheckCovers(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    int64_t covered = 1;
    const LayoutDim* inner = nullptr;
    for (int i : DimsOfAxis(layout, static_cast<int>(axis))) {
      if (inner != nullptr && *inner == layout[i]) continue;  // of a diagonal
      inner = &layout[i];
      if (layout[i].divisor != covered) {
        return absl::InvalidArgumentError(
            absl::StrCat("layout: axis ", axis, " has a part of divisor ", layout[i].divisor,
                         " where the parts inside it cover ", covered));
      }
      if (__builtin_mul_overflow(covered, layout[i].extent, &covered)) {
        return absl::InvalidArgumentError(
            absl::StrCat("layout: axis ", axis, " overflows 64 bits"));
      }
    }
    const std::vector<int> dims = DimsOfAxis(layout, static_cast<int>(axis));
    if (dims.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("layout: axis ", axis, " is missing"));
    }
    const LayoutDim& outer = layout[dims.back()];
    if (outer.extent != CeilDiv(shape[axis], outer.divisor)) {
      return absl::InvalidArgumentError(absl::StrCat("layout: the parts of axis ", axis, " cover ",
                                                     covered, " of extent ", shape[axis]));
    }
  }
  return absl::OkStatus();
}

bool IsSecond(const std::vector<LayoutDim>& layout, size_t part) {
  const auto end = layout.begin() + static_cast<int64_t>(part);
  return layout[part].extent > 1 && std::find(layout.begin(), end, layout[part]) != end;
}

absl::Status CheckDiagonal(const std::vector<LayoutDim>& layout) {
  bool has_diagonal = false;
  for (size_t i = 0; i < layout.size(); ++i) {
    if (!IsSecond(layout, i)) continue;
    const bool is_outermost = layout[DimsOfAxis(layout, layout[i].axis).back()] == layout[i];
    if (has_diagonal || is_outermost || layout[i].extent > kMaxLayoutDiagonal) {
      return absl::InvalidArgumentError(absl::StrCat(
          "layout: a part of axis ", layout[i].axis, " with ", layout[i].extent,
          " positions stands twice; one inner part of ", kMaxLayoutDiagonal, " at most may"));
    }
    has_diagonal = true;
  }
  return absl::OkStatus();
}

bool TakeNumber(std::string_view& text, int64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return false;
  text.remove_prefix(end - text.data());
  return true;
}

}  // namespace

int64_t BufferNode::ElementCount() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

int64_t BufferNode::StoredElementCount() const {
  if (layout.empty()) return ElementCount();
  int64_t count = 1;
  for (const LayoutDim& dim : layout) count *= dim.extent;
  return count;
}

int64_t BufferNode::StoredBytes() const {
  const int64_t bits = type.bits;
  if (bits >= 8) return StoredElementCount() * (bits / 8) * type.lanes;
  return (StoredElementCount() * bits * type.lanes + 7) / 8;
}

Buffer MakeBuffer(std::string name, Type type, std::vector<int64_t> shape, Scope scope) {
  auto buffer = std::make_shared<BufferNode>();
  buffer->name = std::move(name);
  buffer->type = type;
  buffer->shape = std::move(shape);
  buffer->scope = scope;
  return buffer;
}

std::string LayoutToString(const std::vector<LayoutDim>& layout,
                           const std::vector<int64_t>& shape) {
  std::string text;
  for (size_t i = 0; i < layout.size(); ++i) {
    const LayoutDim& dim = layout[i];
    absl::StrAppend(&text, i == 0 ? "" : " ", dim.axis);
    if (dim.divisor != 1) absl::StrAppend(&text, "/", dim.divisor);
    // The outermost part's extent follows from the shape.
    const bool is_outermost = dim.axis >= 0 && static_cast<size_t>(dim.axis) < shape.size() &&
                              DimsOfAxis(layout, dim.axis).back() == static_cast<int>(i) &&
                              dim.divisor > 0;
    const int64_t gap = is_outermost ? LayoutGap(dim, shape) : -1;
    if (gap > 0) {
      absl::StrAppend(&text, "+", gap);
    } else if (gap < 0) {
      absl::StrAppend(&text, "%", dim.extent);
    }
  }
  return text;
}

absl::StatusOr<std::vector<LayoutDim>> ParseLayout(std::string_view text,
                                                   const std::vector<int64_t>& shape) {
  std::vector<LayoutDim> layout;
  std::vector<int64_t> gaps;  // by part
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ' ', absl::SkipEmpty());
  for (const std::string& whole : parts) {
    std::string_view part = whole;
    const auto refuse = [&](std::string_view why) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout part \"", whole.substr(0, 60), "\": ", std::string(why)));
    };
    int64_t axis = 0;
    LayoutDim dim;
    if (!TakeNumber(part, axis)) return refuse("starts with no axis number");
    if (axis >= static_cast<int64_t>(shape.size())) {
      return refuse(absl::StrCat("the buffer has ", shape.size(), " axes"));
    }
    dim.axis = static_cast<int>(axis);
    if (!part.empty() && part[0] == '/') {
      part.remove_prefix(1);
      if (!TakeNumber(part, dim.divisor) || dim.divisor < 1)
        return refuse("divisor is not positive");
    }
    dim.extent = CeilDiv(shape[axis], dim.divisor);
    if (!part.empty() && part[0] == '%') {
      part.remove_prefix(1);
      if (!TakeNumber(part, dim.extent) || dim.extent < 1) return refuse("extent is not positive");
    }
    int64_t gap = 0;
    if (!part.empty() && part[0] == '+') {
      part.remove_prefix(1);
      if (!TakeNumber(part, gap) || gap < 1 || gap > kMaxLayoutGap) {
        return refuse(absl::StrCat("gap is not one of 1 to ", kMaxLayoutGap));
      }
    }
    if (!part.empty())
      return refuse("expected axis, axis/divisor, axis%extent or axis/divisor%extent, and +gap");
    layout.push_back(dim);
    gaps.push_back(gap);
    if (layout.size() > 64) return refuse("a layout has at most 64 parts");
  }
  if (layout.empty()) return layout;
  TESSERA_RETURN_IF_ERROR(CheckCovers(layout, shape));
  TESSERA_RETURN_IF_ERROR(CheckDiagonal(layout));
  for (size_t i = 0; i < layout.size(); ++i) {
    if (gaps[i] > 0 && DimsOfAxis(layout, layout[i].axis).back() != static_cast<int>(i)) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout: only the outermost part of axis ", layout[i].axis, " has gaps"));
    }
  }
  for (size_t i = 0; i < layout.size(); ++i) layout[i].extent += gaps[i];
  return layout;
}

int64_t LayoutGap(const LayoutDim& dim, const std::vector<int64_t>& shape) {
  return dim.extent - CeilDiv(shape[dim.axis], dim.divisor);
}

bool HasGaps(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const std::vector<int> dims = DimsOfAxis(layout, static_cast<int>(axis));
    if (!dims.empty() && LayoutGap(layout[dims.back()], shape) > 0) return true;
  }
  return false;
}

bool HasDiagonal(const std::vector<LayoutDim>& layout) {
  for (size_t i = 0; i < layout.size(); ++i) {
    if (IsSecond(layout, i)) return true;
  }
  return false;
}

bool IsOfCopies(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape, int part) {
  const LayoutDim& dim = layout[part];
  return dim.extent > 1 && dim.divisor >= shape[dim.axis] &&
         DimsOfAxis(layout, dim.axis).back() == part;
}

int64_t CopiesOf(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape) {
  int64_t copies = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const std::vector<int> dims = DimsOfAxis(layout, static_cast<int>(axis));
    if (dims.empty() || LayoutGap(layout[dims.back()], shape) == 0) continue;
    if (!IsOfCopies(layout, shape, dims.back())) return 0;
    if (__builtin_mul_overflow(copies, layout[dims.back()].extent, &copies)) {
      copies = std::numeric_limits<int64_t>::max();
    }
  }
  return copies;
}

bool IsRowMajorButCopies(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape) {
  int axis = 0;
  int64_t divisor = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < layout.size(); ++i) {
    const LayoutDim& part = layout[i];
    if (part.extent == 1 || IsOfCopies(layout, shape, static_cast<int>(i))) continue;
    if (part.axis < axis || (part.axis == axis && part.divisor >= divisor)) return false;
    axis = part.axis;
    divisor = part.divisor;
  }
  return true;
}

BufferNode WithDimension(const BufferNode& buffer, int64_t extent) {
  BufferNode node = buffer;
  node.shape.insert(node.shape.begin(), extent);
  for (LayoutDim& dim : node.layout) ++dim.axis;
  if (!node.layout.empty()) node.layout.insert(node.layout.begin(), {0, 1, extent});
  return node;
}

bool IndexIsStoredPosition(const BufferNode& buffer) {
  if (buffer.shape.size() != 1) return true;
  int64_t inner = 1;
  for (auto dim = buffer.layout.rbegin(); dim != buffer.layout.rend(); ++dim) {
    if (dim->divisor != inner) return false;
    inner *= dim->extent;
  }
  return true;
}

int64_t StoredOffset(const BufferNode& buffer, const std::vector<int64_t>& index) {
  TESSERA_CHECK(index.size() == buffer.shape.size());
  int64_t offset = 0;
  if (buffer.layout.empty()) {
    for (size_t i = 0; i < index.size(); ++i) offset = offset * buffer.shape[i] + index[i];
    return offset;
  }
  for (const LayoutDim& dim : buffer.layout) {
    offset = offset * dim.extent + index[dim.axis] / dim.divisor % dim.extent;
  }
  return offset;
}

bool FillsTexels(const BufferNode& buffer) {
  return buffer.type.code == TypeCode::kFloat &&
         (buffer.type.bits == 32 || buffer.type.bits == 16) &&
         buffer.StoredElementCount() % kTexelElements == 0;
}

std::string ToString(ReadPath path) {
  switch (path) {
    case ReadPath::kPlain:
      return "plain";
    case ReadPath::kConstant:
      return "constant";
    case ReadPath::kImage:
      return "image";
  }
  return "?";
}

std::optional<ReadPath> ReadPathNamed(std::string_view name) {
  for (const ReadPath path : {ReadPath::kPlain, ReadPath::kConstant, ReadPath::kImage}) {
    if (ToString(path) == name) return path;
  }
  return std::nullopt;
}

std::string ToString(Scope scope) {
  switch (scope) {
    case Scope::kGlobal:
      return "global";
    case Scope::kWorkspace:
      return "workspace";
    case Scope::kLocal:
      return "local";
    case Scope::kShared:
      return "shared";
    case Scope::kAcceleratorInput:
      return "accelerator_input";
    case Scope::kAcceleratorWeight:
      return "accelerator_weight";
    case Scope::kAcceleratorAccumulator:
      return "accelerator_accumulator";
  }
  return "?";
}

}  // namespace tessera::ir
