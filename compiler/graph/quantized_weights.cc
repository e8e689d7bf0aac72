#include "compiler/graph/quantized_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/status.h"

namespace tessera::graph {
namespace {

constexpr double kMostSteps = 1 << 30;  // of a bias
constexpr double kLeastNormal = std::numeric_limits<float>::min();

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

namespace {

double ScaleOfSteps(double largest, double steps) {
  // Scales that are no normal numbers of f32 have no reciprocal.
  return Rounded(std::max(largest == 0 ? 1.0 : largest, 1e-30) / steps);
}

}  // namespace

double ScaleOf(double largest) { return ScaleOfSteps(largest, 127); }
double UnsignedScaleOf(double largest) { return ScaleOfSteps(largest, 255); }

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

QuantizedWeights QuantizeWeights(const Tensor& weights, const Channels& channels,
                                 const std::vector<double>& least) {
  const std::vector<size_t> channel = ChannelByElement(weights.type.shape, channels);
  std::vector<double> largest(static_cast<size_t>(channels.count), 0);
  std::vector<double> values(channel.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = weights.At(static_cast<int64_t>(i));
    largest[channel[i]] = std::max(largest[channel[i]], std::abs(values[i]));
  }
  QuantizedWeights made;
  if (channels.dimensions == 0) {
    made.scales.assign(largest.size(),
                       std::max(ScaleOf(largest[0]), *std::ranges::max_element(least)));
  } else {
    for (size_t i = 0; i < largest.size(); ++i) {
      made.scales.push_back(std::max(ScaleOf(largest[i]), least[i]));
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const double steps = std::nearbyint(values[i] / made.scales[channel[i]]);
    values[i] = std::clamp(steps, -127.0, 127.0);
  }
  made.tensor = MakeTensor(ir::Int(8), weights.type.shape, values);
  return made;
}

std::vector<double> LeastScales(const Tensor* bias, double scale_x, const Channels& channels) {
  // More than scales and their product lose when they are rounded.
  constexpr double kRounding = 1 + 1e-6;
  std::vector<double> least(static_cast<size_t>(channels.count));
  for (size_t i = 0; i < least.size(); ++i) {
    const double most = bias == nullptr ? 0 : std::abs(bias->At(static_cast<int64_t>(i)));
    const double product = std::max(most / kMostSteps, kLeastNormal) * kRounding;
    least[i] = Rounded(std::min(product / scale_x, double{std::numeric_limits<float>::max()}));
  }
  return least;
}

bool FitsBias(const Tensor& bias, double scale_x, const std::vector<double>& scale_w) {
  for (size_t i = 0; i < scale_w.size(); ++i) {
    const double product = Requantization(scale_x, scale_w[i], 1);
    if (product < kLeastNormal) return false;
    if (std::abs(bias.At(static_cast<int64_t>(i))) > kMostSteps * product) return false;
  }
  return true;
}

TensorRef QuantizeBias(const Tensor& bias, double scale_x, const std::vector<double>& scale_w) {
  TESSERA_CHECK(FitsBias(bias, scale_x, scale_w));
  std::vector<double> values(scale_w.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double steps = bias.At(static_cast<int64_t>(i)) / Requantization(scale_x, scale_w[i], 1);
    values[i] = std::nearbyint(steps);
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
