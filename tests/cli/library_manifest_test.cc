#include "cli/library_manifest.h"

#include <catch2/catch.hpp>

namespace tessera::cli {
namespace {

TEST_CASE("a manifest says what the CPU runs and why", "[cli]") {
  const auto operators = OperatorsOnCpu(R"({"ops": [
      {"name": "a", "device": {"programs": []}},
      {"name": "b", "device": {"runs_on_cpu": "too small"}},
      {"name": "c"}]})");
  INFO(operators.status());
  REQUIRE(operators.ok());
  REQUIRE(operators->size() == 1);
  CHECK(operators->at(0).name == "b");
  CHECK(operators->at(0).why == "too small");
}

TEST_CASE("a manifest that a server made up is refused, not trusted", "[cli]") {
  const auto [text, why] = GENERATE(table<const char*, const char*>(
      {{"", "ops is no list"},
       {"[]", "ops is no list"},
       {R"({"ops": 3})", "ops is no list"},
       {R"({"ops": {"name": "a"}})", "ops is no list"},
       {R"({"ops": [7]})", "ops[0] has no name"},
       {R"({"ops": [{"name": "a"}, {"name": 7}]})", "ops[1] has no name"},
       {R"({"ops": [{"name": "a", "device": "x"}]})", "ops[0].device is no object"},
       {R"({"ops": [{"name": "a", "device": {"runs_on_cpu": []}}]})",
        "ops[0].device.runs_on_cpu is no text"}}));
  CAPTURE(text);
  const absl::Status status = OperatorsOnCpu(text).status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains(why));
}

}  // namespace
}  // namespace tessera::cli
