#pragma once

#include <string_view>

namespace tessera::library {

// Whether the C library has a function or variable of this name, so that an operator of the name
// would take its place in the whole program. The same on every host. Thread-safe.
bool IsInCLibrary(std::string_view name);

}  // namespace tessera::library
