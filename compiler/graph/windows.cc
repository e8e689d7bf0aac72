#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/graph/families.h"
#include "compiler/te/epilogue.h"
#include "compiler/te/saturating.h"
#include "compiler/te/spatial.h"

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;

// Per spatial dimension; empty lists are all ones, or zeros of what pads.
struct WindowLists {
  std::vector<int64_t> kernel, strides, dilations, before, behind;
};

absl::StatusOr<std::vector<int64_t>> ListOf(const Call& call, std::string_view name, size_t rank,
                                            int64_t otherwise, int64_t least) {
  std::vector<int64_t> list = call.Ints(name);
  if (list.empty()) list.assign(rank, otherwise);
  const bool fits = std::ranges::all_of(
      list, [&](int64_t value) { return value >= least && value <= kMaxTensorBytes; });
  if (list.size() == rank && fits) return list;
  return absl::InvalidArgumentError(absl::StrCat(std::string(name), " are [",
                                                 absl::StrJoin(list, ","), "]; they need ", rank,
                                                 " entries of ", least, " at least"));
}

constexpr const char* kLetters[] = {"d", "h", "w"};

// Windows over the dimensions of `shape` from `first` on.
absl::StatusOr<std::vector<te::Window>> WindowsOf(const Call& call,
                                                  const std::vector<int64_t>& shape, size_t first,
                                                  const std::vector<int64_t>& kernel,
                                                  bool has_dilations, bool rounds_up = false) {
  const size_t rank = shape.size() - first;
  if (rank < 1 || rank > 3 || kernel.size() != rank) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", rank, " dimensions to slide over, and windows of ",
                     kernel.size(), "; both have to be the same, from 1 to 3"));
  }
  TESSERA_ASSIGN_OR_RETURN(const auto strides, ListOf(call, "strides", rank, 1, 1));
  TESSERA_ASSIGN_OR_RETURN(const auto before, ListOf(call, "before", rank, 0, 0));
  TESSERA_ASSIGN_OR_RETURN(const auto behind, ListOf(call, "behind", rank, 0, 0));
  std::vector<int64_t> dilations(rank, 1);
  if (has_dilations) {
    TESSERA_ASSIGN_OR_RETURN(dilations, ListOf(call, "dilations", rank, 1, 1));
  }
  std::vector<te::Window> windows;
  for (size_t i = 0; i < rank; ++i) {
    te::Window window{.name = kLetters[3 - rank + i],
                      .in = shape[first + i],
                      .kernel = kernel[i],
                      .stride = strides[i],
                      .pad = before[i],
                      .dilation = dilations[i]};
    const int64_t padded = window.in + before[i] + behind[i];
    const int64_t span = te::SaturatingMultiply(dilations[i], kernel[i] - 1) + 1;
    if (kernel[i] < 1 || kernel[i] > kMaxTensorBytes || padded < span) {
      return absl::InvalidArgumentError(absl::StrCat("a window of ", span, " slides over ", padded,
                                                     " elements, padding included"));
    }
    const int64_t steps = padded - span;
    window.out = (steps + (rounds_up ? window.stride - 1 : 0)) / window.stride + 1;
    // One more than fits must not begin behind the last element.
    if (rounds_up && (window.out - 1) * window.stride >= window.in + window.pad) --window.out;
    windows.push_back(std::move(window));
  }
  return windows;
}

std::vector<te::Dim> Leading(const std::vector<int64_t>& shape, size_t count) {
  static constexpr const char* kNames[] = {"n", "g", "c"};
  std::vector<te::Dim> dims;
  for (size_t d = 0; d < count; ++d) {
    dims.push_back({count == 2 && d == 1 ? "c" : kNames[d], shape[d]});
  }
  return dims;
}

Indices Taps(const std::vector<te::Window>& windows, Indices leading, const Indices& axes,
             size_t first, const Indices& reduce, size_t first_reduce) {
  for (size_t i = 0; i < windows.size(); ++i) {
    leading.push_back(te::Tap(windows[i], axes[first + i], reduce[first_reduce + i]));
  }
  return leading;
}

std::vector<int64_t> Spatial(const std::vector<int64_t>& shape, size_t first) {
  return {shape.begin() + static_cast<int64_t>(first), shape.end()};
}

// --- conv(x, w[, bias]). x [n, c, …] and w [oc, c, …]; with groups, a dimension of both:
// x [n, g, c, …] and w [g, oc, c, …].

