#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/stmt.h"

namespace tessera::codegen::gpu {

// How a buffer is kept.
struct Storage {
  std::string name;         // of the pointer or array
  std::string space;        // "__global", "__constant", "__local", "__private"; "": an image,
                            // of which the variable NAME_first is the first texel
  bool is_scalars = false;  // of variables namee0, namee1, …
  bool is_image() const { return space.empty(); }
};

// Expressions as OpenCL C, one lane of a vector at a time: a GPU's threads are its lanes. Text of
// numbers that index is `int` where all of it fits, else `long`.
class ExprWriter {
 public:
  // `has_half`: f16 is computed as such, otherwise in f32.
  explicit ExprWriter(bool has_half) : has_half_(has_half) {}

  void Bind(const ir::VarRef& var, std::string text, ir::Interval range);
  void Bind(const ir::BufferNode* buffer, Storage storage) {
    buffers_[buffer] = std::move(storage);
  }
  const Storage& StorageOf(const ir::BufferNode& buffer) const { return buffers_.at(&buffer); }

  // Lanes of this vector load are those of the vector `name`, until Release.
  void Hold(const ir::Load& load, std::string name) { held_[&load] = std::move(name); }
  void Release() { held_.clear(); }

  // The text of a value is of the type ValueName(type).
  std::string Lane(const ir::Expr& e, int lane);
  // Empty: true.
  std::string Condition(const ir::Expr& e, int lane);
  // The element of a store's address, and a store of `value` to it.
  std::string Assign(const ir::Buffer& buffer, const ir::Expr& index, int lane,
                     const std::string& value);
  // Whether lanes lie next to each other in memory of elements that are what is computed.
  bool IsContiguous(const ir::Buffer& buffer, const ir::Expr& index) const;
  // All lanes of a load at once; empty where they have to be loaded one by one.
  std::string Vector(const ir::Load& load);
  // An index as an int or long.
  std::string Index(const ir::Expr& e, int lane);

  // OpenCL's names of the types that values and elements of `type` have.
  std::string ValueName(ir::Type type) const;
  std::string ElementName(ir::Type type) const;

  const absl::Status& status() const { return status_; }

 private:
  std::string Load(const ir::Load& load, int lane);
  std::string ImageElement(const ir::BufferNode& image, const ir::Expr& index, int lane);
  // The texel that has element `at`.
  std::string Texel(const ir::BufferNode& image, const ir::Expr& at);
  // Which of the texel's elements it is, where that is the same for all values of variables.
  std::optional<int64_t> PlaceInTexel(const ir::Expr& at) const;
  std::string Element(const ir::BufferNode& buffer, const ir::Expr& index, int lane);
  std::string Binary(const ir::Binary& node, int lane);
  std::string Cast(const ir::Cast& node, int lane);
  std::string Call(const ir::Call& node, int lane);
  std::string Literal(ir::Type type, double value) const;
  // An integer expression of 64 bits in `int` where it is narrow, else in `long`.
  std::string Wide(const ir::Expr& e, int lane, bool narrow);
  // Whether each value on the way is known to fit 32 bits.
  bool IsNarrow(const ir::Expr& e) const;
  bool IsNonNegative(const ir::Expr& e) const;
  std::string Fail(std::string_view what);

  bool has_half_;
  ir::Ranges ranges_;
  absl::flat_hash_map<const ir::Var*, std::string> vars_;
  absl::flat_hash_map<const ir::BufferNode*, Storage> buffers_;
  absl::flat_hash_map<const ir::Load*, std::string> held_;
  absl::Status status_;
};

}  // namespace tessera::codegen::gpu
