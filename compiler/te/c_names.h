#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

// Which names a built library's C functions may have. The same on every host. Thread-safe.

namespace tessera::te {

// Words that C or C++ keep for themselves, types and macros of <stddef.h> and <stdint.h> that a
// library's header uses, macros that compilers and common headers define.
bool IsReservedInC(std::string_view name);

// `name` with '_' for what no C identifier has; `otherwise` for an empty one.
std::string ToCIdentifier(std::string_view name, std::string_view otherwise);

// Whether `name` can name a C and C++ function.
bool IsCIdentifier(std::string_view name);

// Whether the C library has a function or variable of this name, so that an operator of the name
// would take its place in the whole program.
bool IsInCLibrary(std::string_view name);

// Whether a library may export an operator under this name, which becomes that of its function.
// InvalidArgument.
absl::Status CheckOpName(std::string_view name);

}  // namespace tessera::te
