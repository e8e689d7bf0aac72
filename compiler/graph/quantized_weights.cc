#include "compiler/graph/quantized_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tessera::graph {
namespace {

int64_t Flag(const Node& node, std::string_view name) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? 0 : std::get<int64_t>(found->second);
}

double Rounded(double x) { return static_cast<double>(static_cast<float>(x)); }

// The channel of each element.
std::vector<size_t> ChannelByElement(const std::vector<int64_t>& shape, const Channels& channels) {
  int64_t count = 1, inner = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    count *= shape[d];
    if (d >= channels.first + channels.dimensions) inner *= shape[d];
  }
  std::vector<size_t> by_element(static_cast<size_t>(count), 0);
  if (channels.dimensions == 0) return by_element;
  for (int64_t i = 0; i < count; ++i) {
    by_element[static_cast<size_t>(i)] = static_cast<size_t>(i / inner % channels.count);
  }
  return by_element;
}

}  // namespace

bool IsProduct(const Node& node) {
  return node.op == "conv" || node.op == "depthwise_conv" || node.op == "conv_transpose" ||
         node.op == "matmul";
}

int64_t TermsOf(const Graph& graph, const Node& product) {
  if (product.op == "matmul") return graph.operand(product, 0).type.shape.back();
  const TensorType& weights = graph.operand(product, 1).type;
  const Channels channels = ChannelsOf(graph, product);
  return weights.ElementCount() / channels.count;
}

Channels ChannelsOf(const Graph& graph, const Node& product) {
  const std::vector<int64_t>& weights = graph.operand(product, 1).type.shape;
  Channels made;
  if (product.op == "matmul") {
    const size_t columns = Flag(product, "transpose_b") != 0 ? 2 : 1;
    const bool is_one =
        std::all_of(weights.begin(), weights.end() - 2, [](int64_t extent) { return extent == 1; });
    made.count = product.type.shape.back();
    made.first = weights.size() - columns;
    made.dimensions = is_one ? 1 : 0;
    made.shape_of_scales = {made.count};
    return made;
  }
  made.first = product.op == "conv_transpose" ? 1 : 0;
  made.dimensions = Flag(product, "grouped") != 0 ? 2 : 1;
  made.shape_of_scales.assign(product.type.shape.size() - 1, 1);
  for (size_t d = 0; d < made.dimensions; ++d) {
    made.shape_of_scales[d] = weights[made.first + d];
    made.count *= weights[made.first + d];
  }
  return made;
}

double ScaleOf(double largest) {
  // Scales that are no normal numbers of f32 have no reciprocal.
  return Rounded(std::max(largest == 0 ? 1.0 : largest, 1e-30) / 127);
}

double LargestOf(const Tensor& tensor) {
  double largest = 0;
  for (int64_t i = 0; i < tensor.type.ElementCount(); ++i) {
    largest = std::max(largest, std::abs(tensor.At(i)));
  }
  return largest;
}

double Requantization(double scale_x, double scale_w, double scale) {
  const float both = static_cast<float>(scale_x) * static_cast<float>(scale_w);
  return static_cast<double>(both / static_cast<float>(scale));
}

QuantizedWeights QuantizeWeights(const Tensor& weights, const Channels& channels) {
  const std::vector<size_t> channel = ChannelByElement(weights.type.shape, channels);
  std::vector<double> largest(static_cast<size_t>(channels.count), 0);
  std::vector<double> values(channel.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = weights.At(static_cast<int64_t>(i));
    largest[channel[i]] = std::max(largest[channel[i]], std::abs(values[i]));
  }
  if (channels.dimensions == 0) largest.assign(largest.size(), largest[0]);
  QuantizedWeights made;
  for (const double magnitude : largest) made.scales.push_back(ScaleOf(magnitude));
  for (size_t i = 0; i < values.size(); ++i) {
    const double steps = std::nearbyint(values[i] / made.scales[channel[i]]);
    values[i] = std::clamp(steps, -127.0, 127.0);
  }
  made.tensor = MakeTensor(ir::Int(8), weights.type.shape, values);
  return made;
}

TensorRef QuantizeBias(const Tensor& bias, double scale_x, const std::vector<double>& scale_w) {
  // With the sum of the most products, 2^16 of 127 · 128, within i32.
  constexpr double kMost = 1 << 30;
  std::vector<double> values(scale_w.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double steps = bias.At(static_cast<int64_t>(i)) / Requantization(scale_x, scale_w[i], 1);
    values[i] = std::clamp(std::nearbyint(steps), -kMost, kMost);
  }
  return MakeTensor(ir::Int(32), bias.type.shape, values);
}

TensorRef SameScale(double scale, const std::vector<int64_t>& shape) {
  size_t along = shape.size() >= 3 ? 1 : shape.size() - 1;
  for (size_t d = shape.size(); d-- > 0 && (along >= shape.size() || shape[along] == 1);) along = d;
  if (along >= shape.size()) return MakeTensor(ir::Float(32), {}, {scale});
  std::vector<int64_t> repeated(shape.size() - along, 1);
  repeated[0] = shape[along];
  return MakeTensor(ir::Float(32), repeated,
                    std::vector<double>(static_cast<size_t>(shape[along]), scale));
}

}  // namespace tessera::graph
