#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"

// Post-training quantisation: products of f32 become products of i8 with sums of i32.
//
// A quantised value is q · scale with q of i8 (or u8) and zero for zero: what instructions for
// products take, and padding stays 0. Activations have one scale a tensor, weights one an output
// channel. Numbers are rounded to nearest, ties to even, by the formulas of ONNX's QLinear
// operators, as frontend/onnx has them:
//   quantise     i8(x / scale)            dequantise   f32(q) · scale
//   requantise   i8(f32(sums) · (scale_x · scale_w / scale_result))
// each operation in f32, i8() saturating.

namespace tessera::graph {

struct QuantizeOptions {
  // Whether products that have no other before or behind them are quantised, too.
  bool first = true, last = true;
  // Products that stay as they are, by name.
  std::set<std::string, std::less<>> keep;
  // Whether values that are never negative, as behind a relu, become u8: with twice the steps, and
  // as instructions of x86 take them. AArch64's take i8 alone.
  bool unsigned_bytes = false;
};

// What stands in a quantised graph for a node of the one it was made of.
struct QuantizedValue {
  int node = 0;      // of the float graph
  std::string name;  // in the quantised one
  double scale = 0;  // of i8 or u8; 0: it is of f32
};

struct Quantized {
  Graph graph;
  // Of the products that are quantised, in order: their results, or those of a relu or clip behind.
  std::vector<QuantizedValue> products;
  std::vector<std::string> floats;  // products that are not
};

// What samples have to tell: nodes, ascending.
struct WatchedNodes {
  std::vector<int> ranges;    // that Quantize goes by
  std::vector<int> products;  // as Quantized::products
};
// InvalidArgument for names in `keep` that are no products.
absl::StatusOr<WatchedNodes> NodesToWatch(const Graph& graph, const QuantizeOptions& options = {});

// `largest` is what Calibrate says of the graph. Inputs and outputs keep their names and types.
// Products (convolutions and matmul) are of i8 where their weights, and bias, are constants, or
// both operands computed; where at most 2^16 products are summed, so that i32 holds them with the
// bias; and where they aren't exempt. A channel whose bias is more than 2^30 of its steps gets a
// larger scale of weights, up to which it fits; where that can't be, as of two computed operands,
// the bias is added in f32 behind. Their results are i8 where other products take them, by way
// of what only compares or moves numbers (relu, clip, max_pool, reshape, …), which is computed in
// i8, or of sums, products and means, which read and write i8. All else stays f32. InvalidArgument
// where `largest` is of another graph, and for names in `keep` that are no products.
absl::StatusOr<Quantized> Quantize(const Graph& graph, absl::Span<const double> largest,
                                   const QuantizeOptions& options = {});

}  // namespace tessera::graph
