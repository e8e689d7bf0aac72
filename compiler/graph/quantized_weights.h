#pragma once

#include <cstdint>
#include <vector>

#include "compiler/graph/graph.h"

// The constants of quantised products (quantize.h). Scales are numbers of f32.

namespace tessera::graph {

bool IsProduct(const Node& node);
// How many products each sum of a product has.
int64_t TermsOf(const Graph& graph, const Node& product);

// The output channels of a product: dimensions [first, first + dimensions) of its weights.
struct Channels {
  size_t first = 0, dimensions = 0;  // none: weights have one scale
  int64_t count = 1;
  std::vector<int64_t> shape_of_scales;  // broadcasts to the result
};
Channels ChannelsOf(const Graph& graph, const Node& product);

// The scale by which magnitudes up to `largest` are i8; of zeros alone any.
double ScaleOf(double largest);
double UnsignedScaleOf(double largest);  // u8
double LargestOf(const Tensor& tensor);
// scale_x · scale_w / scale, each step in f32.
double Requantization(double scale_x, double scale_w, double scale);

struct QuantizedWeights {
  TensorRef tensor;            // of i8, from -127 to 127
  std::vector<double> scales;  // by channel
};
// No channel's scale is below that of `least`.
QuantizedWeights QuantizeWeights(const Tensor& weights, const Channels& channels,
                                 const std::vector<double>& least);

// By channel, the least scale of weights with which FitsBias; without a bias, with which the
// product of both scales is a normal number of f32.
std::vector<double> LeastScales(const Tensor* bias, double scale_x, const Channels& channels);
// Whether each |bias| is at most 2^30 steps of scale_x · scale_w, a normal number of f32: so that
// i32 holds it with the sum of the most products, 2^16 of 127 · 128.
bool FitsBias(const Tensor& bias, double scale_x, const std::vector<double>& scale_w);
// Of i32, one a channel. Requires FitsBias.
TensorRef QuantizeBias(const Tensor& bias, double scale_x, const std::vector<double>& scale_w);

// A scale that broadcasts to a tensor of that shape: repeated along one of its dimensions, where it
// has one of more than one element. Numbers that stand alone would be a part of the kernel that
// reads them, and each layer have a kernel of its own.
TensorRef SameScale(double scale, const std::vector<int64_t>& shape);

}  // namespace tessera::graph
