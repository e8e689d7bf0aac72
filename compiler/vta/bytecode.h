#pragma once

#include <cstdint>
#include <vector>

#include "compiler/vta/code.h"

namespace tessera::vta {

// What compiler/runtime/vta.h expands. Requires that Check lets the program pass.
std::vector<int64_t> Assemble(const Code& code);

}  // namespace tessera::vta
