// docs/operators.md says what every operator and attribute of the table means.

#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "compiler/te/operators.h"

namespace tessera::te {
namespace {

std::string ReadDocument() {
  const std::string source = __FILE__;
  const size_t root = source.rfind("tests/compiler/te/");
  REQUIRE(root != std::string::npos);
  std::ifstream file(source.substr(0, root) + "docs/operators.md");
  REQUIRE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The attributes of all operators, as OperatorHelp shows them: "name", "name=1", "[name]",
// "name(a|b)=a".
std::set<std::string> AttributeNames() {
  std::set<std::string> names;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(OperatorHelp(), '\n', absl::SkipEmpty()))) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t begin = words[i].find_first_not_of('[');
      names.insert(words[i].substr(begin, words[i].find_first_of("]=(", begin) - begin));
    }
  }
  return names;
}

TEST_CASE("docs/operators.md has a row for every operator", "[te][docs]") {
  const std::string document = ReadDocument();
  for (const std::string& name : OperatorNames()) {
    CAPTURE(name);
    CHECK(absl::StrContains(document, "\n| `" + name + "` |"));
  }
}

TEST_CASE("docs/operators.md names every attribute", "[te][docs]") {
  // Extents of the shapes, which its tables state.
  const std::set<std::string> extents = {"batch", "m", "n", "k", "c", "ic", "oc"};
  const std::string document = ReadDocument();
  const std::set<std::string> names = AttributeNames();
  CHECK(names.contains("transpose_b"));
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK((extents.contains(name) || absl::StrContains(document, "`" + name + "`")));
  }
}

}  // namespace
}  // namespace tessera::te
