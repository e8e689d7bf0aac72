#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace tessera {

// Debian's absl has its own string_view type; these convert without copying.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view StdView(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace tessera
