#include "compiler/vta/ranges.h"

#include <algorithm>
#include <vector>

namespace tessera::vta {
namespace {

// The most that (turn / divisor) % extent is.
int64_t HighOf(const Term& term, absl::Span<const int64_t> turns) {
  const int64_t last_turn = turns[static_cast<size_t>(term.loop)] - 1;
  return std::min(last_turn / term.divisor, term.extent - 1);
}

int64_t SaturatedProduct(int64_t a, int64_t b, int64_t limit) {
  return b > limit / a ? limit : a * b;
}

}  // namespace

Range RangeOf(const Value& value, absl::Span<const int64_t> turns) {
  Range range = {value.constant, value.constant};
  for (const Term& term : value.terms) {
    const int64_t reach = term.coefficient * HighOf(term, turns);
    (reach < 0 ? range.low : range.high) += reach;
  }
  return range;
}

int64_t DistinctValues(absl::Span<const Value* const> values, absl::Span<const int64_t> turns,
                       int64_t limit) {
  // Of each loop no more than it has turns, and no more than its digits can tell apart.
  std::vector<int64_t> distinct(turns.size(), 1);
  std::vector<Term> digits;
  for (const Value* value : values) {
    for (Term digit : value->terms) {
      digit.coefficient = 1;
      if (std::ranges::find(digits, digit) != digits.end()) continue;
      digits.push_back(digit);
      int64_t& of_loop = distinct[static_cast<size_t>(digit.loop)];
      const int64_t most = std::min(turns[static_cast<size_t>(digit.loop)], limit);
      of_loop = SaturatedProduct(of_loop, HighOf(digit, turns) + 1, most);
    }
  }
  int64_t product = 1;
  for (const int64_t of_loop : distinct) product = SaturatedProduct(product, of_loop, limit);
  return product;
}

}  // namespace tessera::vta
