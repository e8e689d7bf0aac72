#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

constexpr int64_t kMost = int64_t{1} << 31;  // of what windows are described by

// A list of each spatial dimension; empty after an error.
Shape PerDimension(Call& call, const char* name, size_t rank, int64_t otherwise, int64_t least) {
  Shape list = call.Ints(name);
  if (list.empty()) list.assign(rank, otherwise);
  const bool fits = list.size() == rank && std::ranges::all_of(list, [&](int64_t value) {
                      return value >= least && value <= kMost;
                    });
  if (fits) return list;
  call.Fail(absl::StrCat(name, " has to have ", rank, " entries from ", least, " on"));
  return {};
}

// The windows' extents, which an attribute may repeat.
bool CheckKernel(Call& call, const Shape& kernel) {
  const Shape given = call.Ints("kernel_shape");
  if (!given.empty() && given != kernel) call.Invalid("kernel_shape is not that of the weights");
  return call.ok();
}

Values Conv(Call& call) {
  const Value x = call.In(0), w = call.In(1);
  const size_t rank = call.emit.Rank(x);
  if (!call.CheckRank(x, 3, 5) || !call.CheckRank(w, rank, rank)) {
    return {};
  }
  const Shape shape = call.emit.Shape(w);
  const Shape kernel(shape.begin() + 2, shape.end());
  const int64_t groups = call.Int("group", 1);
  const graph::Attributes windows = Windows(call, call.emit.Shape(x), kernel);
  if (!CheckKernel(call, kernel)) return {};
  const Value bias = call.Has(2) ? call.In(2) : Value{};
  const Value made = QuantizedConvolution(call.emit, x, w, bias, groups, windows);
  if (!call.ok() || !made.is_absent()) return {made};
  return {Convolution(call.emit, x, w, bias, groups, windows)};
}

// Weights with zeros between, so that their windows are dilated.
Value Dilated(Emitter& emit, Value w, const Shape& dilations) {
  for (size_t i = 0; i < dilations.size(); ++i) {
    const size_t d = 2 + i;
    if (dilations[i] == 1 || !emit.ok()) continue;
    const Shape shape = emit.Shape(w);
    Shape apart = shape, behind(shape.size() + 1, 0), joined = shape;
    apart.insert(apart.begin() + static_cast<int64_t>(d) + 1, 1);
    behind[d + 1] = dilations[i] - 1;
    joined[d] = shape[d] * dilations[i];
    const Value spread = emit.Add("pad", {emit.Reshape(w, apart)},
                                  {{"before", Shape(behind.size(), 0)}, {"behind", behind}});
    w = emit.Slice(emit.Reshape(spread, joined), d, 0, (shape[d] - 1) * dilations[i] + 1);
  }
  return w;
}

struct TransposedPads {
  Shape before, behind, extra;
};

// Of an explicit result's shape, or one of stride times x, padding is what is too much.
TransposedPads PadsOfTransposed(Call& call, const Shape& x, const Shape& kernel,
                                const Shape& strides) {
  const size_t rank = kernel.size();
  TransposedPads made{Shape(rank, 0), Shape(rank, 0), {}};
  made.extra = PerDimension(call, "output_padding", rank, 0, 0);
  const std::string automatic = call.Word("auto_pad", "NOTSET");
  const Shape result = call.Ints("output_shape"), pads = call.Ints("pads");
  if (!call.ok()) return made;
  const bool is_same = automatic.starts_with("SAME_");
  if (!result.empty() || is_same) {
    if (!result.empty() && result.size() < rank) {
      call.Invalid("output_shape has too few entries");
      return made;
    }
    for (size_t i = 0; i < rank; ++i) {
      const int64_t out = result.empty() ? x[2 + i] * strides[i] : result[result.size() - rank + i];
      if (out < 1 || out > kMost) {
        call.Invalid(absl::StrCat("output_shape has an extent of ", out));
        return made;
      }
      const int64_t total = strides[i] * (x[2 + i] - 1) + made.extra[i] + kernel[i] - out;
      made.extra[i] += std::max<int64_t>(-total, 0);
      const int64_t pad = std::max<int64_t>(total, 0);
      made.before[i] = automatic == "SAME_UPPER" ? pad / 2 : pad - pad / 2;
      made.behind[i] = pad - made.before[i];
    }
  } else if (!pads.empty()) {
    if (pads.size() != 2 * rank) {
      call.Invalid(absl::StrCat("pads has ", pads.size(), " entries; it needs ", 2 * rank));
      return made;
    }
    const auto middle = pads.begin() + static_cast<int64_t>(rank);
    made.before.assign(pads.begin(), middle);
    made.behind.assign(middle, pads.end());
  }
  return made;
}