absl::StatusOr<std::vector<te::Window>> ConvWindows(const Call& call) {
  const bool grouped = call.Int("grouped") != 0;
  const size_t channel = grouped ? 2 : 1;
  const TensorType &x = call.operands[0], &w = call.operands[1];
  if (x.shape.size() < channel + 2 || w.shape.size() != x.shape.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("x has ", x.shape.size(), " dimensions and w ", w.shape.size()));
  }
  return WindowsOf(call, x.shape, channel + 1, Spatial(w.shape, channel + 1), true);
}

absl::Status CheckBias(const Call& call, ir::Type element, std::vector<int64_t> shape) {
  if (call.operands.size() < 3) return absl::OkStatus();
  const TensorType wanted{element, std::move(shape), {}};
  if (call.operands[2] == wanted) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the bias is ", ToString(call.operands[2]),
                                                 "; it has to be ", ToString(wanted)));
}

ir::Type SumType(ir::Type element) { return element.is_float() ? element : ir::Int(32); }

absl::StatusOr<TensorType> InferConv(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<te::Window> windows, ConvWindows(call));
  const size_t channel = call.Int("grouped") != 0 ? 2 : 1;
  const TensorType &x = call.operands[0], &w = call.operands[1];
  if (!CanBeMultiplied(x.element, w.element) || x.shape[channel] != w.shape[channel] ||
      (channel == 2 && x.shape[1] != w.shape[0])) {
    return absl::InvalidArgumentError("x and w differ in their type, channels or groups");
  }
  TensorType result{SumType(x.element), {x.shape[0]}, {}};
  if (channel == 2) result.shape.push_back(x.shape[1]);
  result.shape.push_back(w.shape[channel - 1]);
  TESSERA_RETURN_IF_ERROR(
      CheckBias(call, result.element, {result.shape.begin() + 1, result.shape.end()}));
  for (const te::Window& window : windows) result.shape.push_back(window.out);
  return result;
}

// Adds the bias over dimensions [1, 1 + count) and narrows, where there is something to do.
ir::Buffer Finish(te::DagBuilder& builder, absl::Span<const Operand> operands, ir::Buffer sum,
                  const std::vector<te::Dim>& dims, int64_t count, const TensorType& result,
                  const std::string& name) {
  const ir::Type wide = sum->type;
  const bool has_bias = operands.size() > 2;
  if (!has_bias && wide == result.element) return sum;
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    ir::Expr value = ir::MakeLoad(sum, axes);
    if (has_bias) {
      value = value + As(wide, operands[2].At(Indices(axes.begin() + 1, axes.begin() + 1 + count)));
    }
    return As(result.element, value);
  });
}

// Whether something comes after the sum.
bool IsSum(absl::Span<const Operand> operands, ir::Type wide, const TensorType& result) {
  return operands.size() < 3 && wide == result.element;
}

ir::Buffer DefineConv(te::DagBuilder& builder, const Call& call, absl::Span<const Operand> operands,
                      const TensorType& result, const std::string& name) {
  const std::vector<te::Window> windows = *ConvWindows(call);
  const size_t channel = call.Int("grouped") != 0 ? 2 : 1;
  const TensorType& x = call.operands[0];
  const ir::Type wide = te::AccumulatorType(x.element);
  const ir::Buffer padded =
      te::PadStage(builder, operands[0].buffer(), Leading(x.shape, channel + 1), windows,
                   ir::Zero(x.element), name + "_pad");
  std::vector<te::Dim> out = Leading(result.shape, channel + 1);
  out[channel].name = "oc";
  out = te::OutputDims(out, windows);
  const ir::Buffer sum = builder.Reduce(
      IsSum(operands, wide, result) ? name : name + "_sum", wide, out,
      te::KernelDims({{"ic", x.shape[channel]}}, windows), te::Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) {
        Indices from(axes.begin(), axes.begin() + static_cast<int64_t>(channel));
        from.push_back(reduce[0]);
        from = Taps(windows, std::move(from), axes, channel + 1, reduce, 1);
        Indices weight(axes.begin() + 1, axes.begin() + static_cast<int64_t>(channel) + 1);
        weight.insert(weight.end(), reduce.begin(), reduce.end());
        return As(wide, ir::MakeLoad(padded, from)) * As(wide, operands[1].At(weight));
      });
  return Finish(builder, operands, sum, out, static_cast<int64_t>(channel), result, name);
}

// --- depthwise_conv(x, w[, bias]): x [n, c, …], w [c, …]

