#include <algorithm>
#include <numeric>

#include "compiler/graph/adjoint_rules.h"
#include "compiler/graph/families.h"

// Elements that move go back, those that were repeated are summed, and what was left out is 0.

namespace tessera::graph {
namespace {

using Shape = std::vector<int64_t>;

int Reshape(const Site& at, size_t) { return at.steps.Reshape(at.cotangent, at.shape(0)); }

int Transpose(const Site& at, size_t) {
  const Shape& order = at.Ints("order");
  Shape inverse(order.size());
  for (size_t d = 0; d < order.size(); ++d) inverse[order[d]] = static_cast<int64_t>(d);
  return at.steps.Transpose(at.cotangent, inverse);
}

// The sum over what was repeated is that of every operand.
int Broadcast(const Site& at, size_t) { return at.cotangent; }

int Slice(const Site& at, size_t) {
  Steps& s = at.steps;
  const Shape &starts = at.Ints("starts"), &steps = at.Ints("steps"), &count = at.Ints("shape");
  int x = at.cotangent;
  Shape before, behind;
  for (size_t d = 0; d < starts.size(); ++d) {
    const int64_t last = starts[d] + steps[d] * (count[d] - 1);
    if (steps[d] < 0 && count[d] > 1) x = s.SliceOf(x, d, count[d] - 1, count[d], -1);
    x = s.Spread(x, d, std::abs(steps[d]));
    before.push_back(std::min(starts[d], last));
    behind.push_back(at.shape(0)[d] - 1 - std::max(starts[d], last));
  }
  return s.Pad(x, before, behind);
}

int Concat(const Site& at, size_t operand) {
  const auto axis = static_cast<size_t>(AxisOf(at.Int("axis"), at.shape(0).size()));
  int64_t start = 0;
  for (size_t i = 0; i < operand; ++i) start += at.shape(i)[axis];
  return at.steps.SliceOf(at.cotangent, axis, start, at.shape(operand)[axis]);
}

// The elements in the middle of a dimension, and those at its ends where they were repeated from.
int PadDimension(Steps& s, int x, size_t d, int64_t before, int64_t behind, bool reflects) {
  if (x == Steps::kNone) return x;
  const int64_t count = s.shape(x)[d] - before - behind;
  const Shape none(s.shape(x).size(), 0);
  int sum = s.SliceOf(x, d, before, count);
  const auto add = [&](int part, int64_t at, int64_t extent) {
    Shape front = none, back = none;
    front[d] = at;
    back[d] = count - at - extent;
    sum = s.Plus(sum, s.Pad(part, front, back));
  };
  for (const bool is_front : {true, false}) {
    const int64_t width = is_front ? before : behind;
    if (width == 0) continue;
    const int64_t first = is_front ? 0 : before + count;
    if (reflects) {
      const int mirrored = s.SliceOf(x, d, first + width - 1, width, -1);
      add(mirrored, is_front ? 1 : count - 1 - width, width);
    } else {
      const int same = s.Sum(s.SliceOf(x, d, first, width), {static_cast<int64_t>(d)});
      add(same, is_front ? 0 : count - 1, 1);
    }
  }
  return sum;
}

int Pad(const Site& at, size_t) {
  Steps& s = at.steps;
  const Shape &before = at.Ints("before"), &behind = at.Ints("behind");
  const std::string& mode = std::get<std::string>(at.node.attributes.at("mode"));
  if (mode == "constant") {
    return s.Slice(at.cotangent, before, Shape(before.size(), 1), at.shape(0));
  }
  int x = at.cotangent;
  for (size_t d = 0; d < before.size(); ++d) {
    x = PadDimension(s, x, d, before[d], behind[d], mode == "reflect");
  }
  return x;
}

// 0, 1, … in the shape of a last dimension.
int Counted(Steps& s, int64_t count) {
  std::vector<double> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return s.Constant(MakeTensor(ir::Int(32), {count}, numbers));
}

// Indices as gather takes them: those below 0 count from the back, those beyond are the nearest.
int Within(Steps& s, int indices, int64_t extent) {
  const int wide = s.Cast(indices, ir::Int(32));
  const int from_back = s.Plus(wide, s.Number(static_cast<double>(extent), wide));
  const int counted = s.Add("where", {s.Add("less", {wide, s.Number(0, wide)}), from_back, wide});
  return s.Add("clip", {counted}, {{"min", 0.0}, {"max", static_cast<double>(extent - 1)}});
}

// Slices that were taken several times are summed: a product with a matrix that has a 1 where an
// index names a slice.
int Gather(const Site& at, size_t) {
  Steps& s = at.steps;
  const Shape &x = at.shape(0), &indices = at.shape(1);
  const auto axis = static_cast<size_t>(AxisOf(at.Int("axis"), x.size()));
  const auto product = [](auto begin, auto end) {
    return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
  };
  const auto middle = x.begin() + static_cast<int64_t>(axis);
  const int64_t outer = product(x.begin(), middle), inner = product(middle + 1, x.end());
  const int64_t count = product(indices.begin(), indices.end());
  const int row = s.Reshape(Within(s, at.operand(1), x[axis]), {1, count});
  const int column = s.Reshape(Counted(s, x[axis]), {x[axis], 1});
  const int is_named = s.Add("equal", {column, row});
  const int named = s.Cast(is_named, s.type(at.cotangent).element);
  const Shape flat = outer == 1 ? Shape{count, inner} : Shape{outer, count, inner};
  return s.Reshape(s.Add("matmul", {named, s.Reshape(at.cotangent, flat)}), x);
}

int GatherElements(const Site& at, size_t) {
  Steps& s = at.steps;
  const Shape &x = at.shape(0), &indices = at.shape(1);
  const auto axis = static_cast<size_t>(AxisOf(at.Int("axis"), x.size()));
  // [outer, index, inner] gets a dimension for the elements that may be named.
  int64_t outer = 1, inner = 1;
  for (size_t d = 0; d < x.size(); ++d) (d < axis ? outer : inner) *= d == axis ? 1 : indices[d];
  const Shape apart{outer, 1, indices[axis], inner};
  const int which = s.Reshape(Within(s, at.operand(1), x[axis]), apart);
  const int numbers = s.Reshape(Counted(s, x[axis]), {x[axis], 1, 1});
  const int named = s.Where(s.Add("equal", {numbers, which}), s.Reshape(at.cotangent, apart));
  Shape taken = indices, behind = x;
  taken[axis] = x[axis];
  for (size_t d = 0; d < x.size(); ++d) behind[d] -= taken[d];
  return s.Pad(s.Reshape(s.Sum(named, {2}), taken), Shape(x.size(), 0), behind);
}

}  // namespace

std::vector<AdjointRow> ShapeAdjoints() {
  return {{"reshape", Reshape}, {"transpose", Transpose},
          {"slice", Slice},     {"broadcast_to", Broadcast},
          {"concat", Concat},   {"pad", Pad},
          {"gather", Gather},   {"gather_elements", GatherElements}};
}

}  // namespace tessera::graph
