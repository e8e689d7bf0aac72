#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// A program that Check lets pass, and the bytes of its buffers. It puts something into all tiles
// before it uses them, and all accumulators into the last buffer in the end. Accelerators are
// small; what it computes is nonsense.
struct RandomProgram {
  Code code;
  std::vector<std::vector<uint8_t>> buffers;
};
RandomProgram MakeRandomProgram(Rng& rng);

}  // namespace tessera::vta
