#pragma once

#include <string>
#include <string_view>

namespace tessera::runner {

// Why a candidate could not be loaded, and what to do, given what dlerror said: short enough for a
// reply where a library of others is what it lacks.
std::string WhyNotLoaded(std::string_view error);

}  // namespace tessera::runner
