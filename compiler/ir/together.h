#pragma once

#include <optional>
#include <string>

#include "compiler/ir/target.h"

namespace tessera::ir {

// Why one library can't have a version for each of both targets, to go on a sentence that begins
// with them: their kinds differ, or their features, by which a library chooses, don't. Nothing
// where it can.
std::optional<std::string> WhyNotTogether(const Target& a, const Target& b);

}  // namespace tessera::ir
