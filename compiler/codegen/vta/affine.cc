#include "compiler/codegen/vta/affine.h"

#include <algorithm>

namespace tessera::codegen::vta {

using schedule::AffineValue;
using schedule::LoopTerm;

AffineValue Add(AffineValue a, const AffineValue& b, int64_t factor) {
  a.constant += factor * b.constant;
  for (const LoopTerm& term : b.terms) {
    const auto same = std::find_if(a.terms.begin(), a.terms.end(), [&](const LoopTerm& other) {
      return other.loop == term.loop && other.divisor == term.divisor &&
             other.extent == term.extent;
    });
    if (same != a.terms.end()) {
      same->coefficient += factor * term.coefficient;
    } else {
      a.terms.push_back(term);
      a.terms.back().coefficient *= factor;
    }
  }
  const auto vanishes = [](const LoopTerm& term) {
    return term.coefficient == 0 || term.extent == 1;
  };
  a.terms.erase(std::remove_if(a.terms.begin(), a.terms.end(), vanishes), a.terms.end());
  return a;
}

bool IsMultiple(const AffineValue& value, int64_t unit) {
  return value.constant % unit == 0 &&
         std::all_of(value.terms.begin(), value.terms.end(),
                     [&](const LoopTerm& term) { return term.coefficient % unit == 0; });
}

AffineValue Divide(AffineValue value, int64_t unit) {
  value.constant /= unit;
  for (LoopTerm& term : value.terms) term.coefficient /= unit;
  return value;
}

}  // namespace tessera::codegen::vta
