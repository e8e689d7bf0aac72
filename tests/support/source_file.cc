#include "tests/support/source_file.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

namespace tessera {

std::string SourcePath(std::string_view path) {
  return std::string(TESSERA_SOURCE_ROOT "/").append(path);
}

std::string ReadSourceFile(std::string_view path) {
  std::ifstream file(SourcePath(path), std::ios::binary);
  INFO(SourcePath(path));
  REQUIRE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace tessera
