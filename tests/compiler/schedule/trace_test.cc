#include "compiler/schedule/trace.h"

#include <catch2/catch.hpp>

#include "base/rng.h"
#include "tests/support/random_trace.h"
#include "tests/support/workloads.h"

namespace tessera::schedule {
namespace {

TEST_CASE("a trace reads back from its text", "[schedule]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    for (uint64_t seed = 0; seed < 5; ++seed) {
      CAPTURE(spec.name, seed);
      const Trace trace = RandomTrace(workload->dag, Rng(seed)).Draw();
      const auto parsed = ParseTrace(Print(trace));
      REQUIRE(parsed.ok());
      CHECK(*parsed == trace);
    }
  }
  const std::string text =
      "trace 1\nwinograd conv 4\nread_through W image\nprefetch conv 2\n"
      "external fc openblas\n";
  CHECK(Print(ParseTrace(text).value()) == text);
}

TEST_CASE("faulty traces are refused with their line", "[schedule]") {
  const auto message = [](std::string_view text) {
    return std::string(ParseTrace(text).status().message());
  };
  CHECK(message("trace 2\n") == "trace line 1: \"trace 2\": expected \"trace 1\"");
  CHECK(message("trace 1\nspilt conv oc 4\n")
            .find("line 2: \"spilt conv oc 4\": unknown primitive") != std::string::npos);
  CHECK(message("trace 1\nsplit conv oc 0\n").find("factor \"0\" is not a number above 0") !=
        std::string::npos);
  CHECK(message("trace 1\nsplit conv oc\n").find("1 operands; expected 2 to 32") !=
        std::string::npos);
  CHECK(message("trace 1\nwinograd conv two\n").find("factor \"two\" is not a number above 0") !=
        std::string::npos);
  CHECK(message("trace 1\nwinograd conv\n").find("0 operands; expected 1 to 1") !=
        std::string::npos);
  CHECK(message("trace 1\ninline\n").find("the stage is missing") != std::string::npos);
  CHECK(message(std::string((1 << 20) + 1, 'x')).find("the limit is 1048576") != std::string::npos);
}

TEST_CASE("mutated trace text never crashes the parser", "[schedule][fuzz]") {
  const uint64_t seed = 7;
  CAPTURE(seed);
  Rng rng(seed);
  const std::string text = "trace 1\nlayout W 0/16 1 0%16\nsplit conv oc 4 16\nunroll conv oc.1\n";
  for (int round = 0; round < 20'000; ++round) {
    std::string mutated = text;
    for (int edits = static_cast<int>(rng.Between(1, 4)); edits > 0; --edits) {
      mutated[rng.Below(mutated.size())] = static_cast<char>(rng.Below(256));
    }
    if (const auto trace = ParseTrace(mutated); trace.ok()) {
      CHECK(ParseTrace(Print(*trace)).value() == *trace);
    }
  }
}

}  // namespace
}  // namespace tessera::schedule
