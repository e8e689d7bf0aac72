#include "compiler/vta/code_text.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/vta/value_text.h"
#include "tests/compiler/vta/random_code.h"

namespace tessera::vta {
namespace {

constexpr int kBuffers = 3;
const std::string kHead =
    "vta 1\n"
    R"(config {"LOG_BATCH":0,"LOG_BLOCK":4,"LOG_UOP_BUFF_SIZE":15,"LOG_INP_BUFF_SIZE":15,)"
    R"("LOG_WGT_BUFF_SIZE":18,"LOG_ACC_BUFF_SIZE":17})"
    "\n";
const std::string kProgram = kHead + R"(allocation inp first 0 tiles 64 copies 2
allocation wgt first 0 tiles 9 copies 1
allocation acc first 0 tiles 14 copies 1
repeat 14
  load 0[i0%2]@0 buffer 0 tile 0 rows -1+i0%14 3 of 14 columns 0 14 of 14 stride 14
  repeat 3
    gemm dst 2[0]@0 src 0[i0%2]@14*i1%3 wgt 1[0]@3*i1%3 loop 14 by 1 1 0
  alu max imm 0 dst 2[0]@0 loop 14 by 1 0 0
  store 2[0]@0 buffer 2 tile 0 rows i0%14 1 of 14 columns 0 14 of 14 stride 14
alu add dst 2[0]@0 src 2[0]@1
gemm reset dst 2[0]@0
)";

TEST_CASE("compact programs are read as they were printed", "[vta]") {
  const auto example = ParseCode(kProgram, kBuffers);
  INFO(example.status());
  REQUIRE(example.ok());
  CHECK(Print(*example) == kProgram);
  const Move& load = std::get<Move>(std::get<Repeat>(example->body[0].what).body[0].what);
  CHECK(load.rows == Span{{-1, {{.loop = 0, .extent = 14}}}, 3, 14});

  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 100; ++i) {
    const RandomProgram made = MakeRandomProgram(rng);
    const std::string text = Print(made.code);
    CAPTURE(text);
    const auto read = ParseCode(text, static_cast<int>(made.buffers.size()));
    INFO(read.status());
    REQUIRE(read.ok());
    CHECK(*read == made.code);
  }
}

TEST_CASE("values are read as they were printed", "[vta]") {
  Rng rng(1);
  const auto any = [&] {
    return rng.Chance(0.5) ? rng.Between(-2, 2) : static_cast<int64_t>(rng.Next());
  };
  for (int i = 0; i < 1000; ++i) {
    Value value{.constant = any()};
    for (uint64_t terms = rng.Below(4); terms > 0; --terms) {
      value.terms.push_back({.loop = static_cast<int>(rng.Below(kMaxLoops)),
                             .divisor = any() & INT64_MAX,
                             .extent = any() & INT64_MAX,
                             .coefficient = any()});
    }
    CAPTURE(Print(value));
    CHECK(ParseValue(Print(value)).value() == value);
  }
}

