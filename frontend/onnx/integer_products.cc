#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "compiler/graph/operators.h"
#include "compiler/te/saturating.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

// Products of quantised tensors, whose integers q stand for (q - zero) · scale. Sums are of 32
// bits.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// Of sums of products of 255 · 128 each, and of the bias: so that i32 holds both together.
constexpr int64_t kMostTerms = 1 << 15, kLargestBias = 1 << 30;
constexpr double kSameScale = 1e-5;  // as products of scales are rounded

// Both as integers of 16 bits without zero points.
void Centre(Emitter& emit, Value& a, const Value& zero_a, Value& b, const Value& zero_b) {
  const auto centred = [&](const Value& x, const Value& zero) {
    const Value wide = emit.Cast(x, ir::Int(16));
    return zero.is_absent() ? wide : emit.Add("sub", {wide, emit.Cast(zero, ir::Int(16))});
  };
  a = centred(a, zero_a);
  b = centred(b, zero_b);
}

// Whether bytes of x can be multiplied by those of w as they are, if what x's zero point adds is
// taken off again.
bool TakesBytes(const Emitter& emit, const Value& x, const Value& zero_x, const Value& w,
                const Value& zero_w) {
  return graph::IsByte(emit.Element(x)) && graph::IsByte(emit.Element(w)) &&
         OneZero(zero_x).has_value() && OneZero(zero_w) == 0;
}

// `bias` less zero · Σ w, the sums along these axes, in a shape of one dimension.
Value Corrected(Emitter& emit, const Value& bias, int64_t zero, const Value& w, const Shape& axes) {
  if (zero == 0) return bias;
  const Value sums =
      emit.Add("reduce_sum", {emit.Cast(w, ir::Int(32))}, {{"axes", axes}, {"keep", int64_t{0}}});
  const Value off = emit.Add("mul", {sums, emit.Number(static_cast<double>(-zero), sums)});
  return bias.is_absent() ? off : emit.Add("add", {bias, off});
}

// What windows are padded by, of all dimensions; they aren't any more.
Shape TakePads(graph::Attributes& windows, const char* name) {
  Shape& given = std::get<Shape>(windows.at(name));
  Shape pads(2 + given.size(), 0);
  std::ranges::copy(given, pads.begin() + 2);
  std::ranges::fill(given, 0);
  return pads;
}

// One scale, or one an entry of the axis, as numbers of that dimension.
bool IsAlong(const Emitter& emit, const Value& scale, const Value& x, size_t axis) {
  if (emit.Element(scale) != ir::Float(32)) return false;
  return emit.Type(scale).ElementCount() == 1 ||
         (emit.Rank(scale) == emit.Rank(x) - axis && emit.Extent(scale, 0) == emit.Extent(x, axis));
}

bool IsOne(const Emitter& emit, const Value& scale) {
  return emit.Element(scale) == ir::Float(32) && emit.Type(scale).ElementCount() == 1;
}

// Whether sums of so many products of these bytes are within 2^30.
bool FitsSums(const Emitter& emit, const Value& w, int64_t terms) {
  return terms <= (emit.Element(w) == ir::Int(8) ? kMostTerms : kMostTerms / 2);
}

// A bias that is known integers of that scale, none too large: they, else absent.
Value IntegersOf(const Emitter& emit, const Value& bias, const Value& scale) {
  if (bias.integers == nullptr || scale.known == nullptr) return {};
  const Integers& given = *bias.integers;
  if (emit.Element(given.q) != ir::Int(32) || OneZero(given.zero) != 0 ||
      given.scale.known == nullptr || given.q.known == nullptr ||
      std::ranges::any_of(IntsOf(*given.q.known),
                          [](int64_t steps) { return std::abs(steps) > kLargestBias; })) {
    return {};
  }
  const graph::Tensor &wanted = *scale.known, &has = *given.scale.known;
  const int64_t count = wanted.type.ElementCount();
  const bool is_one = has.type.ElementCount() == 1;
  if (has.type.ElementCount() != count && !is_one) return {};
  for (int64_t i = 0; i < count; ++i) {
    const double off = has.At(is_one ? 0 : i) - wanted.At(i);
    if (std::abs(off) > kSameScale * std::abs(wanted.At(i))) return {};
  }
  return given.q;
}

// Sums as numbers, which remember what they are of. `bias`, of numbers, may be absent.
Value NumbersOfSums(Emitter& emit, const Value& sums, const Value& scale, const Value& bias) {
  Value numbers = emit.Add("mul", {emit.Cast(sums, ir::Float(32)), scale});
  if (!emit.ok()) return {};
  if (!bias.is_absent()) return emit.Add("add", {numbers, bias});
  numbers.integers = std::make_shared<Integers>(sums, scale, Value{});
  return numbers;
}

}  // namespace

