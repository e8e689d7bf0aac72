#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::codegen {

// Names of the symbols that a relocatable ELF object leaves undefined, sorted.
absl::StatusOr<std::vector<std::string>> UndefinedSymbols(const std::string& object);

}  // namespace tessera::codegen
