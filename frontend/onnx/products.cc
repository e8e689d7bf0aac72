#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "compiler/te/saturating.h"
#include "frontend/onnx/converters.h"

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// One dimension is a row on the left and a column on the right, and gone in the result.
Values MatMul(Call& call) {
  Emitter& emit = call.emit;
  Value a = call.In(0), b = call.In(1);
  if (!call.CheckRank(a, 1) || !call.CheckRank(b, 1)) return {};
  const bool is_row = emit.Rank(a) == 1, is_column = emit.Rank(b) == 1;
  if (is_row) a = emit.Reshape(a, {1, emit.Extent(a, 0)});
  if (is_column) b = emit.Reshape(b, {emit.Extent(b, 0), 1});
  Value product = QuantizedProduct(emit, a, b, {});
  if (product.is_absent()) product = Product(emit, a, b);
  Shape shape = emit.Shape(product);
  if (!call.ok()) return {};
  if (is_column) shape.pop_back();
  if (is_row) shape.erase(shape.end() - (is_column ? 1 : 2));
  return {emit.Reshape(product, shape)};
}

// Rows for columns, of a matrix and of what its numbers are of.
Value Turned(Emitter& emit, const Value& x) {
  Value turned = emit.Transpose(x, {1, 0});
  if (!emit.ok() || x.integers == nullptr) return turned;
  const auto along = [&](const Value& numbers) {
    if (numbers.is_absent() || emit.Type(numbers).ElementCount() == 1) return numbers;
    const int64_t count = emit.Type(numbers).ElementCount();
    return emit.Reshape(numbers, emit.Rank(numbers) == 1 ? Shape{count, 1} : Shape{count});
  };
  const Integers& of_x = *x.integers;
  turned.integers = std::make_shared<Integers>(emit.Transpose(of_x.q, {1, 0}), along(of_x.scale),
                                               along(of_x.zero));
  return turned;
}

// alpha a b + beta c
Values Gemm(Call& call) {
  Emitter& emit = call.emit;
  Value a = call.In(0), b = call.In(1);
  const double alpha = call.Float("alpha", 1), beta = call.Float("beta", 1);
  const bool turns_a = call.Int("transA", 0) != 0, turns_b = call.Int("transB", 0) != 0;
  if (!call.CheckRank(a, 2, 2) || !call.CheckRank(b, 2, 2)) return {};
  if (turns_a) a = emit.Transpose(a, {1, 0});
  Value bias = call.Has(2) ? call.In(2) : Value{};
  const int64_t columns = emit.Extent(b, turns_b ? 0 : 1);
  const ir::Type type = emit.Element(a);
  const bool is_row = !bias.is_absent() && alpha == 1 && beta == 1 &&
                      emit.Type(bias).ElementCount() == columns &&
                      (columns == 1 || emit.Shape(bias).back() == columns);
  if (alpha == 1 && beta == 1 && (bias.is_absent() || is_row)) {
    const Value row = is_row ? emit.Reshape(bias, {columns}) : bias;
    const Value made = QuantizedProduct(emit, a, turns_b ? Turned(emit, b) : b, row);
    if (!call.ok() || !made.is_absent()) return {made};
  }
  Value sum;
  if (type.is_float() && type.bits <= 32) {
    Values operands{a, b};
    if (is_row) operands.push_back(emit.Reshape(bias, {columns}));
    sum = emit.Add("matmul", operands, {{"transpose_b", int64_t{turns_b}}});
    if (is_row) bias = {};
  } else {
    sum = Product(emit, a, turns_b ? emit.Transpose(b, {1, 0}) : b);
  }
  if (alpha != 1) sum = emit.Add("mul", {sum, emit.Number(alpha, sum)});
  if (bias.is_absent()) return {sum};
  if (beta != 1) bias = emit.Add("mul", {bias, emit.Number(beta, bias)});
  return {emit.Add("add", {sum, bias})};
}

// --- Einsum of one or two operands, each dimension of which has a letter

using Letters = std::string;

struct Term {
  Letters letters;
  Value value;
};

// "..." becomes letters that no equation has, the last of which is the last dimension.
bool Spell(Call& call, std::string text, size_t rank, Letters& letters) {
  std::erase(text, ' ');
  const size_t dots = text.find("...");
  if (dots != Letters::npos) {
    const size_t named = text.size() - 3;
    if (rank < named) return false;
    Letters hidden;
    for (size_t i = rank - named; i-- > 0;) hidden += static_cast<char>('0' + i);
    text.replace(dots, 3, hidden);
  }
  letters = text;
  const bool fits =
      letters.size() == rank && std::ranges::all_of(letters, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      });
  Letters sorted = letters;
  std::ranges::sort(sorted);
  const bool repeats = std::ranges::adjacent_find(sorted) != sorted.end();
  if (repeats) call.Fail("takes a diagonal, which is not supported; write it as a product");
  return fits && !repeats;
}

bool Has(const Letters& letters, char letter) { return letters.find(letter) != Letters::npos; }

// Letters in that order.
Value Ordered(Emitter& emit, const Term& term, const Letters& order) {
  Shape places;
  for (const char letter : order) {
    places.push_back(static_cast<int64_t>(term.letters.find(letter)));
  }
  return emit.Transpose(term.value, places);
}

