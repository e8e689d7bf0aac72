#include "compiler/schedule/winograd_transforms.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tessera::schedule {
namespace {

using Row = std::vector<double>;

// Of so many points those among 0, ±1, ±2 and ±1/2 that amplify errors least: found by trying all
// choices. Negatives next to each other share sums.
Row PointsFor(int64_t count) {
  switch (count) {
    case 2:
      return {0, 1};
    case 3:
      return {0, 1, -1};
    case 4:
      return {0, -1, 2, 0.5};
    case 5:
      return {0, 2, -2, 0.5, -0.5};
    case 6:
      return {0, -1, 2, -2, 0.5, -0.5};
    default:
      return {0, 1, -1, 2, -2, 0.5, -0.5};
  }
}

// The coefficients, from the constant on, of Π (x − p) over all points but number `without`.
Row Polynomial(const Row& points, size_t without) {
  Row coefficients = {1};
  for (size_t i = 0; i < points.size(); ++i) {
    if (i == without) continue;
    Row next(coefficients.size() + 1, 0);
    for (size_t k = 0; k < coefficients.size(); ++k) {
      next[k + 1] += coefficients[k];
      next[k] -= points[i] * coefficients[k];
    }
    coefficients = std::move(next);
  }
  return coefficients;
}

double Magnitude(const Row& row) {
  double sum = 0;
  for (const double value : row) sum += std::abs(value);
  return sum;
}

// sum + factor × term; an empty sum counts as zero.
ir::Expr AddScaled(const ir::Expr& sum, double factor, const ir::Expr& term) {
  const double size = std::abs(factor);
  const ir::Expr scaled = size == 1 ? term : term * ir::MakeConst(term.type(), size);
  if (!sum) return factor > 0 ? scaled : term * ir::MakeConst(term.type(), factor);
  return factor > 0 ? sum + scaled : sum - scaled;
}

// row · terms. Of each part the last coefficient is taken out: rows that differ in a part's sign or
// scale share its sum.
ir::Expr Combination(const Row& row, const std::vector<int>& parts,
                     const std::function<ir::Expr(int64_t)>& term) {
  std::vector<std::pair<double, ir::Expr>> sums;
  const int last = *std::max_element(parts.begin(), parts.end());
  for (int part = 0; part <= last; ++part) {
    double scale = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      if (parts[i] == part && row[i] != 0) scale = row[i];
    }
    if (scale == 0) continue;
    ir::Expr sum;
    for (size_t i = 0; i < row.size(); ++i) {
      if (parts[i] != part || row[i] == 0) continue;
      // As the float that it will be, so that equal ratios are equal.
      const double factor = static_cast<float>(row[i] / scale);
      sum = AddScaled(sum, factor, term(static_cast<int64_t>(i)));
    }
    sums.emplace_back(scale, sum);
  }
  // A positive summand first, so that none has to be negated.
  ir::Expr total;
  for (const bool positive : {true, false}) {
    for (const auto& [scale, sum] : sums) {
      if ((scale > 0) == positive) total = AddScaled(total, scale, sum);
    }
  }
  return total;
}

}  // namespace

Transforms MakeTransforms(int64_t m, int64_t r) {
  const Row points = PointsFor(m + r - 2);
  const size_t finite = points.size();
  Transforms t;
  t.a.rows.assign(m, Row(finite + 1, 0));
  t.a.parts = {0};
  for (size_t i = 0; i < finite; ++i) {
    const double p = points[i];
    double others = 1;
    for (size_t l = 0; l < finite; ++l) {
      if (l != i) others *= p - points[l];
    }
    // A power of two moves between Aᵀ and G, so that numbers of both are near 1.
    const double balance = std::pow(p == 0 ? 1 : std::abs(p), (m - 1) / 2);
    Row g(r);
    for (int64_t k = 0; k < r; ++k) g[k] = std::pow(p, k) * balance / others;
    t.g.rows.push_back(std::move(g));
    for (int64_t j = 0; j < m; ++j) t.a.rows[j][i] = std::pow(p, j) / balance;
    t.b.rows.push_back(Polynomial(points, i));
    t.b.rows.back().resize(finite + 1, 0);
    if (i > 0) t.a.parts.push_back(t.a.parts.back() + (points[i - 1] == -p ? 0 : 1));
  }
  // Infinity.
  t.a.rows[m - 1][finite] = 1;
  t.a.parts.push_back(t.a.parts.back() + 1);
  t.g.rows.emplace_back(r, 0);
  t.g.rows.back()[r - 1] = 1;
  t.b.rows.push_back(Polynomial(points, finite));
  // Rows of p and −p differ in the signs of every second column.
  t.b.parts.resize(finite + 1);
  for (size_t i = 0; i <= finite; ++i) t.b.parts[i] = static_cast<int>(i % 2);
  t.g.parts.assign(r, 0);

  t.amplification = 0;
  for (const Row& row : t.a.rows) {
    double sum = 0;
    for (size_t i = 0; i <= finite; ++i) {
      sum += std::abs(row[i]) * Magnitude(t.g.rows[i]) * Magnitude(t.b.rows[i]);
    }
    t.amplification = std::max(t.amplification, sum / static_cast<double>(r));
  }
  return t;
}

ir::Expr ChosenRow(const Transform& transform, const ir::Expr& index,
                   const std::function<ir::Expr(int64_t)>& term) {
  ir::Expr chosen;
  for (size_t r = transform.rows.size(); r-- > 0;) {
    const ir::Expr row = Combination(transform.rows[r], transform.parts, term);
    chosen = chosen ? ir::MakeSelect(ir::Eq(index, ir::Expr(static_cast<int64_t>(r))), row, chosen)
                    : row;
  }
  return chosen;
}

}  // namespace tessera::schedule