absl::StatusOr<std::vector<te::Window>> DepthwiseWindows(const Call& call) {
  const TensorType &x = call.operands[0], &w = call.operands[1];
  if (x.shape.size() < 3 || w.shape.size() + 1 != x.shape.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("x has ", x.shape.size(), " dimensions and w ", w.shape.size()));
  }
  return WindowsOf(call, x.shape, 2, Spatial(w.shape, 1), true);
}
absl::StatusOr<TensorType> InferDepthwise(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<te::Window> windows, DepthwiseWindows(call));
  const TensorType &x = call.operands[0], &w = call.operands[1];
  if (!CanBeMultiplied(x.element, w.element) || x.shape[1] != w.shape[0]) {
    return absl::InvalidArgumentError("x and w differ in their type or channels");
  }
  TensorType result{SumType(x.element), {x.shape[0], x.shape[1]}, {}};
  TESSERA_RETURN_IF_ERROR(CheckBias(call, result.element, {x.shape[1]}));
  for (const te::Window& window : windows) result.shape.push_back(window.out);
  return result;
}
ir::Buffer DefineDepthwise(te::DagBuilder& builder, const Call& call,
                           absl::Span<const Operand> operands, const TensorType& result,
                           const std::string& name) {
  const std::vector<te::Window> windows = *DepthwiseWindows(call);
  const TensorType& x = call.operands[0];
  const ir::Type wide = te::AccumulatorType(x.element);
  const std::vector<te::Dim> leading = Leading(x.shape, 2);
  const ir::Buffer padded = te::PadStage(builder, operands[0].buffer(), leading, windows,
                                         ir::Zero(x.element), name + "_pad");
  const std::vector<te::Dim> out = te::OutputDims(leading, windows);
  const ir::Buffer sum = builder.Reduce(
      IsSum(operands, wide, result) ? name : name + "_sum", wide, out, te::KernelDims({}, windows),
      te::Combiner::kSum, [&](const Indices& axes, const Indices& reduce) {
        Indices weight{axes[1]};
        weight.insert(weight.end(), reduce.begin(), reduce.end());
        return As(wide,
                  ir::MakeLoad(padded, Taps(windows, {axes[0], axes[1]}, axes, 2, reduce, 0))) *
               As(wide, operands[1].At(weight));
      });
  return Finish(builder, operands, sum, out, 1, result, name);
}

// --- conv_transpose(x, w[, bias]): x [n, c, …], w [c, oc, …]; `before` and `behind` are cut from
// the result, which `extra` makes longer.

