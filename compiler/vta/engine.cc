#include "compiler/vta/engine.h"

#include <array>

namespace tessera::vta {

std::string_view EngineName(Engine engine) {
  constexpr std::array<std::string_view, kEngines> kNames = {"fetch", "load", "compute", "store"};
  return kNames[static_cast<size_t>(engine)];
}

}  // namespace tessera::vta
