#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::vta {

// Fetch hands instructions to the others, each of which executes its own in order. Tokens pass
// between neighbours in the row load, compute, store.
enum class Engine : uint8_t { kFetch, kLoad, kCompute, kStore };
inline constexpr int kEngines = 4;
std::string_view EngineName(Engine engine);  // "fetch"

}  // namespace tessera::vta
