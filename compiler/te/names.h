#pragma once

#include <string_view>

namespace tessera::te {

// [A-Za-z_][A-Za-z0-9_]* that the textual form has no other meaning for, at most 200 characters.
bool IsName(std::string_view name);

}  // namespace tessera::te
