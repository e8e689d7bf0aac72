#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
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
  // Of the environment, "1" where a call is to run on the calling thread alone.
  std::string_view threads_variable;
};

// All that is known of.
absl::Span<const ThirdParty> ThirdParties();
// Null: none of that name.
const ThirdParty* ThirdPartyNamed(std::string_view name);

// Which may be called: names with commas between them, each once, in the order above; empty: none.
// ParseAllowed takes them in any order. InvalidArgument: a name that nobody knows, or one twice.
absl::StatusOr<std::string> ParseAllowed(std::string_view text);
bool IsAllowed(std::string_view allowed, std::string_view name);

}  // namespace tessera
