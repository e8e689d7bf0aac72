#include "compiler/graph/adjoint_rules.h"
#include "compiler/graph/families.h"

// What is reduced gets the result's cotangent everywhere, by its share.

namespace tessera::graph {
namespace {

using Shape = std::vector<int64_t>;

Shape ReducedDims(const Site& at) {
  Shape dims = at.Ints("axes");
  const size_t rank = at.shape(0).size();
  if (dims.empty()) {
    for (size_t d = 0; d < rank; ++d) dims.push_back(static_cast<int64_t>(d));
  }
  for (int64_t& d : dims) d = AxisOf(d, rank);
  return dims;
}

// A value of the result, with the reduced dimensions of extent 1.
int Kept(const Site& at, int value) {
  Shape shape = at.shape(0);
  for (const int64_t d : ReducedDims(at)) shape[d] = 1;
  return at.steps.Reshape(value, shape);
}

int Sum(const Site& at, size_t) { return at.steps.Broadcast(Kept(at, at.cotangent), at.shape(0)); }
int Mean(const Site& at, size_t) {
  const double count = static_cast<double>(at.steps.type(at.operand(0)).ElementCount()) /
                       static_cast<double>(at.node.type.ElementCount());
  Steps& s = at.steps;
  return s.Broadcast(s.Times(Kept(at, at.cotangent), 1 / count), at.shape(0));
}
// Equals share.
int Extreme(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0);
  const int is_it = s.Cast(s.Add("equal", {x, Kept(at, at.result)}), s.type(x).element);
  return s.Times(is_it, s.Over(Kept(at, at.cotangent), s.Sum(is_it, ReducedDims(at))));
}
// The product of the others: by division where no factor is 0.
int Product(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0), zero = s.Number(0, x), one = s.Number(1, x);
  const int is_zero = s.Add("equal", {x, zero});
  const int zeros = s.Sum(s.Cast(is_zero, s.type(x).element), ReducedDims(at));
  const int safe = s.Add("where", {is_zero, one, x});
  const int product = s.Add("reduce_prod", {safe}, {{"axes", ReducedDims(at)}});
  const int of_zeros = s.Where(s.Add("equal", {zeros, one}), product);
  const int of_others = s.Where(s.Add("equal", {zeros, zero}), product);
  const int others = s.Add("where", {is_zero, of_zeros, s.Over(of_others, safe)});
  return s.Times(Kept(at, at.cotangent), others);
}

int Softmax(const Site& at, size_t) {
  Steps& s = at.steps;
  const int sum = s.Sum(s.Times(at.cotangent, at.result), {at.Int("axis")});
  return s.Times(at.result, s.Minus(at.cotangent, sum));
}
int LogSoftmax(const Site& at, size_t) {
  Steps& s = at.steps;
  const int sum = s.Sum(at.cotangent, {at.Int("axis")});
  return s.Minus(at.cotangent, s.Times(s.Add("exp", {at.result}), sum));
}

// With the normalised rows z = (x - mean) / deviation: to x goes
// (g - mean(g) - z · mean(g · z)) / deviation of g = cotangent · scale.
int LayerNorm(const Site& at, size_t operand) {
  Steps& s = at.steps;
  if (operand == 2) return at.cotangent;
  const ir::Type wide = WideType(at.node.type.element);
  const auto wider = [&](int node) { return s.Cast(node, wide); };
  Shape row;
  const auto rank = static_cast<int64_t>(at.shape(0).size());
  for (int64_t d = AxisOf(at.Int("axis"), at.shape(0).size()); d < rank; ++d) row.push_back(d);
  const int x = wider(at.operand(0)), centred = s.Minus(x, s.Mean(x, row));
  const int variance = s.Mean(s.Times(centred, centred), row);
  const int inverse = s.Add(
      "reciprocal", {s.Add("sqrt", {s.Plus(variance, s.Number(at.Float("epsilon"), variance))})});
  const int normal = s.Times(centred, inverse), cotangent = wider(at.cotangent);
  int made = s.Times(cotangent, normal);
  if (operand == 0) {
    const int g = s.Times(cotangent, wider(at.operand(1)));
    const int along = s.Times(normal, s.Mean(s.Times(g, normal), row));
    made = s.Times(inverse, s.Minus(s.Minus(g, s.Mean(g, row)), along));
  }
  // Sums of what is repeated are of wide numbers, too.
  return s.Cast(s.SumTo(made, at.shape(operand)), s.type(at.operand(operand)).element);
}

}  // namespace

std::vector<AdjointRow> ReductionAdjoints() {
  return {{"reduce_sum", Sum},      {"reduce_mean", Mean},    {"reduce_max", Extreme},
          {"reduce_min", Extreme},  {"reduce_prod", Product}, {"argmax", nullptr},
          {"argmin", nullptr},      {"softmax", Softmax},     {"log_softmax", LogSoftmax},
          {"layer_norm", LayerNorm}};
}

}  // namespace tessera::graph
