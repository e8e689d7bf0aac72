#pragma once

#include "compiler/library/library.h"

namespace tessera::library {

// <name>.hpp: the model of the library, which is there, as classes of C++17 over the header. Errors
// are exceptions.
LibraryFile ModelWrapper(const LibrarySpec& spec, const std::string& version);

}  // namespace tessera::library
