#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera {

// A library of others that generated code calls where that is allowed. Tessera builds without it:
// only what loads such code needs it.
struct ThirdParty {
  std::string_view name;      // as traces and options have it
  std::string_view soname;    // what a library that calls it needs
  std::string_view function;  // that is called
  std::string_view package;   // of Debian 12
  std::string_view license;   // SPDX
  // Of the environment, "1" where a call is to run on the calling thread alone.
  std::string_view threads_variable;
  // const char*(): how it was built. Builds that name one of these two can't be called by several
  // threads at once, or have threads whatever the variable says.
  std::string_view build_function;
  std::string_view unsafe_build;
  std::string_view threaded_build;
};

// All that is known of.
absl::Span<const ThirdParty> ThirdParties();
// Null: none of that name.
const ThirdParty* ThirdPartyNamed(std::string_view name);

// Which may be called: names with commas between them, each once, in the order above; empty: none.
// ParseAllowed takes them in any order. InvalidArgument: a name that nobody knows, or one twice.
absl::StatusOr<std::string> ParseAllowed(std::string_view text);
bool IsAllowed(std::string_view allowed, std::string_view name);

// Loads it for as long as the process lives, so that threads may call it at once and each call runs
// on its caller alone: `threads_variable` is set for that, and the library not loaded before.
// Returns its handle, of dlopen. FailedPrecondition: it is not there, or is another build; says
// what to install. setenv, so not while other threads read the environment.
absl::StatusOr<void*> LoadThirdParty(const ThirdParty& library);

}  // namespace tessera
