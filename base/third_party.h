#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace tessera {

// A library of others that generated code calls where that is allowed. Tessera builds without it:
// only what loads such code needs it.
struct ThirdParty {
  std::string_view name;        // as traces and options have it
  std::string_view soname;      // what a library that calls it needs
  std::string_view function;    // that is called
  std::string_view package;     // of Debian 12
  std::string_view pkg_config;  // its module there
  std::string_view link;        // -l…
  std::string_view license;     // SPDX
};

// All that is known of.
absl::Span<const ThirdParty> ThirdParties();
// Null: none of that name.
const ThirdParty* ThirdPartyNamed(std::string_view name);

}  // namespace tessera
