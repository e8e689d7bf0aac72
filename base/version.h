#pragma once

#include <string_view>

namespace tessera {

// Of this build; recorded with every measurement.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace tessera