TEST_CASE("text that is no compact program is refused by its line and word", "[vta]") {
  const auto refusal = [](std::string_view text) {
    const absl::Status status = ParseCode(text, kBuffers).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const auto with = [&](const char* from, const char* to) {
    CAPTURE(from);
    REQUIRE(kProgram.find(from) != std::string::npos);
    return refusal(absl::StrReplaceAll(kProgram, {{from, to}}));
  };
  CHECK_THAT(refusal(""), Catch::Contains("line 1: \"vta 1\" is expected"));
  CHECK_THAT(refusal("vta 1"), Catch::Contains("line 2: \"config\" is expected"));
  CHECK_THAT(with("vta 1", "vta 2"), Catch::Contains("line 1: \"vta 1\" is expected"));
  CHECK_THAT(with("\"LOG_BLOCK\":4", "\"LOG_BLOCK\":40"), Catch::Contains("line 2: VTA config"));
  CHECK_THAT(with("allocation wgt", "allocation dram"), Catch::Contains("a memory is expected"));
  CHECK_THAT(with("  repeat 3", "   repeat 3"), Catch::Contains("line 8: 3 spaces stand in front"));
  CHECK_THAT(with("  repeat 3", "    repeat 3"), Catch::Contains("there are 1 loops around"));
  CHECK_THAT(with("  repeat 3", "  repeat"), Catch::Contains("line 8: a number is expected"));
  CHECK_THAT(with("  repeat 3", "  repeat 3 x"), Catch::Contains("the end is expected, not \"x\""));
  CHECK_THAT(with("  repeat 3", "  halt"),
             Catch::Contains("repeat, load, store, gemm or alu is expected, not \"halt\""));
  CHECK_THAT(with("buffer 0", "buffer 4294967296"), Catch::Contains("a smaller number"));
  CHECK_THAT(with("buffer 0", "buffer 3"), Catch::Contains("node 1: the buffer is 3"));
  CHECK_THAT(with("0[i0%2]@0 b", "0[i0]@0 b"), Catch::Contains("\"%\" is expected, not \"]@0\""));
  CHECK_THAT(with("0[i0%2]@0 b", "0[i16%2]@0 b"), Catch::Contains("a loop below 16"));
  CHECK_THAT(with("0[i0%2]@0 b", "0[1+2]@0 b"), Catch::Contains("\"*\" is expected, not \"]@0\""));
  CHECK_THAT(with("0[i0%2]@0 b", "64[0]@0 b"), Catch::Contains("an allocation below 64"));
  CHECK_THAT(with("-1+i0%14", "-1+i0%14-"), Catch::Contains("\"i\" is expected"));
  CHECK_THAT(with("-1+i0%14", "99999999999999999999"), Catch::Contains("a number is expected"));
  CHECK_THAT(refusal(kProgram + "allocation acc first 14 tiles 1 copies 1\n"),
             Catch::Contains("allocations stand in front of all else"));
  const auto with_constants = [&](const std::string& constants) {
    return refusal(absl::StrReplaceAll(kProgram, {{"repeat 14", constants + "repeat 14"}}));
  };
  CHECK_THAT(with_constants("constant 0g00\n"), Catch::Contains("two hexadecimal digits a byte"));
  CHECK_THAT(with_constants("constant 000\n"), Catch::Contains("two hexadecimal digits a byte"));
  CHECK_THAT(with_constants("constant 00000000\nallocation inp first 0 tiles 1 copies 1\n"),
             Catch::Contains("allocations stand in front of all else"));
  std::string nine;
  for (int i = 0; i <= kMaxConstants; ++i) nine += "constant 00000000\n";
  CHECK_THAT(with_constants(nine), Catch::Contains("more than 8 constants"));
  CHECK_THAT(refusal(kProgram + "constant 00000000\n"),
             Catch::Contains("constants stand in front of what is done"));
  CHECK_THAT(with("buffer 0", "constant 0"), Catch::Contains("the constant is 0"));
  CHECK_THAT(with("buffer 0", "buffer -1"), Catch::Contains("a smaller number"));
}

TEST_CASE("text of any size takes no more than a program of the largest", "[vta]") {
  const auto refusal = [](std::string_view text) {
    return std::string(ParseCode(text, kBuffers).status().message());
  };
  std::string deep = kHead;
  for (int i = 0; i <= kMaxLoops; ++i)
    absl::StrAppend(&deep, std::string(2 * i, ' '), "repeat 1\n");
  CHECK_THAT(refusal(deep), Catch::Contains("more than 16 loops"));
  std::string many = kHead;
  for (int64_t i = 0; i <= kMaxNodes; ++i) many += "repeat 1\n";
  CHECK_THAT(refusal(many), Catch::Contains("more than 65536 nodes"));
  std::string allocations = kHead;
  for (int i = 0; i <= kMaxAllocations; ++i) {
    absl::StrAppend(&allocations, "allocation inp first ", i, " tiles 1 copies 1\n");
  }
  CHECK_THAT(refusal(allocations), Catch::Contains("more than 64 allocations"));
  CHECK_THAT(refusal(kHead + std::string(100'000, 'a')), Catch::Contains("more than 65536"));
  std::string terms = "0";
  for (int i = 0; i <= kMaxTerms; ++i) terms += "+i0%2";
  CHECK_THAT(refusal(kHead + "gemm reset dst 0[0]@" + terms), Catch::Contains("16 terms at most"));
  std::string loops = "gemm reset dst 0[0]@0";
  for (int i = 0; i <= kMaxStepLoops; ++i) loops += " loop 1 by 0 0 0";
  CHECK_THAT(refusal(kHead + loops), Catch::Contains("no more than 8 loops"));
}

TEST_CASE("hostile compact programs are refused or read, never more", "[vta]") {
  const uint64_t seed = GENERATE(1, 2);
  CAPTURE(seed);
  Rng rng(seed);
  constexpr std::string_view kLikely = "0123456789-+*/%i[]@ \n";
  int read_count = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string text = kProgram;
    for (uint64_t edits = 1 + rng.Below(3); edits > 0; --edits) {
      const size_t place = rng.Below(text.size());
      text[place] =
          rng.Chance(0.2) ? static_cast<char>(rng.Below(256)) : kLikely[rng.Below(kLikely.size())];
      if (rng.Chance(0.1)) text.erase(place, rng.Below(20));
    }
    const auto read = ParseCode(text, kBuffers);
    if (!read.ok()) continue;
    ++read_count;
    CHECK(ParseCode(Print(*read), kBuffers).value() == *read);
  }
  CHECK(read_count > 20);
}

}  // namespace
}  // namespace tessera::vta
