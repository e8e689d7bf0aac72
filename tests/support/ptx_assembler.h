#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/temporary_directory.h"

// NVIDIA's assembler of PTX, where it is installed.

namespace tessera {

inline bool HasAssembler() {
  if (std::system("command -v ptxas > /dev/null") == 0) return true;
  WARN("skipped, no ptxas: PTX is interpreted only");
  return false;
}

// What it has against the code; empty: nothing.
inline std::string AssemblerErrors(const std::string& source, const std::string& level) {
  const test::TemporaryDirectory folder;
  const std::string file = folder.path + "/kernel.ptx", log = folder.path + "/log";
  std::ofstream(file) << source;
  const std::string command =
      absl::StrCat("ptxas -arch=", level, " ", file, " -o /dev/null 2> ", log);
  if (std::system(command.c_str()) == 0) return "";
  std::ifstream stream(log);
  return std::string(std::istreambuf_iterator<char>(stream), {}) + " ";
}

}  // namespace tessera
