#include <algorithm>
#include <numeric>
#include <utility>

#include "base/status.h"
#include "compiler/graph/adjoint_rules.h"

namespace tessera::graph {
namespace {

using Shape = std::vector<int64_t>;

Shape Ones(size_t rank) { return Shape(rank, 1); }
Shape Zeros(size_t rank) { return Shape(rank, 0); }

}  // namespace

void Steps::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

TensorType Steps::type(int node) const {
  return node == kNone ? TensorType{ir::Float(32), {}, {}} : builder_.type(node);
}

int Steps::Add(std::string_view op, std::vector<int> operands, Attributes attributes) {
  if (!status_.ok() || std::ranges::count(operands, kNone) > 0) return kNone;
  const absl::StatusOr<int> made = builder_.Add(op, std::move(operands), std::move(attributes));
  if (!made.ok()) Fail(made.status());
  return made.ok() ? *made : kNone;
}

int Steps::Constant(TensorRef tensor) {
  if (!status_.ok()) return kNone;
  const absl::StatusOr<int> made = builder_.Constant("number", std::move(tensor));
  if (!made.ok()) Fail(made.status());
  return made.ok() ? *made : kNone;
}

int Steps::Number(double value, int like) {
  if (like == kNone) return kNone;
  return Constant(MakeTensor(type(like).element, {}, {value}));
}

int Steps::Cast(int x, ir::Type to) {
  return type(x).element == to ? x : Add("cast", {x}, {{"to", ir::ToString(to)}});
}

int Steps::Reshape(int x, const Shape& to) {
  return shape(x) == to ? x : Add("reshape", {x}, {{"shape", to}});
}

int Steps::Transpose(int x, const Shape& order) {
  return std::ranges::is_sorted(order) ? x : Add("transpose", {x}, {{"order", order}});
}

int Steps::Broadcast(int x, const Shape& to) {
  return shape(x) == to ? x : Add("broadcast_to", {x}, {{"shape", to}});
}

int Steps::Slice(int x, const Shape& starts, const Shape& steps, const Shape& to) {
  const bool is_forward = std::ranges::all_of(steps, [](int64_t step) { return step > 0; });
  if (is_forward && shape(x) == to) return x;
  return Add("slice", {x}, {{"starts", starts}, {"steps", steps}, {"shape", to}});
}

int Steps::SliceOf(int x, size_t dimension, int64_t start, int64_t count, int64_t step) {
  if (x == kNone) return kNone;
  Shape starts = Zeros(shape(x).size()), steps = Ones(starts.size()), to = shape(x);
  starts[dimension] = start;
  steps[dimension] = step;
  to[dimension] = count;
  return Slice(x, starts, steps, to);
}

int Steps::Pad(int x, const Shape& before, const Shape& behind) {
  const auto is_none = [](int64_t count) { return count == 0; };
  if (std::ranges::all_of(before, is_none) && std::ranges::all_of(behind, is_none)) return x;
  return Add("pad", {x}, {{"before", before}, {"behind", behind}});
}

int Steps::Spread(int x, size_t dimension, int64_t step) {
  if (x == kNone) return kNone;
  Shape to = shape(x);
  const int64_t count = to[dimension];
  if (step == 1 || count == 1) return x;
  // Each element gets its zeros behind it as a dimension of its own; the last ones go.
  const auto at = to.begin() + static_cast<int64_t>(dimension);
  const auto product = [](auto begin, auto end) {
    return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
  };
  const int64_t outer = product(to.begin(), at) * count, inner = product(at + 1, to.end());
  const int apart = Pad(Reshape(x, {outer, 1, inner}), {0, 0, 0}, {0, step - 1, 0});
  to[dimension] = count * step;
  return SliceOf(Reshape(apart, to), dimension, 0, (count - 1) * step + 1);
}

int Steps::SumTo(int x, const Shape& to) {
  if (x == kNone || shape(x) == to) return x;
  const Shape& from = shape(x);
  const size_t lead = from.size() - to.size();
  Shape axes;
  for (size_t d = 0; d < from.size(); ++d) {
    if (d < lead || (to[d - lead] == 1 && from[d] != 1)) axes.push_back(static_cast<int64_t>(d));
  }
  return Reshape(Add("reduce_sum", {x}, {{"axes", axes}, {"keep", int64_t{0}}}), to);
}

int Steps::Sum(int x, const Shape& dimensions) {
  return Add("reduce_sum", {x}, {{"axes", dimensions}});
}
int Steps::Mean(int x, const Shape& dimensions) {
  return Add("reduce_mean", {x}, {{"axes", dimensions}});
}

}  // namespace tessera::graph