struct Transposed {
  std::vector<te::Window> taps;  // of one phase, over x
  std::vector<int64_t> out;
};
absl::StatusOr<Transposed> TransposedWindows(const Call& call) {
  const TensorType &x = call.operands[0], &w = call.operands[1];
  const size_t rank = x.shape.size() - 2;
  if (x.shape.size() < 3 || rank > 3 || w.shape.size() != x.shape.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("x has ", x.shape.size(), " dimensions and w ", w.shape.size()));
  }
  TESSERA_ASSIGN_OR_RETURN(const auto strides, ListOf(call, "strides", rank, 1, 1));
  TESSERA_ASSIGN_OR_RETURN(const auto before, ListOf(call, "before", rank, 0, 0));
  TESSERA_ASSIGN_OR_RETURN(const auto behind, ListOf(call, "behind", rank, 0, 0));
  TESSERA_ASSIGN_OR_RETURN(const auto extra, ListOf(call, "extra", rank, 0, 0));
  Transposed made;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t in = x.shape[2 + i], kernel = w.shape[2 + i], stride = strides[i];
    const int64_t reach = te::SaturatingMultiply(in - 1, stride);
    const int64_t out =
        std::min(reach, kMaxTensorBytes) + kernel - before[i] - behind[i] + extra[i];
    if (out < 1 || reach > kMaxTensorBytes || extra[i] >= stride || before[i] >= kernel) {
      return absl::InvalidArgumentError(
          absl::StrCat("dimension ", i, " of the result would have ", out, " elements; before is ",
                       before[i], " of ", kernel, ", extra ", extra[i], " of ", stride));
    }
    const int64_t taps = (kernel - 1) / stride + 1;
    made.taps.push_back({.name = kLetters[3 - rank + i],
                         .in = in,
                         .kernel = taps,
                         .pad = taps - 1 - before[i] / stride,
                         .out = (out - 1 + before[i]) / stride - before[i] / stride + 1});
    made.out.push_back(out);
  }
  return made;
}
absl::StatusOr<TensorType> InferTransposed(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const Transposed made, TransposedWindows(call));
  const TensorType &x = call.operands[0], &w = call.operands[1];
  if (!CanBeMultiplied(x.element, w.element) || x.shape[1] != w.shape[0]) {
    return absl::InvalidArgumentError("x and w differ in their type or channels");
  }
  TensorType result{SumType(x.element), {x.shape[0], w.shape[1]}, {}};
  TESSERA_RETURN_IF_ERROR(CheckBias(call, result.element, {w.shape[1]}));
  result.shape.insert(result.shape.end(), made.out.begin(), made.out.end());
  return result;
}
ir::Buffer DefineTransposed(te::DagBuilder& builder, const Call& call,
                            absl::Span<const Operand> operands, const TensorType& result,
                            const std::string& name) {
  const Transposed made = *TransposedWindows(call);
  const size_t rank = made.out.size();
  const auto strides = *ListOf(call, "strides", rank, 1, 1);
  const auto before = *ListOf(call, "before", rank, 0, 0);
  const TensorType &x = call.operands[0], &w = call.operands[1];
  const ir::Type wide = te::AccumulatorType(x.element);
  const ir::Buffer padded = te::PadStage(builder, operands[0].buffer(), Leading(x.shape, 2),
                                         made.taps, ir::Zero(x.element), name + "_pad");
  std::vector<te::Dim> out{{"n", x.shape[0]}, {"oc", w.shape[1]}};
  for (size_t i = 0; i < rank; ++i) out.push_back({"o" + made.taps[i].name, made.out[i]});
  const ir::Buffer sum = builder.Reduce(
      IsSum(operands, wide, result) ? name : name + "_sum", wide, out,
      te::KernelDims({{"ic", x.shape[1]}}, made.taps), te::Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) {
        ir::Expr inside;
        Indices from{axes[0], reduce[0]}, weight{reduce[0], axes[1]};
        for (size_t i = 0; i < rank; ++i) {
          const int64_t stride = strides[i];
          const ir::Expr shifted = before[i] > 0 ? axes[2 + i] + ir::Expr(before[i]) : axes[2 + i];
          const ir::Expr first = stride > 1 ? shifted / ir::Expr(stride) : shifted;
          // The first window over x begins where the first result's taps end.
          const int64_t border = made.taps[i].pad;
          from.push_back((border != 0 ? first + ir::Expr(border) : first) - reduce[1 + i]);
          weight.push_back(stride > 1
                               ? shifted % ir::Expr(stride) + reduce[1 + i] * ir::Expr(stride)
                               : reduce[1 + i]);
          if (w.shape[2 + i] % stride != 0) {
            inside = ir::And(inside, ir::Lt(weight.back(), ir::Expr(w.shape[2 + i])));
          }
        }
        const ir::Expr product =
            As(wide, ir::MakeLoad(padded, from)) * As(wide, operands[1].At(weight));
        return inside ? ir::MakeSelect(inside, product, ir::Zero(wide)) : product;
      });
  return Finish(builder, operands, sum, out, 1, result, name);
}

// --- max_pool, avg_pool over x [n, c, …]

}  // namespace

absl::StatusOr<std::vector<te::Window>> PoolWindows(const Call& call) {
  const TensorType& x = call.operands[0];
  if (x.shape.size() < 3) return absl::InvalidArgumentError("x needs three dimensions at least");
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<te::Window> windows,
      WindowsOf(call, x.shape, 2, call.Ints("kernel"), true, call.Int("ceil") != 0));
  TESSERA_ASSIGN_OR_RETURN(const auto behind, ListOf(call, "behind", windows.size(), 0, 0));
  for (size_t i = 0; i < windows.size(); ++i) {
    // Every window has an element of x.
    const te::Window& window = windows[i];
    const int64_t most = window.dilation * (window.kernel - 1);
    if (window.pad <= most && behind[i] <= most && window.dilation <= window.in) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("pads by ", window.pad, " and ", behind[i], "; windows of ", window.kernel,
                     ", ", window.dilation, " apart, over ", window.in, " elements allow ", most));
  }
  return windows;
}

namespace {

absl::StatusOr<TensorType> InferPool(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<te::Window> windows, PoolWindows(call));
  TensorType result{
      call.operands[0].element, {call.operands[0].shape[0], call.operands[0].shape[1]}, {}};
  for (const te::Window& window : windows) result.shape.push_back(window.out);
  return result;
}

