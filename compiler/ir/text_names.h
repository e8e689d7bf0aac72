#pragma once

#include <string>
#include <string_view>

// The names of the textual form: what printer and parser must agree on.

namespace tessera::ir {

// A letter or '_', then letters, digits, '_' and '.', no keyword or built-in function, at most 200
// characters.
bool IsPlainName(std::string_view name);

// `name` itself if plain, else the nearest plain name.
std::string PlainName(std::string_view name);

}  // namespace tessera::ir
