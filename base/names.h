#pragma once

#include <string>

#include "absl/types/span.h"

namespace tessera {

// "a, b or c": what there is to choose from, for messages. A `Kind` has a `name`.
template <typename Kind>
std::string NamesOf(absl::Span<const Kind> kinds) {
  std::string names;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (i > 0) names += i + 1 < kinds.size() ? ", " : " or ";
    names += kinds[i].name;
  }
  return names;
}

}  // namespace tessera
