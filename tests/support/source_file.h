#pragma once

#include <string>
#include <string_view>

namespace tessera {

// Where a file of the source tree lies, by its path from the root.
std::string SourcePath(std::string_view path);

// What is in it; fails the test where it can't be read.
std::string ReadSourceFile(std::string_view path);

}  // namespace tessera
