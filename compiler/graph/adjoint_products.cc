#include <algorithm>
#include <numeric>

#include "compiler/graph/adjoint_rules.h"

// Of a product's operands each gets the product of the cotangent with the other one.

namespace tessera::graph {
namespace {

using Shape = std::vector<int64_t>;

int Transposed(Steps& s, int x) {
  if (x == Steps::kNone) return x;
  Shape order(s.shape(x).size());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return s.Transpose(x, order);
}

// [..., m, k] as [... · m, k]
int Flat(Steps& s, int x) {
  const int64_t last = s.shape(x).back();
  return s.Reshape(x, {s.type(x).ElementCount() / last, last});
}

int Matmul(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const bool transposed = at.Int("transpose_b") != 0;
  int a = at.operand(0), by = at.cotangent;
  const int b = at.operand(1);
  if (operand == 2) return by;
  if (operand == 0) {
    return s.Add("matmul", {by, b}, {{"transpose_b", int64_t{transposed ? 0 : 1}}});
  }
  // Where all matrices have the same factor they are one tall matrix.
  const Shape& shape = s.shape(b);
  const bool is_one =
      std::all_of(shape.begin(), shape.end() - 2, [](int64_t extent) { return extent == 1; });
  if (is_one) {
    a = Flat(s, a);
    by = Flat(s, by);
  }
  const int product = transposed ? s.Add("matmul", {Transposed(s, by), a})
                                 : s.Add("matmul", {Transposed(s, a), by});
  return is_one ? s.Reshape(product, shape) : product;
}

}  // namespace

std::vector<AdjointRow> ProductAdjoints() { return {{"matmul", Matmul}}; }

}  // namespace tessera::graph
