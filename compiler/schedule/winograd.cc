#include "compiler/schedule/winograd.h"

#include <cmath>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/schedule/access.h"

namespace tessera::schedule {
namespace {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

// The transforms for the points 0, ±1 (m = 2) and 0, ±1, ±2 (m = 4), and infinity.
struct Transforms {
  Matrix b, g, a;                     // Bᵀ, G, Aᵀ
  std::vector<int> b_parts, a_parts;  // columns of one part form sums that several rows share
};

const Transforms& TransformsFor(int64_t m) {
  static const auto& k2 =
      *new Transforms{{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
                      {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
                      {{1, 1, 1, 0}, {0, 1, -1, -1}},
                      {0, 1, 0, 1},
                      {0, 1, 1, 2}};
  static const auto& k4 = *new Transforms{
      {{4, 0, -5, 0, 1, 0},
       {0, -4, -4, 1, 1, 0},
       {0, 4, -4, -1, 1, 0},
       {0, -2, -1, 2, 1, 0},
       {0, 2, -1, -2, 1, 0},
       {0, 4, 0, -5, 0, 1}},
      {{1.0 / 4, 0, 0},
       {-1.0 / 6, -1.0 / 6, -1.0 / 6},
       {-1.0 / 6, 1.0 / 6, -1.0 / 6},
       {1.0 / 24, 1.0 / 12, 1.0 / 6},
       {1.0 / 24, -1.0 / 12, 1.0 / 6},
       {0, 0, 1}},
      {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}},
      {0, 1, 0, 1, 0, 1},
      {0, 1, 1, 2, 2, 3}};
  return m == 2 ? k2 : k4;
}

// sum + factor × term; an empty sum counts as zero.
ir::Expr AddScaled(const ir::Expr& sum, double factor, const ir::Expr& term) {
  const double size = std::abs(factor);
  const ir::Expr scaled = size == 1 ? term : term * ir::MakeConst(term.type(), size);
  if (!sum) return factor > 0 ? scaled : term * ir::MakeConst(term.type(), factor);
  return factor > 0 ? sum + scaled : sum - scaled;
}

using Term = std::function<ir::Expr(int64_t)>;

// row · terms. Columns of one part are summed first, with a positive leading coefficient, and
// their common magnitude is taken out: rows that differ in a part's sign or scale share its sum.
ir::Expr Combination(const Row& row, const std::vector<int>& parts, const Term& term) {
  ir::Expr sum;
  const int last = parts.empty() ? 0 : parts.back();
  std::vector<std::pair<double, ir::Expr>> sums;
  for (int part = 0; part <= last; ++part) {
    double lead = 0;
    bool equal = true;
    for (size_t i = 0; i < row.size(); ++i) {
      if ((parts.empty() ? 0 : parts[i]) != part || row[i] == 0) continue;
      if (lead == 0) lead = row[i];
      equal &= std::abs(row[i]) == std::abs(lead);
    }
    if (lead == 0) continue;
    const double scale = equal ? lead : lead < 0 ? -1 : 1;
    ir::Expr inner;
    for (size_t i = 0; i < row.size(); ++i) {
      if ((parts.empty() ? 0 : parts[i]) != part || row[i] == 0) continue;
      inner = AddScaled(inner, row[i] / scale, term(static_cast<int64_t>(i)));
    }
    sums.emplace_back(scale, inner);
  }
  // A positive summand first, so that none has to be negated.
  for (const bool positive : {true, false}) {
    for (const auto& [scale, inner] : sums) {
      if ((scale > 0) == positive) sum = AddScaled(sum, scale, inner);
    }
  }
  return sum;
}

// One of `matrix`'s rows times `term`, chosen by `index`.
ir::Expr ChosenRow(const Matrix& matrix, const std::vector<int>& parts, const ir::Expr& index,
                   const Term& term) {
  ir::Expr chosen;
  for (size_t r = matrix.size(); r-- > 0;) {
    const ir::Expr row = Combination(matrix[r], parts, term);
    chosen = chosen ? ir::MakeSelect(ir::Eq(index, ir::Expr(static_cast<int64_t>(r))), row, chosen)
                    : row;
  }
  return chosen;
}

using Indices = std::vector<ir::Expr>;

// A stage named `name` over axes of these names and extents.
te::Stage MakeStage(const std::string& name,
                    const std::vector<std::pair<std::string, int64_t>>& axes,
                    const std::function<ir::Expr(const Indices&)>& body) {
  te::Stage stage;
  std::vector<int64_t> shape;
  Indices indices;
  for (const auto& [axis, extent] : axes) {
    stage.axes.push_back({ir::MakeVar(axis), extent});
    indices.push_back(stage.axes.back().var);
    shape.push_back(extent);
  }
  stage.outputs = {ir::MakeBuffer(name, ir::Float(32), std::move(shape), ir::Scope::kWorkspace)};
  stage.bodies = {body(indices)};
  return stage;
}

bool IsSumOf(const AxisForm& form, std::initializer_list<int> axes) {
  if (!form.affine || form.constant != 0 || form.terms.size() != axes.size()) return false;
  for (const int axis : axes) {
    bool found = false;
    for (const auto& [used, coefficient] : form.terms) found |= used == axis && coefficient == 1;
    if (!found) return false;
  }
  return true;
}

// X and W of a convolution that Winograd's algorithm fits.
struct Operands {
  ir::Buffer x, w;
};

absl::StatusOr<Operands> Match(const te::Stage& conv) {
  const auto refuse = [](const std::string& why) {
    return absl::InvalidArgumentError(
        absl::StrCat(why,
                     "; it has to sum X[n, ic, oh + kh, ow + kw] * W[oc, ic, kh, kw] in f32 "
                     "over ic and a 3 x 3 window"));
  };
  if (conv.direct)
    return absl::InvalidArgumentError("has to be a direct sum, as the workload says");
  if (conv.combiner != te::Combiner::kSum || conv.axes.size() != 4 ||
      conv.reduce_axes.size() != 3) {
    return refuse("is no sum over three axes for each of four");
  }
  if (conv.output()->type != ir::Float(32)) {
    return refuse(absl::StrCat("is of type ", ir::ToString(conv.output()->type)));
  }
  if (conv.reduce_axes[1].extent != 3 || conv.reduce_axes[2].extent != 3) {
    return refuse(absl::StrCat("has a window of ", conv.reduce_axes[1].extent, " x ",
                               conv.reduce_axes[2].extent));
  }
  const auto* product = conv.bodies[0].As<ir::Binary>();
  if (product == nullptr || product->op != ir::BinaryOp::kMul ||
      product->a.As<ir::Load>() == nullptr || product->b.As<ir::Load>() == nullptr) {
    return refuse("is no sum of products of two tensors");
  }
  const std::vector<Access> reads = Analyze(conv)->reads;
  const auto is_input = [](const Access& read) {
    return read.dims.size() == 4 && IsSumOf(read.dims[0], {0}) && IsSumOf(read.dims[1], {4}) &&
           IsSumOf(read.dims[2], {2, 5}) && IsSumOf(read.dims[3], {3, 6});
  };
  const auto is_weight = [](const Access& read) {
    return read.dims.size() == 4 && IsSumOf(read.dims[0], {1}) && IsSumOf(read.dims[1], {4}) &&
           IsSumOf(read.dims[2], {5}) && IsSumOf(read.dims[3], {6});
  };
  if (is_input(reads[0]) && is_weight(reads[1])) return Operands{reads[0].buffer, reads[1].buffer};
  if (is_input(reads[1]) && is_weight(reads[0])) return Operands{reads[1].buffer, reads[0].buffer};
  return refuse("reads its operands otherwise");
}

}  // namespace

absl::StatusOr<std::vector<te::Stage>> WinogradStages(const te::Stage& conv, int64_t m) {
  if (m != 2 && m != 4) {
    return absl::InvalidArgumentError(absl::StrCat("tiles of ", m, "; 2 and 4 are known"));
  }
  TESSERA_ASSIGN_OR_RETURN(const Operands operands, Match(conv));
  const ir::Buffer &x = operands.x, &w = operands.w;
  const Transforms& t = TransformsFor(m);
  const int64_t alpha = m + 2;
  const int64_t n = conv.axes[0].extent, oc = conv.axes[1].extent, ic = conv.reduce_axes[0].extent;
  const int64_t oh = conv.axes[2].extent, ow = conv.axes[3].extent;
  const int64_t rows = (oh + m - 1) / m, columns = (ow + m - 1) / m;
  const std::string& name = conv.name();
  std::vector<te::Stage> stages;
  const auto last = [&] { return stages.back().output(); };
  const auto load = [](const ir::Buffer& buffer, Indices at) {
    return ir::MakeLoad(buffer, std::move(at));
  };

  const int64_t height = rows * m + 2, width = columns * m + 2;
  stages.push_back(MakeStage(
      name + ".d", {{"n", n}, {"y", height}, {"x", width}, {"ic", ic}}, [&](const Indices& i) {
        ir::Expr inside;
        if (height > oh + 2) inside = ir::Lt(i[1], ir::Expr(oh + 2));
        if (width > ow + 2) inside = ir::And(inside, ir::Lt(i[2], ir::Expr(ow + 2)));
        const ir::Expr value = load(x, {i[0], i[3], i[1], i[2]});
        return inside ? ir::MakeSelect(inside, value, ir::Zero(x->type)) : value;
      }));
  const ir::Buffer d = last();
  stages.push_back(MakeStage(
      name + ".Bd",
      {{"a", alpha}, {"j", alpha}, {"n", n}, {"th", rows}, {"tw", columns}, {"ic", ic}},
      [&](const Indices& i) {
        return ChosenRow(t.b, t.b_parts, i[0], [&](int64_t k) {
          return load(d, {i[2], i[3] * ir::Expr(m) + ir::Expr(k), i[4] * ir::Expr(m) + i[1], i[5]});
        });
      }));
  const ir::Buffer bd = last();
  stages.push_back(MakeStage(
      name + ".V", {{"e", alpha * alpha}, {"n", n}, {"th", rows}, {"tw", columns}, {"ic", ic}},
      [&](const Indices& i) {
        return ChosenRow(t.b, t.b_parts, i[0] % ir::Expr(alpha), [&](int64_t k) {
          return load(bd, {i[0] / ir::Expr(alpha), ir::Expr(k), i[1], i[2], i[3], i[4]});
        });
      }));
  const ir::Buffer v = last();
  stages.push_back(MakeStage(
      name + ".Gg", {{"a", alpha}, {"kw", 3}, {"ic", ic}, {"oc", oc}}, [&](const Indices& i) {
        return ChosenRow(t.g, {}, i[0],
                         [&](int64_t k) { return load(w, {i[3], i[2], ir::Expr(k), i[1]}); });
      }));
  const ir::Buffer gg = last();
  stages.push_back(
      MakeStage(name + ".U", {{"e", alpha * alpha}, {"ic", ic}, {"oc", oc}}, [&](const Indices& i) {
        return ChosenRow(t.g, {}, i[0] % ir::Expr(alpha), [&](int64_t k) {
          return load(gg, {i[0] / ir::Expr(alpha), ir::Expr(k), i[1], i[2]});
        });
      }));
  const ir::Buffer u = last();
  const te::Axis sum{ir::MakeVar("ic"), ic};
  stages.push_back(MakeStage(
      name + ".M", {{"e", alpha * alpha}, {"n", n}, {"th", rows}, {"tw", columns}, {"oc", oc}},
      [&](const Indices& i) {
        return load(v, {i[0], i[1], i[2], i[3], sum.var}) * load(u, {i[0], sum.var, i[4]});
      }));
  stages.back().combiner = te::Combiner::kSum;
  stages.back().reduce_axes = {sum};
  const ir::Buffer product = last();
  stages.push_back(MakeStage(
      name + ".AM", {{"a", alpha}, {"x", m}, {"n", n}, {"th", rows}, {"tw", columns}, {"oc", oc}},
      [&](const Indices& i) {
        return ChosenRow(t.a, t.a_parts, i[1], [&](int64_t k) {
          return load(product, {i[0] * ir::Expr(alpha) + ir::Expr(k), i[2], i[3], i[4], i[5]});
        });
      }));
  const ir::Buffer am = last();
  stages.push_back(MakeStage(
      name + ".Y", {{"y", m}, {"x", m}, {"n", n}, {"th", rows}, {"tw", columns}, {"oc", oc}},
      [&](const Indices& i) {
        return ChosenRow(t.a, t.a_parts, i[0], [&](int64_t k) {
          return load(am, {ir::Expr(k), i[1], i[2], i[3], i[4], i[5]});
        });
      }));
  te::Stage result;
  result.outputs = conv.outputs;
  Indices i;
  for (const te::Axis& axis : conv.axes) {
    result.axes.push_back({ir::MakeVar(axis.var->name), axis.extent});
    i.push_back(result.axes.back().var);
  }
  result.bodies = {load(last(), {i[2] % ir::Expr(m), i[3] % ir::Expr(m), i[0], i[2] / ir::Expr(m),
                                 i[3] / ir::Expr(m), i[1]})};
  stages.push_back(std::move(result));
  return stages;
}

double WinogradErrorFactor(int64_t m) { return m == 2 ? 2 : 32; }

}  // namespace tessera::schedule
