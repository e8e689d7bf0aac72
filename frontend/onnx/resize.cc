#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

// Resizing goes one dimension after the other: sums of gathers at places that are known, with
// weights that are known.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

constexpr int64_t kMostPlaces = int64_t{1} << 20;

struct Kind {
  std::string mode, coordinates, nearest;
  double cubic = -0.75;
  bool excludes_outside = false;
};

// Where an element of the result lies among the operand's.
double Place(const Kind& kind, int64_t at, int64_t in, int64_t out, double scale) {
  const auto x = static_cast<double>(at), extent = static_cast<double>(in),
             result = static_cast<double>(out);
  if (kind.coordinates == "align_corners") {  // of the result's length before it is rounded
    return out == 1 ? 0 : x * (extent - 1) / (scale * extent - 1);
  }
  if (kind.coordinates == "asymmetric") return x / scale;
  if (kind.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / scale;
  if (kind.coordinates == "pytorch_half_pixel" && out == 1) return 0;
  const double middle = (x + 0.5) / scale - 0.5;
  if (kind.coordinates != "half_pixel_symmetric") return middle;
  return extent / 2 * (1 - result / (scale * extent)) + middle;
}

double Nearest(const Kind& kind, double place) {
  if (kind.nearest == "floor") return std::floor(place);
  if (kind.nearest == "ceil") return std::ceil(place);
  if (kind.nearest == "round_prefer_ceil") return std::floor(place + 0.5);
  return std::ceil(place - 0.5);
}

// The k-th of two or four taps around a place that is `rest` behind the second but last of two, or
// the second of four.
double Weight(const Kind& kind, int k, double rest) {
  if (kind.mode == "linear") return k == 0 ? 1 - rest : rest;
  // https://en.wikipedia.org/wiki/Bicubic_interpolation, convolution with coefficient a.
  const double a = kind.cubic, x = std::abs(rest - (k - 1));
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

Value ResizeAxis(Emitter& emit, const Value& x, size_t axis, int64_t out, double scale,
                 const Kind& kind) {
  const int64_t in = emit.Extent(x, axis);
  const int taps = kind.mode == "nearest" ? 1 : kind.mode == "linear" ? 2 : 4;
  std::vector<Shape> places(taps, Shape(static_cast<size_t>(out)));
  std::vector<std::vector<double>> weights(taps, std::vector<double>(static_cast<size_t>(out), 1));
  for (int64_t i = 0; i < out; ++i) {
    const auto at = static_cast<size_t>(i);
    // Far beyond is the border as well.
    const double place =
        std::clamp(Place(kind, i, in, out, scale), -4.0, static_cast<double>(in) + 4);
    const double base = taps == 1 ? Nearest(kind, place) : std::floor(place);
    double total = 0;
    for (int k = 0; k < taps; ++k) {
      const auto tap = static_cast<int64_t>(base) + k - (taps == 4 ? 1 : 0);
      places[k][at] = std::clamp<int64_t>(tap, 0, in - 1);
      if (taps > 1) weights[k][at] = Weight(kind, k, place - base);
      if (kind.excludes_outside && tap != places[k][at]) weights[k][at] = 0;
      total += weights[k][at];
    }
    for (int k = 0; k < taps && kind.excludes_outside && total != 0; ++k) weights[k][at] /= total;
  }
  Shape along(emit.Rank(x) - axis, 1);
  along[0] = out;
  Value sum;
  for (int k = 0; k < taps && emit.ok(); ++k) {
    const Value at{-1, IntTensor(places[k], {out})};
    Value tap = emit.Add("gather", {x, at}, {{"axis", static_cast<int64_t>(axis)}});
    if (taps > 1) tap = emit.Add("mul", {tap, emit.Known(emit.Element(x), along, weights[k])});
    sum = sum.is_absent() ? tap : emit.Add("add", {sum, tap});
  }
  return sum;
}

Value ResizeAll(Call& call, Value x, const Kind& kind, const std::vector<double>& scales,
                const Shape& sizes) {
  Emitter& emit = call.emit;
  if (!call.ok()) return {};
  if (kind.mode != "nearest" && !emit.Element(x).is_float()) {
    call.Fail("interpolates integers, which is not supported; cast them before");
    return {};
  }
  for (size_t d = 0; d < emit.Rank(x); ++d) {
    const int64_t in = emit.Extent(x, d);
    const double scale =
        sizes.empty() ? scales[d] : static_cast<double>(sizes[d]) / static_cast<double>(in);
    const double result =
        sizes.empty() ? std::floor(scale * static_cast<double>(in)) : static_cast<double>(sizes[d]);
    if (!(scale > 0) || !(result >= 1) || result > kMostPlaces) {
      call.Fail(absl::StrCat("makes ", result, " of ", in, " elements of dimension ", d,
                             "; it can make 1 to 2^20"));
      return {};
    }
    const auto out = static_cast<int64_t>(result);
    if (out != in || scale != 1) x = ResizeAxis(emit, x, d, out, scale, kind);
    if (!call.ok()) return {};
  }
  return x;
}

// One of the words; an error else.
std::string OneOf(Call& call, const char* name, const char* otherwise,
                  const std::vector<std::string>& words) {
  const std::string word = call.Word(name, otherwise);
  if (std::ranges::count(words, word) == 0) {
    call.Fail(absl::StrCat(name, " is \"", word.substr(0, 40), "\", which is not supported"));
  }
  return word;
}

bool Fits(Call& call, size_t entries, size_t rank) {
  if (call.ok() && entries != rank) {
    call.Invalid(
        absl::StrCat("scales or sizes have ", entries, " entries for ", rank, " dimensions"));
  }
  return call.ok();
}

// What there was before Resize.
Values Upsample(Call& call) {
  const Value x = call.In(0);
  const Kind kind{OneOf(call, "mode", "nearest", {"nearest", "linear"}), "asymmetric", "floor"};
  const std::vector<double> scales =
      call.opset < 9 ? call.Floats("scales") : call.KnownNumbers(1, "scales");
  if (!Fits(call, scales.size(), call.emit.Rank(x))) return {};
  return {ResizeAll(call, x, kind, scales, {})};
}

// Entries of some axes, with those of others as they are.
template <typename T>
std::vector<T> Spread(const std::vector<T>& entries, const std::vector<size_t>& axes,
                      std::vector<T> all) {
  for (size_t i = 0; i < axes.size() && i < entries.size(); ++i) all[axes[i]] = entries[i];
  return all;
}

Values Resize(Call& call) {
  const Value x = call.In(0);
  const size_t rank = call.emit.Rank(x);
  if (call.opset < 11) {
    const Kind kind{OneOf(call, "mode", "nearest", {"nearest", "linear"}), "asymmetric", "floor"};
    const std::vector<double> scales = call.KnownNumbers(1, "scales");
    if (!Fits(call, scales.size(), rank)) return {};
    return {ResizeAll(call, x, kind, scales, {})};
  }
  Kind kind{OneOf(call, "mode", "nearest", {"nearest", "linear", "cubic"}),
            OneOf(call, "coordinate_transformation_mode", "half_pixel",
                  {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                   "asymmetric", "tf_half_pixel_for_nn"}),
            OneOf(call, "nearest_mode", "round_prefer_floor",
                  {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}),
            call.Float("cubic_coeff_a", -0.75), call.Int("exclude_outside", 0) != 0};
  call.Ignore({"extrapolation_value"});  // of tf_crop_and_resize
  const bool smooths = call.Int("antialias", 0) != 0;
  const std::string policy = call.Word("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" || (smooths && kind.mode != "nearest")) {
    return call.Fail("antialias and keep_aspect_ratio_policy are not supported; export without");
  }
  std::vector<size_t> axes;
  for (const int64_t axis : call.Ints("axes")) axes.push_back(call.Axis(axis, rank));
  for (size_t d = 0; d < rank && !call.HasAttribute("axes"); ++d) axes.push_back(d);
  Shape sizes;
  std::vector<double> scales;
  if (call.Has(3)) {
    sizes = call.KnownInts(3, "sizes");
  } else if (call.Has(2)) {
    scales = call.KnownNumbers(2, "scales");
  } else {
    return call.Invalid("has neither scales nor sizes");
  }
  if (!Fits(call, std::max(sizes.size(), scales.size()), axes.size())) return {};
  if (!sizes.empty()) {
    sizes = Spread(sizes, axes, call.emit.Shape(x));
  } else {
    scales = Spread(scales, axes, std::vector<double>(rank, 1.0));
  }
  return {ResizeAll(call, x, kind, scales, sizes)};
}

}  // namespace

std::vector<Row> ResizeRows() { return {{"Resize", Resize}, {"Upsample", Upsample}}; }

}  // namespace tessera::frontend
