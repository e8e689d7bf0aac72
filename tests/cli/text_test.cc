#include "cli/text.h"

#include <catch2/catch.hpp>

#include "cli/tables.h"

namespace tessera::cli {
namespace {

TEST_CASE("text is counted and cut in characters", "[cli]") {
  CHECK(WidthOf("") == 0);
  CHECK(WidthOf("größe") == 5);
  CHECK(Cut("größe", 3) == "grö");
  CHECK(Cut("größe", 9) == "größe");
  CHECK(Cut("größe", 0).empty());
}

TEST_CASE("long text is broken at spaces, words that are too long anywhere", "[cli]") {
  using Lines = std::vector<std::string>;
  CHECK(Wrapped("", 5).empty());
  CHECK(Wrapped("one two", 7) == Lines{"one two"});
  CHECK(Wrapped("one two three", 7) == Lines{"one two", "three"});
  CHECK(Wrapped("größe größer", 5) == Lines{"größe", "größe", "r"});
}

TEST_CASE("what others said does not steer the terminal", "[cli]") {
  CHECK(OneLine("a\tb\r\nc") == "a b  c");
  CHECK(OneLine("\033[2Jred\x07\x7f") == "?[2Jred??");
  CHECK(OneLine("\xc2\x9b"
                "31m é ½") == "?31m é ½");
  CHECK(OneLine("\xc2") == "\xc2");
}

TEST_CASE("a table's columns are as wide as its characters, each row one line", "[cli]") {
  Table table({"name", ">n", "reason"});
  table.Add({"größe", "1", "signal 11\nat \033[31m0"});
  table.Add({"ab", "12", "-"});
  CHECK(table.Text() ==
        "name    n  reason\n"
        "größe   1  signal 11 at ?[31m0\n"
        "ab     12  -\n");
}

TEST_CASE("a long reason is cut between characters", "[cli]") {
  db::Record record;
  record.task_key = "0123456789abcdef";
  record.measurement.outcome = db::Outcome::kRunError;
  for (int i = 0; i < 81; ++i) record.measurement.reason += "é";
  Table table = EmptyLogTable();
  AddToLog(table, record, {});
  const std::string text = table.Text();
  std::string expected;
  for (int i = 0; i < 80; ++i) expected += "é";
  CHECK(text.ends_with("  " + expected + "\n"));
}

}  // namespace
}  // namespace tessera::cli
