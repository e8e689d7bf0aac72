#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/buffer.h"

// Models: operators on tensors whose types and shapes are known. What operators there are says
// operators.h. Graphs are values: passes take one and return another.

namespace tessera::graph {

inline constexpr int kMaxNodes = 1 << 16;
inline constexpr int kMaxRank = 8;
inline constexpr int64_t kMaxTensorBytes = int64_t{1} << 34;

struct TensorType {
  ir::Type element;
  std::vector<int64_t> shape;         // without dimensions: one element
  std::vector<ir::LayoutDim> layout;  // how it is stored; empty: row-major

  int64_t ElementCount() const;
  int64_t Bytes() const;        // of row-major elements
  int64_t StoredBytes() const;  // as the layout stores them
  bool operator==(const TensorType&) const = default;
};
// "f32[1,64,56,56]", with " layout(0 1/16 2 3 1%16)" where it is stored otherwise.
std::string ToString(const TensorType& type);

// Elements of whole bytes, dimensions and elements within the limits above, a layout of the shape
// that stores at most 32 times its elements. InvalidArgument else.
absl::Status CheckType(const TensorType& type);

// Row-major elements, as memory has them.
struct Tensor {
  TensorType type;
  std::vector<std::byte> bytes;

  double At(int64_t element) const;
  // Of integers, of which doubles don't have all; those of u64 beyond i64 wrap.
  int64_t IntAt(int64_t element) const;
};
using TensorRef = std::shared_ptr<const Tensor>;
// Of so many elements as the shape has, rounded or wrapped to the type.
TensorRef MakeTensor(ir::Type element, std::vector<int64_t> shape, absl::Span<const double> values);

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

// What makes one tensor: an input, a constant or an operator's result.
struct Node {
  std::string name;  // unique (te::IsName)
  std::string op;    // "input", "constant", or of operators.h
  Attributes attributes;
  std::vector<int> operands;  // nodes before this one
  TensorType type;
  TensorRef constant;  // of constants alone

  bool is_input() const { return op == "input"; }
  bool is_constant() const { return constant != nullptr; }
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;  // operands first
  std::vector<int> outputs;

  const Node& operand(const Node& node, size_t index) const { return nodes[node.operands[index]]; }
  std::vector<int> Inputs() const;
  // By node those that have it as an operand, ascending, each once.
  std::vector<std::vector<int>> Users() const;
  bool IsOutput(int node) const;
};

// That names are unique, operands come first, and every type is what its operator makes of its
// operands' (but for the layout). What a pass has returned without this being true is a bug.
absl::Status Verify(const Graph& graph);

// Makes graphs node by node. Every node's type is inferred, and attributes are completed by their
// defaults. Errors name the operator, the value and the limit.
class GraphBuilder {
 public:
  // `name` is changed to one (te::IsName) where it is none.
  explicit GraphBuilder(std::string_view name);

  // The node's number. Names that are taken, or are none (te::IsName), are changed to free ones
  // like them; an empty one becomes the operator's.
  absl::StatusOr<int> Input(std::string_view name, TensorType type);
  absl::StatusOr<int> Constant(std::string_view name, TensorRef tensor);
  absl::StatusOr<int> Add(std::string_view op, std::vector<int> operands,
                          Attributes attributes = {}, std::string_view name = "");
  // A node of another graph, with what its operands have become here. Keeps its layout where the
  // type is the same.
  absl::StatusOr<int> Copy(const Node& node, std::vector<int> operands);

  // As a new node's name.
  void Rename(int node, std::string_view name);

  const Node& node(int index) const { return graph_.nodes[index]; }
  const TensorType& type(int index) const { return graph_.nodes[index].type; }
  int size() const { return static_cast<int>(graph_.nodes.size()); }

  // Without the nodes that no output needs; inputs stay.
  Graph Finish(std::vector<int> outputs) &&;

 private:
  absl::StatusOr<int> Append(Node node, std::string_view name);
  std::string FreeName(std::string_view like);

  Graph graph_;
  absl::flat_hash_set<std::string> names_;
  std::map<std::string, int> taken_;  // by name how many like it were asked for
};

}  // namespace tessera::graph