// How many taps of each window lie within [0 - pad, in + behind), or within x.
ir::Expr CountInside(const std::vector<te::Window>& windows, const std::vector<int64_t>& behind,
                     bool counts_padding, const Indices& axes) {
  ir::Expr taps = 1;
  for (size_t i = 0; i < windows.size(); ++i) {
    const te::Window& window = windows[i];
    const int64_t low = counts_padding ? -window.pad : 0;
    const int64_t high = window.in + (counts_padding ? behind[i] : 0);
    const ir::Expr start = te::Tap(window, axes[2 + i], ir::Expr(0)) - ir::Expr(window.pad);
    // Taps at start, start + dilation, …: those from ⌈(low - start) / dilation⌉ to
    // ⌊(high - 1 - start) / dilation⌋.
    const ir::Expr dilation(window.dilation);
    const ir::Expr first =
        ir::Max((ir::Expr(low + window.dilation - 1) - start) / dilation, ir::Expr(0));
    const ir::Expr last =
        ir::Min((ir::Expr(high - 1) - start) / dilation, ir::Expr(window.kernel - 1));
    const ir::Expr inside = last - first + ir::Expr(1);
    taps = i == 0 ? inside : taps * inside;
  }
  return taps;
}

template <bool kIsMax>
ir::Buffer DefinePool(te::DagBuilder& builder, const Call& call, absl::Span<const Operand> operands,
                      const TensorType& result, const std::string& name) {
  const std::vector<te::Window> windows = *PoolWindows(call);
  const TensorType& x = call.operands[0];
  const ir::Type kept = kIsMax ? x.element : te::AccumulatorType(x.element);
  const std::vector<te::Dim> leading = Leading(x.shape, 2);
  const ir::Buffer padded =
      te::PadStage(builder, operands[0].buffer(), leading, windows,
                   kIsMax ? ir::MinValue(x.element) : ir::Zero(x.element), name + "_pad");
  const std::vector<te::Dim> dims = te::OutputDims(leading, windows);
  const ir::Buffer pool = builder.Reduce(
      kIsMax ? name : name + "_sum", kept, dims, te::KernelDims({}, windows),
      kIsMax ? te::Combiner::kMax : te::Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) {
        return As(kept,
                  ir::MakeLoad(padded, Taps(windows, {axes[0], axes[1]}, axes, 2, reduce, 0)));
      });
  if (kIsMax) return pool;
  const auto behind = *ListOf(call, "behind", windows.size(), 0, 0);
  const bool counts_padding = call.Int("count_padding") != 0;
  int64_t area = 1;
  bool is_cut = false;  // some window has taps that don't count
  for (size_t i = 0; i < windows.size(); ++i) {
    const te::Window& window = windows[i];
    area *= window.kernel;
    const int64_t high = window.in + window.pad + (counts_padding ? behind[i] : 0);
    is_cut = is_cut || window.Reached() > high || (!counts_padding && window.pad > 0);
  }
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    const ir::Expr count =
        is_cut ? ir::MakeCast(kept, CountInside(windows, behind, counts_padding, axes))
               : ir::MakeConst(kept, static_cast<double>(area));
    return As(result.element, ir::MakeLoad(pool, axes) / count);
  });
}

}  // namespace

std::vector<Operator> WindowOperators() {
  const std::vector<int64_t> list;
  const std::vector<Operator::Parameter> sliding{
      {"strides", list}, {"dilations", list}, {"before", list}, {"behind", list}};
  std::vector<Operator::Parameter> conv = sliding, pool = sliding, average;
  conv.push_back({"grouped", int64_t{0}});
  pool.push_back({"kernel", list, true});
  pool.push_back({"ceil", int64_t{0}});
  average = pool;
  average.push_back({"count_padding", int64_t{1}});
  return {
      {"conv", 2, 3, Pattern::kAnchor, conv, InferConv, DefineConv, {1}},
      {"depthwise_conv", 2, 3, Pattern::kAnchor, sliding, InferDepthwise, DefineDepthwise, {1}},
      {"conv_transpose",
       2,
       3,
       Pattern::kAnchor,
       {{"strides", list}, {"before", list}, {"behind", list}, {"extra", list}},
       InferTransposed,
       DefineTransposed,
       {1}},
      {"max_pool", 1, 1, Pattern::kReduction, pool, InferPool, DefinePool<true>},
      {"avg_pool", 1, 1, Pattern::kReduction, average, InferPool, DefinePool<false>},
  };
}

}  // namespace tessera::graph
