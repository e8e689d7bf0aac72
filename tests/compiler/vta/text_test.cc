#include "compiler/vta/text.h"

#include <catch2/catch.hpp>

#include "tests/compiler/vta/random_instruction.h"

namespace tessera::vta {
namespace {

TEST_CASE("programs are read as they were printed", "[vta]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Rng rng(seed);
  std::vector<Instruction> program;
  for (int i = 0; i < 500; ++i) program.push_back(RandomInstruction(rng, RandomConfig(rng)));
  const std::string text = PrintAll(program);
  const auto read = ParseAll(text);
  INFO(read.status());
  REQUIRE(read.ok());
  CHECK(*read == program);
  CHECK(ParseAll("# a comment\n\n" + text + "  \n")->size() == program.size());
}

TEST_CASE("text that is no instruction is refused by its line and word", "[vta]") {
  const auto refusal = [](const char* text) {
    const absl::Status status = ParseAll(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK_THAT(refusal("finish\nhalt\n"),
             Catch::Contains("line 2: VTA instruction: load, store, gemm, alu or finish is "
                             "expected, not \"halt\""));
  CHECK_THAT(refusal("load dram sram 0"), Catch::Contains("a memory is expected, not \"dram\""));
  CHECK_THAT(refusal("load inp sram 0 dram"),
             Catch::Contains("a number is expected, not the line's end"));
  CHECK_THAT(refusal("load inp sram 1e3"), Catch::Contains("a number is expected, not \"1e3\""));
  CHECK_THAT(refusal("alu mul"), Catch::Contains("an operation of alu is expected"));
  CHECK_THAT(refusal("finish push"), Catch::Contains("\"prev\" or \"next\" is expected"));
  CHECK_THAT(refusal("finish now"), Catch::Contains("the end is expected, not \"now\""));
}

TEST_CASE("hostile text is refused or read, never more", "[vta]") {
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 5'000; ++i) {
    std::string text = Print(RandomInstruction(rng, Config()));
    for (uint64_t edits = 1 + rng.Below(3); edits > 0; --edits) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Below(256));
    }
    const auto read = ParseInstruction(text);
    if (read.ok()) CHECK(ParseInstruction(Print(*read)).value() == *read);
  }
}

}  // namespace
}  // namespace tessera::vta
