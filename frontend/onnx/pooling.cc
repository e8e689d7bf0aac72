#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"

namespace tessera::frontend {

using Shape = std::vector<int64_t>;

namespace {

graph::Attributes PoolWindows(Call& call, const Value& x) {
  const Shape kernel = call.Ints("kernel_shape");
  if (kernel.empty()) call.Invalid("kernel_shape is missing");
  graph::Attributes windows = Windows(call, call.emit.Shape(x), kernel);
  windows.emplace("kernel", kernel);
  windows.emplace("ceil", call.Int("ceil_mode", 0));
  return windows;
}

Values MaxPool(Call& call) {
  call.Ignore({"storage_order"});  // of indices
  if (call.Wants(1)) {
    return call.Fail("its indices are wanted, which are not computed; unpool another way");
  }
  const graph::Attributes windows = PoolWindows(call, call.In(0));
  return {call.emit.Add("max_pool", {call.In(0)}, windows)};
}

// The p-th root of the sum of p-th powers; `count` times their mean.
Value Norm(Emitter& emit, const Value& means, double count, double p) {
  const Value sum = emit.Add("mul", {means, emit.Number(count, means)});
  return emit.Add("pow", {sum, emit.Number(1 / p, sum)});
}
Value Powers(Emitter& emit, const Value& x, double p) {
  return emit.Add("pow", {emit.Add("abs", {x}), emit.Number(p, x)});
}

Values LpPool(Call& call) {
  const Value x = call.In(0);
  const auto p = static_cast<double>(call.Int("p", 2));
  const graph::Attributes windows = PoolWindows(call, x);
  double count = 1;
  for (const int64_t extent : call.Ints("kernel_shape")) count *= static_cast<double>(extent);
  if (!(p >= 1)) return call.Invalid(absl::StrCat("p is ", p));
  const Value means = call.emit.Add("avg_pool", {Powers(call.emit, x, p)}, windows);
  return {Norm(call.emit, means, count, p)};
}

// Over all dimensions but the batch and channels.
Value Globally(Call& call, const char* op, const Value& x) {
  Shape axes;
  for (size_t d = 2; d < call.emit.Rank(x); ++d) axes.push_back(static_cast<int64_t>(d));
  if (axes.empty()) return x;
  return call.emit.Add(op, {x}, {{"axes", axes}});
}
Converter Global(const char* op) {
  return [op](Call& call) -> Values { return {Globally(call, op, call.In(0))}; };
}

Values GlobalLpPool(Call& call) {
  const auto p = static_cast<double>(call.Int("p", 2));
  if (!(p >= 1)) return call.Invalid(absl::StrCat("p is ", p));
  return {Norm(call.emit, Globally(call, "reduce_sum", Powers(call.emit, call.In(0), p)), 1, p)};
}

}  // namespace

Value AveragePool(Call& call, const Value& x) {
  graph::Attributes windows = PoolWindows(call, x);
  windows.emplace("count_padding", call.Int("count_include_pad", 0));
  return call.emit.Add("avg_pool", {x}, windows);
}

std::vector<Row> PoolingRows() {
  return {{"AveragePool", [](Call& call) -> Values { return {AveragePool(call, call.In(0))}; }},
          {"GlobalAveragePool", Global("reduce_mean")},
          {"GlobalLpPool", GlobalLpPool},
          {"GlobalMaxPool", Global("reduce_max")},
          {"LpPool", LpPool},
          {"MaxPool", MaxPool}};
}

}  // namespace tessera::frontend
