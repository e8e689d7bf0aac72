// docs/operators.md says what every operator and attribute of the table means.

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "compiler/te/operators.h"
#include "tests/support/source_file.h"

namespace tessera::te {
namespace {

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
  const std::string document = ReadSourceFile("docs/operators.md");
  for (const std::string& name : OperatorNames()) {
    CAPTURE(name);
    CHECK(absl::StrContains(document, "\n| `" + name + "` |"));
  }
}

TEST_CASE("docs/operators.md names every attribute", "[te][docs]") {
  // Extents of the shapes, which its tables state.
  const std::set<std::string> extents = {"batch", "m", "n", "k", "c", "ic", "oc"};
  const std::string document = ReadSourceFile("docs/operators.md");
  const std::set<std::string> names = AttributeNames();
  CHECK(names.contains("transpose_b"));
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK((extents.contains(name) || absl::StrContains(document, "`" + name + "`")));
  }
}

}  // namespace
}  // namespace tessera::te