// Sums over letters that `kept` has not.
void SumOut(Emitter& emit, Term& term, const Letters& kept) {
  Shape axes;
  Letters left;
  for (size_t d = 0; d < term.letters.size(); ++d) {
    if (Has(kept, term.letters[d])) {
      left += term.letters[d];
    } else {
      axes.push_back(static_cast<int64_t>(d));
    }
  }
  if (axes.empty()) return;
  term.value = emit.Add("reduce_sum", {term.value}, {{"axes", axes}, {"keep", int64_t{0}}});
  term.letters = left;
}

Term Multiplied(Emitter& emit, Term a, Term b, const Letters& result) {
  SumOut(emit, a, b.letters + result);
  SumOut(emit, b, a.letters + result);
  Letters both, left, right, summed;
  for (const char letter : a.letters) {
    if (!Has(b.letters, letter)) {
      left += letter;
    } else if (Has(result, letter)) {
      both += letter;
    } else {
      summed += letter;
    }
  }
  for (const char letter : b.letters) {
    if (!Has(a.letters, letter)) right += letter;
  }
  const auto extents = [&](const Term& term, const Letters& letters) {
    Shape shape;
    for (const char c : letters) shape.push_back(emit.Extent(term.value, term.letters.find(c)));
    return shape;
  };
  const auto size = [&](const Term& term, const Letters& letters) {
    return te::SaturatingProduct(extents(term, letters));
  };
  const int64_t batch = size(a, both), m = size(a, left), k = size(a, summed), n = size(b, right);
  Shape shape = extents(a, both);
  for (const int64_t extent : extents(a, left)) shape.push_back(extent);
  for (const int64_t extent : extents(b, right)) shape.push_back(extent);
  const Value x = emit.Reshape(Ordered(emit, a, both + left + summed), {batch, m, k});
  const Value y = emit.Reshape(Ordered(emit, b, both + summed + right), {batch, k, n});
  return {both + left + right, emit.Reshape(Product(emit, x, y), shape)};
}

Values Einsum(Call& call) {
  Emitter& emit = call.emit;
  const std::string equation = call.Word("equation", "");
  if (call.inputs() < 1 || call.inputs() > 2) {
    return call.Fail("has more than two operands; write it as products of two");
  }
  std::vector<std::string> texts(1);
  const size_t arrow = equation.find("->");
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') {
      texts.emplace_back();
    } else {
      texts.back() += c;
    }
  }
  const auto fault = [&] {
    return call.Invalid(absl::StrCat("equation is \"", equation.substr(0, 120),
                                     "\", which does not fit the operands"));
  };
  if (texts.size() != call.inputs()) return fault();
  std::vector<Term> terms;
  Letters all;
  size_t hidden = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    Term term{"", call.In(i)};
    if (!Spell(call, texts[i], emit.Rank(term.value), term.letters)) return fault();
    all += term.letters;
    hidden = std::max(hidden, static_cast<size_t>(std::ranges::count_if(
                                  term.letters, [](char c) { return c <= '9'; })));
    terms.push_back(std::move(term));
  }
  Letters result;
  std::string wanted = arrow == std::string::npos ? "" : equation.substr(arrow + 2);
  if (arrow == std::string::npos) {  // letters that come once, in order
    if (hidden > 0) wanted = "...";
    Letters sorted = all;
    std::ranges::sort(sorted);
    for (const char c : sorted) {
      if (c > '9' && std::ranges::count(all, c) == 1) wanted += c;
    }
  }
  std::erase(wanted, ' ');
  const size_t named = wanted.find("...") == std::string::npos ? wanted.size() : wanted.size() - 3;
  const size_t rank = named == wanted.size() ? named : named + hidden;
  if (!Spell(call, wanted, rank, result)) return fault();
  for (const char c : result) {
    if (!Has(all, c)) return fault();
  }
  for (const Term& term : terms) {
    for (const char c : term.letters) {
      const size_t other = terms.back().letters.find(c);
      if (other != Letters::npos &&
          emit.Extent(terms.back().value, other) != emit.Extent(term.value, term.letters.find(c))) {
        return fault();  // extents of 1 are not broadcast
      }
    }
  }
  Term made = terms[0];
  if (terms.size() == 2) made = Multiplied(emit, terms[0], terms[1], result);
  SumOut(emit, made, result);
  return {Ordered(emit, made, result)};
}

}  // namespace

Value Product(Emitter& emit, const Value& a, const Value& b) {
  const ir::Type type = emit.Element(a);
  const bool sums_narrow = type.is_float() ? type.bits <= 32 : type.bits <= 16;
  if (sums_narrow || type == ir::Int(32)) return emit.Add("matmul", {a, b});
  // Wider ones than the sums of products have are multiplied element by element.
  Shape left = emit.Shape(a), right = emit.Shape(b);
  if (left.size() < 2 || right.size() < 2) return {};
  left.push_back(1);
  right.insert(right.end() - 2, 1);
  const Value all = emit.Add("mul", {emit.Reshape(a, left), emit.Reshape(b, right)});
  return emit.Add("reduce_sum", {all}, {{"axes", Shape{-2}}, {"keep", int64_t{0}}});
}

std::vector<Row> ProductRows() { return {{"Einsum", Einsum}, {"Gemm", Gemm}, {"MatMul", MatMul}}; }

}  // namespace tessera::frontend
