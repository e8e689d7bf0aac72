#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "compiler/ir/expr.h"

// The transforms of minimal filtering F(m, r), m outputs of a filter of r taps by m + r − 1
// multiplications: y = Aᵀ ((G g) ⊙ (Bᵀ d)), from polynomials that are interpolated at m + r − 2
// points and infinity (Toom and Cook; Lavin & Gray, arXiv:1509.09308).

namespace tessera::schedule {

struct Transform {
  std::vector<std::vector<double>> rows;
  // By column: those of one part are summed first, since several rows share that sum.
  std::vector<int> parts;
};

struct Transforms {
  Transform b, g, a;  // Bᵀ, G, Aᵀ
  // How much larger than the direct sum's an error can become, at most:
  // max Σ |Aᵀ| |G| |Bᵀ| over outputs, ÷ r.
  double amplification = 1;
};

constexpr int64_t kMaxWinogradPoints = 8;  // m + r − 1

// Requires m >= 2, r >= 2 and at most kMaxWinogradPoints of both.
Transforms MakeTransforms(int64_t m, int64_t r);

// The row of `transform` that `index` chooses, times `term(column)`.
ir::Expr ChosenRow(const Transform& transform, const ir::Expr& index,
                   const std::function<ir::Expr(int64_t)>& term);

}  // namespace tessera::schedule
