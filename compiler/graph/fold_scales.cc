#include <cstring>
#include <memory>
#include <utility>

#include "base/status.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/passes.h"
#include "compiler/ir/evaluate.h"

namespace tessera::graph {
namespace {

// Where the output channels lie: in the result, and in the weights.
struct Channels {
  size_t of_result, of_weights;
};

bool FindChannels(const Node& node, Channels& channels) {
  if (node.op == "conv") {
    const bool grouped = std::get<int64_t>(node.attributes.at("grouped")) != 0;
    if (grouped) return false;
    channels = {1, 0};
  } else if (node.op == "depthwise_conv") {
    channels = {1, 0};
  } else if (node.op == "conv_transpose") {
    channels = {1, 1};
  } else if (node.op == "matmul") {
    const bool transposed = std::get<int64_t>(node.attributes.at("transpose_b")) != 0;
    channels = {node.type.shape.size() - 1, transposed ? size_t{0} : size_t{1}};
  } else {
    return false;
  }
  return true;
}

// The numbers of a constant, one a channel; empty where it varies along anything else.
std::vector<double> PerChannel(const Node& constant, const std::vector<int64_t>& shape,
                               size_t channel) {
  if (!constant.is_constant() || !constant.type.element.is_float()) return {};
  const std::vector<int64_t>& own = constant.type.shape;
  if (own.size() > shape.size()) return {};
  const size_t lead = shape.size() - own.size();
  for (size_t d = 0; d < own.size(); ++d) {
    if (own[d] != 1 && lead + d != channel) return {};
  }
  std::vector<double> values(static_cast<size_t>(shape[channel]));
  const bool is_one = constant.type.ElementCount() == 1;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = constant.constant->At(is_one ? 0 : static_cast<int64_t>(i));
  }
  return values;
}

TensorRef Scaled(const Tensor& weights, size_t dimension, const std::vector<double>& scale) {
  const std::vector<int64_t>& shape = weights.type.shape;
  int64_t inner = 1;
  for (size_t d = dimension + 1; d < shape.size(); ++d) inner *= shape[d];
  auto scaled = std::make_shared<Tensor>(weights);
  const ir::Type type = weights.type.element;
  const int64_t rows = weights.type.ElementCount() / inner;
  for (int64_t row = 0; row < rows; ++row) {
    const double by = scale[row % shape[dimension]];
    for (int64_t at = row * inner; at < (row + 1) * inner; ++at) {
      if (type == ir::Float(32)) {  // most weights are, and many
        float value = 0;
        std::memcpy(&value, &weights.bytes[at * sizeof(value)], sizeof(value));
        value = static_cast<float>(value * by);
        std::memcpy(&scaled->bytes[at * sizeof(value)], &value, sizeof(value));
      } else {
        ir::WriteElement(type, absl::MakeSpan(scaled->bytes), at, weights.At(at) * by);
      }
    }
  }
  return scaled;
}

class Folder {
 public:
  explicit Folder(const Graph& graph) : graph_(graph), users_(graph.Users()) {}

  absl::StatusOr<int> operator()(GraphBuilder& builder, const Node& node,
                                 absl::Span<const int> operands, int index) {
    const bool multiplies = node.op == "mul" || node.op == "div";
    if (!multiplies && node.op != "add" && node.op != "sub") return -1;
    for (const size_t i : {0, 1}) {
      const bool keeps_order = node.op == "add" || node.op == "mul" || i == 0;
      const Node& product = builder.node(operands[i]);
      Channels channels{};
      // Others may use the product as it was.
      const bool is_alone = users_[graph_.nodes[index].operands[i]].size() == 1 &&
                            !graph_.IsOutput(graph_.nodes[index].operands[i]);
      if (!keeps_order || !is_alone || !FindChannels(product, channels) ||
          product.type.shape != node.type.shape || !product.type.element.is_float()) {
        continue;
      }
      std::vector<double> by =
          PerChannel(builder.node(operands[1 - i]), node.type.shape, channels.of_result);
      if (by.empty()) continue;
      const Node weights = builder.node(product.operands[1]);
      if (!weights.is_constant() || (product.op == "matmul" && weights.type.shape.size() != 2)) {
        continue;
      }
      std::vector<double> bias(by.size(), 0.0);
      if (product.operands.size() > 2) {
        const Node& old = builder.node(product.operands[2]);
        if (!old.is_constant()) continue;
        for (size_t c = 0; c < bias.size(); ++c)
          bias[c] = old.constant->At(static_cast<int64_t>(c));
      }
      const Node copy = product;  // the builder's nodes move
      std::vector<int> changed = copy.operands;
      if (multiplies) {
        for (double& value : by) value = node.op == "div" ? 1 / value : value;
        TESSERA_ASSIGN_OR_RETURN(
            changed[1],
            builder.Constant(weights.name, Scaled(*weights.constant, channels.of_weights, by)));
        for (size_t c = 0; c < bias.size(); ++c) bias[c] *= by[c];
      } else {
        for (size_t c = 0; c < bias.size(); ++c) bias[c] += node.op == "sub" ? -by[c] : by[c];
      }
      if (!multiplies || changed.size() > 2) {
        changed.resize(3);
        TESSERA_ASSIGN_OR_RETURN(
            changed[2], builder.Constant(copy.name + "_bias",
                                         MakeTensor(copy.type.element,
                                                    {static_cast<int64_t>(bias.size())}, bias)));
      }
      return builder.Add(copy.op, std::move(changed), copy.attributes, copy.name);
    }
    return -1;
  }

 private:
  const Graph& graph_;
  const std::vector<std::vector<int>> users_;
};

}  // namespace

absl::StatusOr<Graph> FoldScales(const Graph& graph) { return Rewritten(graph, Folder(graph)); }

}  // namespace tessera::graph
