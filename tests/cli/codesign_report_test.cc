#include "cli/codesign_report.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace tessera::cli {
namespace {

using codesign::Evaluated;

Evaluated Made(double seconds, int64_t rams, int64_t megahertz, int front) {
  Evaluated one;
  one.tuned.variant.megahertz = megahertz;
  one.resources = {.dsps = 220, .bram18s = rams, .luts = 12'236};
  one.seconds = seconds;
  one.joules = 0.007;
  one.front = front;
  return one;
}

codesign::Exploration Found() {
  codesign::Exploration found;
  found.device = codesign::FindDevice("XC7Z020").value();
  found.screening = {.screened = 9'331'200, .not_encodable = 999, .luts = 1'000};
  found.tuned = {Made(0.08, 267, 100, 1),  Made(0.03, 280, 200, 0),   Made(0.04, 250, 200, 0),
                 Made(0.079, 260, 100, 2), Made(0.0805, 250, 100, 2), Made(0.0815, 240, 100, 3)};
  return found;
}

TEST_CASE("what was screened is told in groups of three digits", "[cli]") {
  const std::string text = ScreeningText(Found());
  CHECK_THAT(text, Catch::StartsWith("9,331,200 variants screened for an XC7Z020"));
  CHECK_THAT(text, Catch::Contains(" 999 can't be encoded"));
  CHECK_THAT(text, Catch::Contains(" 1,000 too many LUTs"));
  CHECK_THAT(text, Catch::EndsWith("6 were tuned\n"));
  codesign::Exploration found = Found();
  found.no_program = 2;
  CHECK_THAT(ScreeningText(found), Catch::Contains("6 were tuned, and 2 more of which"));
}

TEST_CASE("the table has the front and what the default is compared with", "[cli]") {
  const std::string table = CodesignTable(Found());
  CHECK(std::count(table.begin(), table.end(), '\n') == 1 + 5);
  CHECK_THAT(table, Catch::Contains("80.00") && Catch::Contains("30.00") &&
                        Catch::Contains("40.00") && Catch::Contains("79.00") &&
                        Catch::Contains("80.50") && !Catch::Contains("81.50"));
}

TEST_CASE("only what is as small as the default is compared with it", "[cli]") {
  codesign::Exploration found = Found();
  CHECK_THAT(ComparisonText(found), Catch::Contains("79.00 ms instead of 80.00 (1.013 times") &&
                                        Catch::Contains("40.00 ms instead of 80.00 (2.000 times") &&
                                        Catch::Contains("250 block RAMs instead of 267, in 80.50"));
  found.tuned.resize(2);
  CHECK_THAT(ComparisonText(found), Catch::Contains("at any clock: nothing faster") &&
                                        !Catch::Contains("block RAMs instead of"));
}

}  // namespace
}  // namespace tessera::cli
