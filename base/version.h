#pragma once

#include <string_view>

namespace tessera {

// Of this build; recorded with every measurement. The release, and a digest of the sources of
// compiler/: "0.1.0+3f2a9c1d5e70". Builds of one version compile a program alike, by the
// same LLVM.
std::string_view Version();

}  // namespace tessera
