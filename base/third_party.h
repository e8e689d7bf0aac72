#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera {

// A library of others that generated code calls where that is allowed. Tessera builds without it:
// only what loads such code needs it.
struct ThirdParty {
  std::string_view name;    // as traces and options have it
  std::string_view soname;  // what a library that calls it needs
  // Of it that are called, by generated code or by the C runtime that stands between
  // (compiler/runtime/onednn.h).
  absl::Span<const std::string_view> functions;
  // What its threads are of, and of that what the C runtime calls; empty: nothing.
  std::string_view runtime_soname;
  absl::Span<const std::string_view> runtime_functions;
  // That generated code calls: some of the above, or the C runtime's.
  absl::Span<const std::string_view> entry_points;
  std::string_view package;  // of Debian 12
  std::string_view license;  // SPDX
  // Of the environment, "1" where a call is to run on the calling thread alone; empty: each call
  // sees to that itself.
  std::string_view threads_variable;
  // Says how it was built; who has none is another library.
  std::string_view build_function;
  // In what that says where threads can't call it at once, or where it has threads whatever the
  // variable says; empty: `why_unfit` knows better than by words.
  std::string_view unsafe_build;
  std::string_view threaded_build;
  // Why threads can't share what is loaded as `handle`; empty: they can.
  std::string (*why_unfit)(const ThirdParty& library, void* handle);

  // By name: itself, and what its threads are of.
  std::vector<std::string_view> Sonames() const;
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
// on its caller alone: `threads_variable` is set for that where there is one, and the library not
// loaded before.
// Returns its handle, of dlopen. FailedPrecondition: it is not there, or is another build; says
// what to install. setenv, so not while other threads read the environment.
absl::StatusOr<void*> LoadThirdParty(const ThirdParty& library);

}  // namespace tessera
