#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/graph/adjoint_rules.h"

// Convolutions and pools. With positions i of the data, o of the result and k of the kernel,
// i = o · stride + k · dilation - before: each of the three is a sum over the other two, which is a
// convolution again.

namespace tessera::graph {
namespace {

using Shape = std::vector<int64_t>;

// Spatial extents and how they belong together.
struct Geometry {
  Shape data, result, kernel, strides, dilations, before, behind;

  size_t rank() const { return data.size(); }
  int64_t span(size_t d) const { return dilations[d] * (kernel[d] - 1); }
  // Of the padded data no window reaches so many elements behind.
  int64_t unread(size_t d) const {
    return data[d] + before[d] + behind[d] - (strides[d] * (result[d] - 1) + span(d) + 1);
  }
};

Shape ListOr(const Site& at, std::string_view name, size_t rank, int64_t otherwise) {
  if (!at.node.attributes.contains(name)) return Shape(rank, otherwise);
  const Shape& list = at.Ints(name);
  return list.empty() ? Shape(rank, otherwise) : list;
}

Geometry GeometryOf(const Site& at, const Shape& kernel) {
  const size_t rank = kernel.size();
  const auto last = [&](const Shape& shape) {
    return Shape(shape.end() - static_cast<int64_t>(rank), shape.end());
  };
  return {last(at.shape(0)),
          last(at.node.type.shape),
          kernel,
          ListOr(at, "strides", rank, 1),
          ListOr(at, "dilations", rank, 1),
          ListOr(at, "before", rank, 0),
          ListOr(at, "behind", rank, 0)};
}

Shape Spatial(const Shape& shape, size_t first) {
  return {shape.begin() + static_cast<int64_t>(first), shape.end()};
}

bool AreAll(const Shape& list, int64_t value) {
  return std::ranges::all_of(list, [&](int64_t entry) { return entry == value; });
}

// Dimensions in another order, the spatial ones behind as they are.
int Ordered(Steps& s, int x, Shape leading) {
  if (x == Steps::kNone) return x;
  for (size_t d = leading.size(); d < s.shape(x).size(); ++d) {
    leading.push_back(static_cast<int64_t>(d));
  }
  return s.Transpose(x, leading);
}

int Flipped(Steps& s, int w, size_t first) {
  if (w == Steps::kNone) return w;
  const Shape& shape = s.shape(w);
  Shape starts(shape.size(), 0), steps(shape.size(), 1);
  for (size_t d = first; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    starts[d] = shape[d] - 1;
    steps[d] = -1;
  }
  return s.Slice(w, starts, steps, shape);
}

// Cuts off the data's end where `behind` is below 0, its front where `before` is, and makes these
// 0. False where nothing is left.
bool Crop(Steps& s, int& x, size_t first, Shape& before, Shape& behind) {
  for (size_t d = 0; d < before.size(); ++d) {
    const int64_t front = std::max<int64_t>(-before[d], 0), end = std::max<int64_t>(-behind[d], 0);
    const int64_t left = s.shape(x)[first + d] - front - end;
    if (left < 1) return false;
    x = s.SliceOf(x, first + d, front, left);
    if (x == Steps::kNone) return false;
    before[d] = std::max<int64_t>(before[d], 0);
    behind[d] = std::max<int64_t>(behind[d], 0);
  }
  return true;
}

// The data's share: results, spread by the strides, under the flipped kernel, whose channels have
// changed places already.
int DataShare(const Site& at, std::string_view op, int by, int w, size_t first, const Geometry& g,
              Attributes attributes) {
  Steps& s = at.steps;
  if (by == Steps::kNone) return by;
  Shape before, behind;
  for (size_t d = 0; d < g.rank(); ++d) {
    by = s.Spread(by, first + d, g.strides[d]);
    before.push_back(g.span(d) - g.before[d]);
    behind.push_back(g.data[d] + g.before[d] - (g.strides[d] * (g.result[d] - 1) + 1));
  }
  if (by == Steps::kNone || !Crop(s, by, first, before, behind)) return Steps::kNone;
  attributes.insert({{"dilations", g.dilations}, {"before", before}, {"behind", behind}});
  return s.Add(op, {by, Flipped(s, w, s.shape(w).size() - g.rank())}, std::move(attributes));
}

// The kernel's share: results slide over the data, of which both have the batch for channels.
// `x` and `by` come with these exchanged.
int KernelShare(Steps& s, int x, int by, size_t first, const Geometry& g, bool grouped) {
  if (x == Steps::kNone || by == Steps::kNone) return Steps::kNone;
  Shape before = g.before, behind = g.behind;
  for (size_t d = 0; d < g.rank(); ++d) behind[d] -= g.unread(d);
  if (!Crop(s, x, first, before, behind)) return Steps::kNone;
  return s.Add("conv", {x, by},
               {{"strides", g.dilations},
                {"dilations", g.strides},
                {"before", before},
                {"behind", behind},
                {"grouped", int64_t{grouped ? 1 : 0}}});
}

// Of a kernel of one element each pair of channels has one sum, over the batch and all places.
int PointShare(Steps& s, int x, int by, const Geometry& g) {
  for (size_t d = 0; d < g.rank(); ++d) x = s.SliceOf(x, 2 + d, 0, g.result[d], g.strides[d]);
  const auto flat = [&](int node) {
    const int64_t channels = s.shape(node)[1], count = s.type(node).ElementCount();
    const bool is_one = s.shape(node)[0] == 1;
    return s.Reshape(is_one ? node : Ordered(s, node, {1, 0}), {channels, count / channels});
  };
  if (x == Steps::kNone) return x;
  return s.Add("matmul", {flat(by), flat(x)}, {{"transpose_b", int64_t{1}}});
}

int Bias(const Site& at, size_t first) {
  Shape axes{0};
  for (size_t d = first; d < at.node.type.shape.size(); ++d) {
    axes.push_back(static_cast<int64_t>(d));
  }
  return at.steps.Add("reduce_sum", {at.cotangent}, {{"axes", axes}, {"keep", int64_t{0}}});
}

// Channels by channels: [oc, c, …] of data [n, c, …] and results [n, oc, …].
int WeightShare(const Site& at, int x, int by, const Geometry& g) {
  Steps& s = at.steps;
  if (AreAll(g.kernel, 1) && AreAll(g.before, 0) && AreAll(g.behind, 0)) {
    return s.Reshape(PointShare(s, x, by, g), at.shape(1));
  }
  const int sums =
      KernelShare(s, Ordered(s, x, {1, 0}), Ordered(s, by, {1, 0}), 2, g, /*grouped=*/false);
  return Ordered(s, sums, {1, 0});
}

int Conv(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const bool grouped = at.Int("grouped") != 0;
  const size_t first = grouped ? 3 : 2;
  const int x = at.operand(0), w = at.operand(1), by = at.cotangent;
  const Geometry g = GeometryOf(at, Spatial(at.shape(1), first));
  if (operand == 2) return Bias(at, first);
  if (operand == 1) {
    if (!grouped) return WeightShare(at, x, by, g);
    // [n, g, c, …] with the batch for channels.
    const int sums =
        KernelShare(s, Ordered(s, x, {2, 1, 0}), Ordered(s, by, {1, 2, 0}), first, g, true);
    return Ordered(s, sums, {1, 2, 0});
  }
  bool is_strided = !grouped && !AreAll(g.strides, 1) && AreAll(g.dilations, 1);
  for (size_t d = 0; d < g.rank(); ++d) is_strided = is_strided && g.before[d] < g.kernel[d];
  if (!is_strided) {
    const int exchanged = grouped ? Ordered(s, w, {0, 2, 1}) : Ordered(s, w, {1, 0});
    return DataShare(at, "conv", by, exchanged, first, g, {{"grouped", int64_t{grouped ? 1 : 0}}});
  }
  // Without the zeros in between.
  Shape behind, extra;
  for (size_t d = 0; d < g.rank(); ++d) {
    const int64_t missing = g.unread(d) - g.behind[d];
    behind.push_back(std::max<int64_t>(-missing, 0));
    extra.push_back(std::max<int64_t>(missing, 0));
  }
  return s.Add(
      "conv_transpose", {by, w},
      {{"strides", g.strides}, {"before", g.before}, {"behind", behind}, {"extra", extra}});
}

int Depthwise(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const Geometry g = GeometryOf(at, Spatial(at.shape(1), 1));
  if (operand == 2) return Bias(at, 2);
  if (operand == 0) {
    return DataShare(at, "depthwise_conv", at.cotangent, at.operand(1), 2, g, {});
  }
  // Each channel is a group of one: [1, c, n, …] and [c, 1, n, …].
  const auto apart = [&](int node, size_t position) {
    const int exchanged = Ordered(s, node, {1, 0});
    if (exchanged == Steps::kNone) return exchanged;
    Shape shape = s.shape(exchanged);
    shape.insert(shape.begin() + static_cast<int64_t>(position), 1);
    return s.Reshape(exchanged, shape);
  };
  const int sums =
      KernelShare(s, apart(at.operand(0), 0), apart(at.cotangent, 1), 3, g, /*grouped=*/true);
  return s.Reshape(sums, at.shape(1));
}

// The data's positions are the result's of a convolution.
int ConvTranspose(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int by = at.cotangent;
  Geometry g = GeometryOf(at, Spatial(at.shape(1), 2));
  if (operand == 2) return Bias(at, 2);
  if (operand == 0) {
    return s.Add("conv", {by, at.operand(1)},
                 {{"strides", g.strides}, {"before", g.before}, {"behind", g.behind}});
  }
  std::swap(g.data, g.result);
  return WeightShare(at, by, at.operand(0), g);
}

int MaxPool(const Site& at, size_t) {
  Steps& s = at.steps;
  Attributes attributes = at.node.attributes;
  const int taken = s.Add("max_pool_at", {at.operand(0)}, attributes);
  attributes["shape"] = at.shape(0);
  return s.Add("max_unpool", {at.cotangent, taken}, std::move(attributes));
}

// By how many elements each window's sum is divided, in a shape that broadcasts to the result.
int Counts(const Site& at, const Geometry& g) {
  const bool counts_padding = at.Int("count_padding") != 0;
  std::vector<double> counts{1};
  Shape shape{1, 1};
  bool is_one = true;
  for (size_t d = 0; d < g.rank(); ++d) {
    const int64_t low = counts_padding ? -g.before[d] : 0;
    const int64_t high = g.data[d] + (counts_padding ? g.behind[d] : 0);
    std::vector<double> next;
    for (const double count : counts) {
      for (int64_t o = 0; o < g.result[d]; ++o) {
        const int64_t start = o * g.strides[d] - g.before[d], step = g.dilations[d];
        const int64_t skipped = start < low ? (low - start + step - 1) / step : 0;
        const int64_t inside = std::min((high - 1 - start) / step + 1, g.kernel[d]) - skipped;
        next.push_back(count * static_cast<double>(inside));
      }
    }
    counts = std::move(next);
    shape.push_back(g.result[d]);
  }
  for (const double count : counts) is_one = is_one && count == counts[0];
  const ir::Type element = at.node.type.element;
  if (is_one) return at.steps.Constant(MakeTensor(element, {}, {counts[0]}));
  return at.steps.Constant(MakeTensor(element, shape, counts));
}

int AveragePool(const Site& at, size_t) {
  Steps& s = at.steps;
  const Geometry g = GeometryOf(at, at.Ints("kernel"));
  const int share = s.Over(at.cotangent, Counts(at, g));
  if (AreAll(g.result, 1) && g.kernel == g.data && AreAll(g.before, 0) && AreAll(g.dilations, 1)) {
    return s.Broadcast(share, at.shape(0));
  }
  const int one = s.Constant(MakeTensor(at.node.type.element, {}, {1}));
  Shape weights{at.shape(0)[1]};
  weights.insert(weights.end(), g.kernel.begin(), g.kernel.end());
  return DataShare(at, "depthwise_conv", share, s.Broadcast(one, weights), 2, g, {});
}

}  // namespace

std::vector<AdjointRow> WindowAdjoints() {
  return {{"conv", Conv},        {"depthwise_conv", Depthwise}, {"conv_transpose", ConvTranspose},
          {"max_pool", MaxPool}, {"max_pool_at", nullptr},      {"avg_pool", AveragePool}};
}

}  // namespace tessera::graph