std::optional<int64_t> OneZero(const Value& zero) {
  if (zero.is_absent()) return 0;
  if (zero.known == nullptr || !zero.known->type.element.is_integer()) return std::nullopt;
  const std::vector<int64_t> values = IntsOf(*zero.known);
  if (std::ranges::adjacent_find(values, std::not_equal_to()) != values.end()) return std::nullopt;
  return values.empty() ? 0 : values[0];
}

Value IntegerConvolution(Emitter& emit, Value x, const Value& zero_x, Value w, const Value& zero_w,
                         const Value& bias, int64_t groups, graph::Attributes windows) {
  if (!emit.ok()) return {};
  if (!TakesBytes(emit, x, zero_x, w, zero_w)) {
    Centre(emit, x, zero_x, w, zero_w);
    return Convolution(emit, x, w, bias, groups, windows);
  }
  const int64_t zero = *OneZero(zero_x);
  if (zero == 0) return Convolution(emit, x, w, bias, groups, windows);
  // Padding stands for 0, too.
  const Shape before = TakePads(windows, "before"), behind = TakePads(windows, "behind");
  const Shape none(before.size(), 0);
  if (before != none || behind != none) {
    x = emit.Add("pad", {x},
                 {{"before", before}, {"behind", behind}, {"value", static_cast<double>(zero)}});
  }
  Shape axes(emit.Rank(w) - 1);
  std::iota(axes.begin(), axes.end(), 1);
  return Convolution(emit, x, w, Corrected(emit, bias, zero, w, axes), groups, windows);
}

Value IntegerProduct(Emitter& emit, Value a, const Value& zero_a, Value b, const Value& zero_b,
                     const Value& bias) {
  if (!emit.ok()) return {};
  const bool takes_zero = emit.Rank(b) == 2 || OneZero(zero_a) == 0;
  if (!TakesBytes(emit, a, zero_a, b, zero_b) || !takes_zero) {
    Centre(emit, a, zero_a, b, zero_b);
    const Value sums = emit.Add("matmul", {a, b});
    return bias.is_absent() ? sums : emit.Add("add", {sums, bias});
  }
  const Value added = Corrected(emit, bias, *OneZero(zero_a), b, {0});
  Values operands{a, b};
  if (!added.is_absent()) operands.push_back(added);
  return emit.Add("matmul", operands);
}

Value QuantizedConvolution(Emitter& emit, const Value& x, const Value& w, const Value& bias,
                           int64_t groups, const graph::Attributes& windows) {
  if (!emit.ok() || x.integers == nullptr || w.integers == nullptr) return {};
  const Integers &of_x = *x.integers, &of_w = *w.integers;
  const Shape weights = emit.Shape(w);
  if (!TakesBytes(emit, of_x.q, of_x.zero, of_w.q, of_w.zero) || !IsOne(emit, of_x.scale) ||
      !IsAlong(emit, of_w.scale, w, 0) ||
      !FitsSums(emit, of_w.q, te::SaturatingProduct(weights) / weights[0])) {
    return {};
  }
  // Of the channels, for results of the same rank.
  const bool is_one = IsOne(emit, of_w.scale);
  const Value channels = is_one ? of_w.scale : emit.Reshape(of_w.scale, {weights[0]});
  const Value scales = emit.Add("mul", {channels, emit.Reshape(of_x.scale, {})});
  const Value steps = bias.is_absent() ? Value{} : IntegersOf(emit, bias, scales);
  Shape along(weights.size() - 1, 1);
  along[0] = weights[0];
  const Value sums =
      IntegerConvolution(emit, of_x.q, of_x.zero, of_w.q, of_w.zero, steps, groups, windows);
  const bool adds = !bias.is_absent() && steps.is_absent();
  return NumbersOfSums(emit, sums, is_one ? scales : emit.Reshape(scales, along),
                       adds ? emit.Reshape(bias, along) : Value{});
}

Value QuantizedProduct(Emitter& emit, const Value& a, const Value& b, const Value& bias) {
  if (!emit.ok() || a.integers == nullptr || b.integers == nullptr) return {};
  const Integers &of_a = *a.integers, &of_b = *b.integers;
  if (!TakesBytes(emit, of_a.q, of_a.zero, of_b.q, of_b.zero) || !IsOne(emit, of_a.scale) ||
      !IsAlong(emit, of_b.scale, b, emit.Rank(b) - 1) || emit.Rank(a) < 2 || emit.Rank(b) < 2 ||
      !FitsSums(emit, of_b.q, emit.Shape(a).back())) {
    return {};
  }
  const Value scales = emit.Add("mul", {of_b.scale, emit.Reshape(of_a.scale, {})});
  const Value steps = bias.is_absent() ? Value{} : IntegersOf(emit, bias, scales);
  const Value sums = IntegerProduct(emit, of_a.q, of_a.zero, of_b.q, of_b.zero, steps);
  return NumbersOfSums(emit, sums, scales, steps.is_absent() ? bias : Value{});
}

}  // namespace tessera::frontend
