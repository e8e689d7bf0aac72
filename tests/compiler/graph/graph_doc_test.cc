#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "compiler/graph/operators.h"
#include "tests/support/source_file.h"

namespace tessera::graph {

TEST_CASE("docs/graph.md has each operator and no other", "[graph]") {
  std::istringstream file(ReadSourceFile("docs/graph.md"));
  std::set<std::string> told;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| `")) continue;
    const std::string first = line.substr(0, line.find('|', 1));
    const std::regex name("`([a-z_]+)`");
    for (std::sregex_iterator i(first.begin(), first.end(), name), end; i != end; ++i) {
      CHECK(told.insert((*i)[1]).second);
    }
  }
  std::set<std::string> there;
  for (const std::string_view op : OperatorNames()) there.emplace(op);
  CHECK(told == there);
}

}  // namespace tessera::graph
