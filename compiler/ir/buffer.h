#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/type.h"

namespace tessera::ir {

// Where a buffer lives. kGlobal: the caller's memory. kWorkspace: scratch in the caller's
// workspace. kLocal: private to one thread, small (stack or registers). kShared: one GPU thread
// block. kAccelerator*: VTA's on-chip memories.
enum class Scope : uint8_t {
  kGlobal,
  kWorkspace,
  kLocal,
  kShared,
  kAcceleratorInput,
  kAcceleratorWeight,
  kAcceleratorAccumulator
};

// What the workload allows to be done with a buffer's storage order (architecture, decision 13).
// kFixed: none. kBlocked: the dimension `block_axis` may be split and its block moved innermost,
// behind one of dimension 0. kFree: any, packed before the timed run. See layout_parts.h, too.
enum class LayoutPolicy : uint8_t { kFixed, kBlocked, kFree };

// How a kernel of a GPU reads a kGlobal buffer that it does not write. What is read is the same:
// others than OpenCL's code generator take no notice. kConstant: by the memory of what all threads
// of a wave read at once. kImage: in texels of four elements, by the caches of textures.
enum class ReadPath : uint8_t { kPlain, kConstant, kImage };
inline constexpr int64_t kTexelElements = 4;

// One dimension of the stored array: (logical index of `axis` / divisor) % extent. The outermost
// part of an axis may be longer than the axis: gaps, so that rows begin in other banks.
struct LayoutDim {
  int axis = 0;
  int64_t divisor = 1;
  int64_t extent = 1;
  bool operator==(const LayoutDim&) const = default;
};

// A typed array. Identity is the node: two buffers of equal fields are different buffers.
struct BufferNode {
  std::string name;
  Type type;                   // of one element
  std::vector<int64_t> shape;  // logical
  Scope scope = Scope::kGlobal;
  LayoutPolicy policy = LayoutPolicy::kFixed;
  int block_axis = -1;            // for kBlocked
  std::vector<LayoutDim> layout;  // stored dimensions, outermost first; empty = row-major `shape`
  // kShared, inside of a serial loop: filled for the loop's next turn while this one reads it
  // (compiler/passes/double_buffers.h).
  bool is_doubled = false;
  ReadPath read_path = ReadPath::kPlain;

  int64_t ElementCount() const;        // of the logical shape
  int64_t StoredElementCount() const;  // of the layout, padding included
  int64_t StoredBytes() const;         // rounded up to whole bytes for sub-byte types
};
using Buffer = std::shared_ptr<const BufferNode>;

Buffer MakeBuffer(std::string name, Type type, std::vector<int64_t> shape,
                  Scope scope = Scope::kGlobal);

// A layout as text, outermost first: {0,1,2,3 with 16-blocks of axis 1} is "0 1/16 2 3 1%16".
// Splits of one axis at several places read "1/64 1/16%4 1%16"; "0 1+4" has gaps of 4 elements
// after each row. Both ways; parsing checks that every logical axis is covered exactly but for such
// gaps, of kMaxLayoutGap at most.
inline constexpr int64_t kMaxLayoutGap = 1024;
std::string LayoutToString(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape);
absl::StatusOr<std::vector<LayoutDim>> ParseLayout(std::string_view text,
                                                   const std::vector<int64_t>& shape);

// How much longer a layout's part `dim`, the outermost one of its axis, is than the axis.
int64_t LayoutGap(const LayoutDim& dim, const std::vector<int64_t>& shape);
bool HasGaps(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape);

// `buffer` with one more dimension in front, of so many copies of it.
BufferNode WithDimension(const BufferNode& buffer, int64_t extent);

// Whether an access with one index names a stored position: after flattening always, and for rank 1
// unless the layout permutes (then the index is logical; flattening must take a buffer without
// that layout).
bool IndexIsStoredPosition(const BufferNode& buffer);

// Stored position of the element at `index` (logical, row-major order of `buffer.shape`).
int64_t StoredOffset(const BufferNode& buffer, const std::vector<int64_t>& index);

// Whether its elements fill texels, of the types that images have.
bool FillsTexels(const BufferNode& buffer);

std::string ToString(Scope scope);
// "plain", "constant", "image". Back: nothing for other words.
std::string ToString(ReadPath path);
std::optional<ReadPath> ReadPathNamed(std::string_view name);

}  // namespace tessera::ir
