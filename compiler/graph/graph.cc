#include "compiler/graph/graph.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/graph/operators.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/names.h"
#include "compiler/te/saturating.h"

namespace tessera::graph {
namespace {

constexpr int64_t kMostStored = 32;  // times what there is, for padding

// A name made of another text, "value" where nothing of it is left.
std::string NameLike(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, 120)) {
    const bool fits = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
    if (fits || (!name.empty() && name.back() != '_')) name += fits ? c : '_';
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name.empty()) return "value";
  if (absl::ascii_isdigit(static_cast<unsigned char>(name[0]))) name.insert(0, "v");
  return te::IsName(name) ? name : name + "_";
}

// The type of a node's result, with its attributes complete.
absl::StatusOr<TensorType> Infer(const Node& node, absl::Span<const TensorType> operands,
                                 Attributes& complete) {
  const Operator* op = FindOperator(node.op);
  if (op == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("there is no operator \"", node.op, "\""));
  }
  const auto count = static_cast<int>(operands.size());
  if (count < op->least_operands || count > op->most_operands) {
    return absl::InvalidArgumentError(absl::StrCat(node.op, " has ", count, " operands; it takes ",
                                                   op->least_operands, " to ", op->most_operands));
  }
  TESSERA_ASSIGN_OR_RETURN(complete, CompleteAttributes(*op, node.attributes));
  absl::StatusOr<TensorType> type = op->infer({complete, operands});
  if (type.ok()) {
    if (const absl::Status status = CheckType(*type); !status.ok()) type = status;
  }
  if (type.ok()) return type;
  const std::string types = absl::StrJoin(
      operands, ", ",
      [](std::string* out, const auto& operand) { absl::StrAppend(out, ToString(operand)); });
  return Annotate(type.status(), absl::StrCat(node.op, "(", types, ")"));
}

std::vector<TensorType> OperandTypes(const Graph& graph, absl::Span<const int> operands) {
  std::vector<TensorType> types;
  for (const int operand : operands) types.push_back(graph.nodes[operand].type);
  return types;
}

}  // namespace

int64_t TensorType::ElementCount() const { return te::SaturatingProduct(shape); }
int64_t TensorType::Bytes() const {
  return te::SaturatingMultiply(ElementCount(), (element.bits + 7) / 8);
}
int64_t TensorType::StoredBytes() const {
  std::vector<int64_t> stored = shape;
  if (!layout.empty()) stored.clear();
  for (const ir::LayoutDim& dim : layout) stored.push_back(dim.extent);
  return te::SaturatingMultiply(te::SaturatingProduct(stored), (element.bits + 7) / 8);
}

std::string ToString(const TensorType& type) {
  std::string text =
      absl::StrCat(ir::ToString(type.element), "[", absl::StrJoin(type.shape, ","), "]");
  if (!type.layout.empty()) {
    absl::StrAppend(&text, " layout(", ir::LayoutToString(type.layout, type.shape), ")");
  }
  return text;
}

absl::Status CheckType(const TensorType& type) {
  if (type.shape.size() > kMaxRank) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(type), " has ", type.shape.size(),
                                                   " dimensions; ", kMaxRank, " are the most"));
  }
  for (const int64_t extent : type.shape) {
    if (extent >= 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(type), " has no elements; every dimension has to be 1 at least"));
  }
  if (te::SaturatingProduct(type.shape) > kMaxTensorBytes / 8) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(type), " has more than ", kMaxTensorBytes / 8, " elements"));
  }
  if (type.element.is_vector() || type.element.bits < 8) {
    return absl::InvalidArgumentError(absl::StrCat(
        ToString(type), " has elements of less than a byte, or vectors; cast them to u8"));
  }
  if (type.layout.empty()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(
      ir::ParseLayout(ir::LayoutToString(type.layout, type.shape), type.shape).status());
  std::vector<int64_t> stored;
  for (const ir::LayoutDim& dim : type.layout) stored.push_back(dim.extent);
  if (te::SaturatingProduct(stored) > kMostStored * type.ElementCount()) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(type), " stores more than ", kMostStored, " times its elements"));
  }
  return absl::OkStatus();
}

double Tensor::At(int64_t element) const { return ir::ReadElement(type.element, bytes, element); }

int64_t Tensor::IntAt(int64_t element) const {
  const int width = type.element.bits;
  TESSERA_CHECK(type.element.is_integer());
  if (width < 64) return static_cast<int64_t>(At(element));
  int64_t value = 0;
  std::memcpy(&value, bytes.data() + element * static_cast<int64_t>(sizeof(value)), sizeof(value));
  return value;
}

TensorRef MakeTensor(ir::Type element, std::vector<int64_t> shape,
                     absl::Span<const double> values) {
  auto tensor = std::make_shared<Tensor>();
  tensor->type = {element, std::move(shape), {}};
  TESSERA_CHECK(tensor->type.ElementCount() == static_cast<int64_t>(values.size()));
  tensor->bytes.resize(static_cast<size_t>(tensor->type.Bytes()));
  for (size_t i = 0; i < values.size(); ++i) {
    ir::WriteElement(element, absl::MakeSpan(tensor->bytes), static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

std::vector<int> Graph::Inputs() const {
  std::vector<int> inputs;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].is_input()) inputs.push_back(static_cast<int>(i));
  }
  return inputs;
}

std::vector<std::vector<int>> Graph::Users() const {
  std::vector<std::vector<int>> users(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto node = static_cast<int>(i);
    for (const int operand : nodes[i].operands) {
      if (users[operand].empty() || users[operand].back() != node) users[operand].push_back(node);
    }
  }
  return users;
}

