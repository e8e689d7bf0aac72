#include "frontend/onnx/emitter.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/operators.h"
#include "frontend/onnx/tensor.h"

namespace tessera::frontend {
namespace {

using graph::TensorType;

// Larger ones are for the pass that folds constants; of all together, so that no model keeps the
// interpreter busy for long. Each costs as much as so many elements at least.
constexpr int64_t kMostFolded = 4096, kMostFoldedInAll = int64_t{1} << 24, kFoldedAtLeast = 64;
constexpr int64_t kMostCounted = int64_t{1} << 20;
constexpr size_t kMostParts = graph::kMaxKernelTensors - 1;  // of the graph's concat

bool HasNone(const TensorType& type) { return std::ranges::count(type.shape, 0) > 0; }

bool IsFolded(std::string_view op) {
  const graph::Operator* found = graph::FindOperator(op);
  return found != nullptr &&
         (found->pattern == graph::Pattern::kElementwise ||
          found->pattern == graph::Pattern::kInjective || op.starts_with("reduce_"));
}

}  // namespace

void Emitter::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

const TensorType& Emitter::Type(const Value& value) const {
  static const auto* const none = new TensorType{ir::Float(32), {}, {}};
  if (value.known != nullptr) return value.known->type;
  return value.node < 0 ? *none : builder_.type(value.node);
}

int64_t Emitter::Extent(const Value& value, size_t d) const {
  return d < Rank(value) ? Shape(value)[d] : 1;
}

Value Emitter::Input(std::string_view name, TensorType type) {
  absl::StatusOr<int> node = builder_.Input(name, std::move(type));
  if (!node.ok()) {
    Fail(node.status());
    return {};
  }
  return {*node};
}

int Emitter::Node(const Value& value) {
  if (value.node >= 0) return value.node;
  if (value.known == nullptr) {
    Fail(absl::InvalidArgumentError("a value is missing"));
    return -1;
  }
  const auto [found, is_new] = nodes_.try_emplace(value.known.get(), value.known, -1);
  if (is_new) {
    const absl::StatusOr<int> node =
        HasNone(value.known->type)
            ? absl::StatusOr<int>(absl::UnimplementedError(
                  absl::StrCat("a tensor without elements, ", graph::ToString(value.known->type),
                               ", is computed with; graphs have none")))
            : builder_.Constant(value.name.empty() ? "known" : value.name, value.known);
    if (!node.ok()) {
      Fail(node.status());
      return -1;
    }
    found->second.second = *node;
  }
  return found->second.second;
}

Value Emitter::Add(std::string_view op, const std::vector<Value>& operands,
                   graph::Attributes attributes) {
  if (!ok()) return {};
  bool is_known = true, is_empty = false;
  for (const Value& operand : operands) {
    is_known = is_known && operand.known != nullptr;
    is_empty = is_empty || (operand.known != nullptr && HasNone(operand.known->type));
  }
  if (is_empty) return Empty(op, operands, attributes);
  if (is_known && IsFolded(op)) {
    Value folded = Folded(op, operands, attributes);
    if (!ok() || folded.known != nullptr) return folded;
  }
  std::vector<int> nodes;
  for (const Value& operand : operands) nodes.push_back(Node(operand));
  if (!ok()) return {};
  absl::StatusOr<int> node = builder_.Add(op, std::move(nodes), std::move(attributes));
  if (!node.ok()) {
    Fail(node.status());
    return {};
  }
  return {*node};
}

// Absent where the result isn't small, or is none, as of a division by zero.
Value Emitter::Folded(std::string_view op, const std::vector<Value>& operands,
                      const graph::Attributes& attributes) {
  int64_t elements = 0;
  for (const Value& operand : operands) elements += operand.known->type.ElementCount();
  if (elements > kMostFolded || folded_elements_ > kMostFoldedInAll) return {};
  graph::GraphBuilder alone("known");
  std::vector<int> constants;
  for (const Value& operand : operands) {
    const absl::StatusOr<int> constant = alone.Constant("c", operand.known);
    if (!constant.ok()) return {};
    constants.push_back(*constant);
  }
  const absl::StatusOr<int> node = alone.Add(op, std::move(constants), attributes);
  if (!node.ok()) {
    Fail(node.status());
    return {};
  }
  const int64_t count = alone.type(*node).ElementCount();
  if (count > kMostFolded) return {};
  folded_elements_ += elements + count + kFoldedAtLeast;
  const absl::StatusOr<std::vector<graph::TensorRef>> results =
      graph::Evaluate(std::move(alone).Finish({*node}), {});
  if (!results.ok()) return {};
  return {-1, results->front()};
}

Value Emitter::Empty(std::string_view op, const std::vector<Value>& operands,
                     const graph::Attributes& attributes) {
  TensorType type = Type(operands[0]);
  if (op == "concat") {
    std::vector<Value> parts;
    for (const Value& part : operands) {
      if (!HasNone(Type(part))) parts.push_back(part);
    }
    if (parts.empty()) return operands[0];
    return parts.size() == 1 ? parts[0] : Add(op, parts, attributes);
  }
  if (op == "cast") {
    const auto element = ir::ParseType(std::get<std::string>(attributes.at("to")));
    if (element.ok()) type.element = *element;
  } else if (op == "reshape") {
    type.shape = std::get<std::vector<int64_t>>(attributes.at("shape"));
  } else if (op == "gather") {
    const auto at = static_cast<size_t>(std::get<int64_t>(attributes.at("axis")));
    if (at >= type.shape.size()) return {};
    type.shape.erase(type.shape.begin() + static_cast<int64_t>(at));
    const std::vector<int64_t>& which = Shape(operands[1]);
    type.shape.insert(type.shape.begin() + static_cast<int64_t>(at), which.begin(), which.end());
  } else if (op == "reduce_prod" && type.shape.size() == 1) {
    return Number(1, type.element);  // as of the extents of no dimensions
  } else if (operands.size() > 1 || !graph::FindOperator(op) ||
             graph::FindOperator(op)->pattern != graph::Pattern::kElementwise) {
    Fail(absl::UnimplementedError(
        absl::StrCat(AbslView(op), " of a tensor without elements, ", graph::ToString(type),
                     "; graphs have none, and only shapes may be without")));
    return {};
  }
  if (!HasNone(type)) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat(AbslView(op), " takes from a tensor without elements")));
    return {};
  }
  auto none = std::make_shared<graph::Tensor>();
  none->type = std::move(type);
  return {-1, std::move(none)};
}