// x [n, c, …] and w [c, oc / groups, …].
Values ConvTranspose(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  Value w = call.In(1);
  if (!call.CheckRank(x, 3, 5) || !call.CheckRank(w, emit.Rank(x), emit.Rank(x))) return {};
  const Shape from = emit.Shape(x), weights = emit.Shape(w);
  const Shape kernel(weights.begin() + 2, weights.end());
  const size_t rank = kernel.size();
  const Shape strides = PerDimension(call, "strides", rank, 1, 1),
              dilations = PerDimension(call, "dilations", rank, 1, 1);
  const int64_t groups = call.Int("group", 1);
  if (!CheckKernel(call, kernel)) return {};
  if (groups < 1 || groups > 1 << 12 || from[1] % groups != 0 || weights[0] != from[1]) {
    return call.Invalid(
        absl::StrCat("group is ", groups, " of ", from[1], " channels, weights of ", weights[0]));
  }
  w = Dilated(emit, w, dilations);
  const Shape wide = emit.Shape(w);
  if (!call.ok()) return {};
  const TransposedPads pads = PadsOfTransposed(call, from, {wide.begin() + 2, wide.end()}, strides);
  const graph::Attributes attributes{{"strides", strides},
                                     {"before", pads.before},
                                     {"behind", pads.behind},
                                     {"extra", pads.extra}};
  const int64_t channels = from[1] / groups, results = weights[1];
  Values parts;
  for (int64_t g = 0; g < groups && call.ok(); ++g) {
    Values operands{emit.Slice(x, 1, g * channels, channels),
                    emit.Slice(w, 0, g * channels, channels)};
    if (call.Has(2)) operands.push_back(emit.Slice(call.In(2), 0, g * results, results));
    parts.push_back(emit.Add("conv_transpose", operands, attributes));
  }
  return {emit.Concat(parts, 1)};
}

}  // namespace

graph::Attributes Windows(Call& call, const Shape& x, const Shape& kernel) {
  const size_t rank = kernel.size();
  const Shape strides = PerDimension(call, "strides", rank, 1, 1),
              dilations = PerDimension(call, "dilations", rank, 1, 1), pads = call.Ints("pads");
  const std::string automatic = call.Word("auto_pad", "NOTSET");
  const bool fits =
      std::ranges::all_of(kernel, [](int64_t extent) { return extent >= 1 && extent <= kMost; });
  if (!fits || x.size() != rank + 2) {
    call.Invalid(absl::StrCat("windows of ", rank, " dimensions do not fit an input of ", x.size(),
                              "; it has to have two more"));
  }
  if (!call.ok()) return {};
  Shape before(rank, 0), behind(rank, 0);
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (size_t i = 0; i < rank; ++i) {
      const int64_t out = (x[2 + i] + strides[i] - 1) / strides[i];
      const int64_t span = (kernel[i] - 1) * dilations[i] + 1;
      const int64_t total = std::max<int64_t>((out - 1) * strides[i] + span - x[2 + i], 0);
      before[i] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      behind[i] = total - before[i];
    }
  } else if (automatic == "NOTSET") {
    if (!pads.empty() && pads.size() != 2 * rank) {
      call.Invalid(absl::StrCat("pads has ", pads.size(), " entries; it needs ", 2 * rank));
      return {};
    }
    for (size_t i = 0; i < rank && !pads.empty(); ++i) {
      before[i] = pads[i];
      behind[i] = pads[i + rank];
    }
  } else if (automatic != "VALID") {
    call.Invalid(absl::StrCat("auto_pad is \"", automatic.substr(0, 40), "\""));
  }
  return {{"strides", strides}, {"dilations", dilations}, {"before", before}, {"behind", behind}};
}

Value Convolution(Emitter& emit, const Value& x, const Value& w, const Value& bias, int64_t groups,
                  const graph::Attributes& windows) {
  if (!emit.ok()) return {};
  const Shape from = emit.Shape(x), weights = emit.Shape(w);
  const int64_t channels = from[1], results = weights[0];
  if (groups < 1 || channels % groups != 0 || results % groups != 0 ||
      weights[1] != channels / groups) {
    emit.Fail(absl::InvalidArgumentError(absl::StrCat("group is ", groups, " of ", channels,
                                                      " channels; the weights have ", results,
                                                      " of ", weights[1])));
    return {};
  }
  Values operands{x, w};
  if (!bias.is_absent()) operands.push_back(bias);
  if (groups == 1) return emit.Add("conv", operands, windows);
  const Shape spatial(weights.begin() + 2, weights.end());
  if (groups == channels && results == channels) {
    Shape shape{channels};
    shape.insert(shape.end(), spatial.begin(), spatial.end());
    operands[1] = emit.Reshape(w, shape);
    return emit.Add("depthwise_conv", operands, windows);
  }
  Shape apart{from[0], groups, channels / groups},
      by_group{groups, results / groups, channels / groups};
  apart.insert(apart.end(), from.begin() + 2, from.end());
  by_group.insert(by_group.end(), spatial.begin(), spatial.end());
  operands[0] = emit.Reshape(x, apart);
  operands[1] = emit.Reshape(w, by_group);
  if (operands.size() > 2) operands[2] = emit.Reshape(bias, {groups, results / groups});
  graph::Attributes attributes = windows;
  attributes.emplace("grouped", int64_t{1});
  const Value made = emit.Add("conv", operands, attributes);
  if (!emit.ok()) return {};
  Shape shape{from[0], results};
  shape.insert(shape.end(), emit.Shape(made).begin() + 3, emit.Shape(made).end());
  return emit.Reshape(made, shape);
}

std::vector<Row> ConvolutionRows() { return {{"Conv", Conv}, {"ConvTranspose", ConvTranspose}}; }

}  // namespace tessera::frontend