bool Graph::IsOutput(int node) const { return std::ranges::count(outputs, node) > 0; }

absl::Status Verify(const Graph& graph) {
  if (!te::IsName(graph.name)) {
    return absl::InvalidArgumentError(absl::StrCat("graph: \"", graph.name, "\" is no name"));
  }
  absl::flat_hash_set<std::string> names;
  const auto count = static_cast<int>(graph.nodes.size());
  if (count > kMaxNodes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the graph has ", count, " nodes; ", kMaxNodes, " are the most"));
  }
  for (int i = 0; i < count; ++i) {
    const Node& node = graph.nodes[i];
    const auto fault = [&](std::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(node.name, " ", AbslView(what)));
    };
    if (!te::IsName(node.name)) return fault("is no name");
    if (!names.insert(node.name).second) return fault("is defined twice");
    for (const int operand : node.operands) {
      if (operand < 0 || operand >= i) return fault("uses a node that is not before it");
    }
    TESSERA_RETURN_IF_ERROR(Annotate(CheckType(node.type), node.name));
    if (node.is_constant() != (node.op == "constant")) return fault("has no values");
    if (node.is_input() || node.is_constant()) {
      if (!node.operands.empty() || !node.attributes.empty()) return fault("takes nothing");
      if (node.is_constant() &&
          (node.constant->type != node.type ||
           static_cast<int64_t>(node.constant->bytes.size()) != node.type.Bytes())) {
        return fault("has values of another type");
      }
      continue;
    }
    Attributes complete;
    absl::StatusOr<TensorType> type = Infer(node, OperandTypes(graph, node.operands), complete);
    TESSERA_RETURN_IF_ERROR(Annotate(type.status(), node.name));
    if (complete != node.attributes) return fault("lacks attributes that have defaults");
    type->layout = node.type.layout;
    if (*type != node.type) {
      return fault(
          absl::StrCat("is ", ToString(node.type), ", but its operator makes ", ToString(*type)));
    }
  }
  for (const int output : graph.outputs) {
    if (output < 0 || output >= count) {
      return absl::InvalidArgumentError(absl::StrCat("output ", output, " is no node"));
    }
  }
  return absl::OkStatus();
}

GraphBuilder::GraphBuilder(std::string_view name) { graph_.name = NameLike(name); }

absl::StatusOr<int> GraphBuilder::Append(Node node, std::string_view name) {
  if (size() == kMaxNodes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the graph has more than ", kMaxNodes, " nodes"));
  }
  TESSERA_RETURN_IF_ERROR(CheckType(node.type));
  node.name = FreeName(name.empty() ? std::string_view(node.op) : name);
  graph_.nodes.push_back(std::move(node));
  return size() - 1;
}

std::string GraphBuilder::FreeName(std::string_view like) {
  const std::string name = NameLike(like);
  if (names_.insert(name).second) return name;
  // Where the last search for the same name ended, so that many of one name take no time.
  for (int& i = taken_[name];;) {
    std::string other = absl::StrCat(name, "_", ++i);
    if (names_.insert(other).second) return other;
  }
}

void GraphBuilder::Rename(int node, std::string_view name) {
  names_.erase(graph_.nodes[node].name);
  graph_.nodes[node].name = FreeName(name);
}

absl::StatusOr<int> GraphBuilder::Input(std::string_view name, TensorType type) {
  return Append({.op = "input", .type = std::move(type)}, name);
}

absl::StatusOr<int> GraphBuilder::Constant(std::string_view name, TensorRef tensor) {
  TensorType type = tensor->type;
  return Append({.op = "constant", .type = std::move(type), .constant = std::move(tensor)}, name);
}

absl::StatusOr<int> GraphBuilder::Add(std::string_view op, std::vector<int> operands,
                                      Attributes attributes, std::string_view name) {
  Node node{
      .op = std::string(op), .attributes = std::move(attributes), .operands = std::move(operands)};
  Attributes complete;
  TESSERA_ASSIGN_OR_RETURN(node.type, Infer(node, OperandTypes(graph_, node.operands), complete));
  node.attributes = std::move(complete);
  return Append(std::move(node), name);
}

absl::StatusOr<int> GraphBuilder::Copy(const Node& node, std::vector<int> operands) {
  if (node.is_input()) return Input(node.name, node.type);
  if (node.is_constant()) return Constant(node.name, node.constant);
  TESSERA_ASSIGN_OR_RETURN(const int copy,
                           Add(node.op, std::move(operands), node.attributes, node.name));
  TensorType& type = graph_.nodes[copy].type;
  if (type.shape == node.type.shape) type.layout = node.type.layout;
  return copy;
}

Graph GraphBuilder::Finish(std::vector<int> outputs) && {
  std::vector<bool> is_needed(graph_.nodes.size(), false);
  for (const int output : outputs) is_needed[output] = true;
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (node.is_input()) is_needed[i] = true;
    if (!is_needed[i]) continue;
    for (const int operand : node.operands) is_needed[operand] = true;
  }
  std::vector<int> became(graph_.nodes.size(), -1);
  Graph graph{.name = std::move(graph_.name)};
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!is_needed[i]) continue;
    became[i] = static_cast<int>(graph.nodes.size());
    Node node = std::move(graph_.nodes[i]);
    for (int& operand : node.operands) operand = became[operand];
    graph.nodes.push_back(std::move(node));
  }
  for (const int output : outputs) graph.outputs.push_back(became[output]);
  return graph;
}

}  // namespace tessera::graph