Value Emitter::Number(double number, ir::Type type) const {
  return {-1, graph::MakeTensor(type, {}, {number})};
}

Value Emitter::Known(ir::Type type, std::vector<int64_t> shape,
                     absl::Span<const double> values) const {
  return {-1, graph::MakeTensor(type, std::move(shape), values)};
}

Value Emitter::Counted(int64_t count, ir::Type type, std::vector<int64_t> shape) {
  if (count < 1 || count > kMostCounted) {
    Fail(absl::UnimplementedError(
        absl::StrCat("counts to ", count, "; ", kMostCounted, " is the most")));
    return {};
  }
  std::vector<double> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0);
  return Known(type, std::move(shape), values);
}

Value Emitter::Cast(const Value& x, ir::Type type, bool saturates) {
  if (!ok() || Element(x) == type) return x;
  return Add("cast", {x}, {{"to", ir::ToString(type)}, {"saturate", int64_t{saturates}}});
}

Value Emitter::Reshape(const Value& x, std::vector<int64_t> shape) {
  if (!ok() || Shape(x) == shape) return x;
  return Add("reshape", {x}, {{"shape", std::move(shape)}});
}

Value Emitter::Transpose(const Value& x, std::vector<int64_t> order) {
  if (std::ranges::is_sorted(order)) return x;
  return Add("transpose", {x}, {{"order", std::move(order)}});
}

Value Emitter::Broadcast(const Value& x, std::vector<int64_t> shape) {
  if (!ok() || Shape(x) == shape) return x;
  return Add("broadcast_to", {x}, {{"shape", std::move(shape)}});
}

Value Emitter::Concat(std::vector<Value> parts, int64_t axis) {
  while (parts.size() > kMostParts) {
    std::vector<Value> joined;
    for (size_t i = 0; i < parts.size(); i += kMostParts) {
      const size_t end = std::min(parts.size(), i + kMostParts);
      joined.push_back(Concat(
          {parts.begin() + static_cast<int64_t>(i), parts.begin() + static_cast<int64_t>(end)},
          axis));
    }
    parts = std::move(joined);
  }
  if (!ok() || parts.empty()) return {};
  return parts.size() == 1 ? parts[0] : Add("concat", parts, {{"axis", axis}});
}

Value Emitter::Slice(const Value& x, size_t axis, int64_t start, int64_t count, int64_t step) {
  if (!ok() || (start == 0 && step == 1 && count == Extent(x, axis))) return x;
  TensorType type = Type(x);
  type.shape[axis] = count;
  if (HasNone(type)) {
    auto none = std::make_shared<graph::Tensor>();
    none->type = {type.element, std::move(type.shape), {}};
    return {-1, std::move(none)};
  }
  std::vector<int64_t> starts(type.shape.size(), 0), steps(type.shape.size(), 1);
  starts[axis] = start;
  steps[axis] = count == 1 ? 1 : step;
  return Add("slice", {x}, {{"starts", starts}, {"steps", steps}, {"shape", type.shape}});
}

Value Emitter::Where(const Value& condition, const Value& then, const Value& otherwise) {
  return Add("where", {condition, then, otherwise});
}

graph::Graph Emitter::Finish(std::vector<int> outputs) && {
  return std::move(builder_).Finish(std::move(outputs));
}

}  // namespace tessera::frontend
