#include "compiler/vta/encoding.h"

#include <catch2/catch.hpp>

#include "compiler/vta/text.h"
#include "tests/compiler/vta/random_instruction.h"

namespace tessera::vta {
namespace {

std::string Refusal(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST_CASE("instructions are decoded as they were encoded, for any configuration", "[vta]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 200; ++i) {
    const Config config = RandomConfig(rng);
    CAPTURE(Print(config));
    for (int j = 0; j < 20; ++j) {
      const Instruction instruction = RandomInstruction(rng, config);
      CAPTURE(Print(instruction));
      const auto word = Encode(instruction, config);
      INFO(word.status());
      REQUIRE(word.ok());
      const auto read = Decode(*word, config);
      INFO(read.status());
      REQUIRE(read.ok());
      REQUIRE(*read == instruction);
    }
    const IndexBits bits = IndexBitsOf(config);
    const MicroOp uop = {RandomField(rng, bits.dst), RandomField(rng, bits.uop_src),
                         RandomField(rng, bits.wgt)};
    const auto word = EncodeMicroOp(uop, config);
    REQUIRE(word.ok());
    REQUIRE(DecodeMicroOp(*word, config).value() == uop);
  }
}

// Positions are those of the published configuration: opcode 0, tokens 3 to 6, and so on.
TEST_CASE("fields lie where the published hardware has them", "[vta]") {
  const Config config;
  const auto bits = [&](const char* text, int first, int count) {
    const Word word = Encode(ParseInstruction(text).value(), config).value();
    return word[first / 64] >> (first % 64) & ((uint64_t{1} << count) - 1);
  };
  const char* load = "load wgt sram 257 dram 66051 y 3 x 4 stride 5 pad 1 2 3 4 pop next push prev";
  CHECK(bits(load, 0, 3) == 0);
  CHECK(bits(load, 3, 4) == 0b0110);
  CHECK(bits(load, 7, 3) == 1);
  CHECK(bits(load, 10, 16) == 257);
  CHECK(bits(load, 26, 32) == 66051);
  CHECK(bits(load, 64, 16) == 3);
  CHECK(bits(load, 80, 16) == 4);
  CHECK(bits(load, 96, 16) == 5);
  CHECK(bits(load, 112, 16) == 0x4321);
  const char* gemm =
      "gemm reset uop 5 9 outer 14 by 1025 1026 513 inner 7 by 1027 1028 514 push next";
  CHECK(bits(gemm, 0, 3) == 2);
  CHECK(bits(gemm, 3, 4) == 0b1000);
  CHECK(bits(gemm, 7, 1) == 1);
  CHECK(bits(gemm, 8, 13) == 5);
  CHECK(bits(gemm, 21, 14) == 9);
  CHECK(bits(gemm, 35, 14) == 14);
  CHECK(bits(gemm, 49, 14) == 7);
  CHECK(bits(gemm, 64, 11) == 1025);
  CHECK(bits(gemm, 75, 11) == 1027);
  CHECK(bits(gemm, 86, 11) == 1026);
  CHECK(bits(gemm, 97, 11) == 1028);
  CHECK(bits(gemm, 108, 10) == 513);
  CHECK(bits(gemm, 118, 10) == 514);
  const char* alu = "alu shr imm -3 uop 0 1 outer 1 by 0 2047 inner 1 by 0 0";
  CHECK(bits(alu, 0, 3) == 4);
  CHECK(bits(alu, 86, 11) == 2047);
  CHECK(bits(alu, 108, 3) == 3);
  CHECK(bits(alu, 111, 1) == 1);
  CHECK(bits(alu, 112, 16) == 0xfffd);
  CHECK(bits("store out sram 0 dram 0 y 1 x 1 stride 1", 0, 10) == (4 << 7 | 1));
  CHECK(bits("finish", 0, 63) == 3);
  CHECK(EncodeMicroOp({.dst = 3, .src = 5, .wgt = 7}, config).value() ==
        (3u | 5u << 11 | 7u << 22));
}

TEST_CASE("what doesn't fit its field is refused with value and bits", "[vta]") {
  const Config config;
  const auto refusal = [&](const char* text) {
    return Refusal(Encode(ParseInstruction(text).value(), config).status());
  };
  CHECK_THAT(refusal("load inp sram 65536 dram 0 y 1 x 1 stride 1"),
             Catch::Contains("sram is 65536; it has 16 bits"));
  CHECK_THAT(refusal("load inp sram 0 dram -1 y 1 x 1 stride 1"), Catch::Contains("dram is -1"));
  CHECK_THAT(refusal("load inp sram 0 dram 0 y 1 x 1 stride 1 pad 16 0 0 0"),
             Catch::Contains("pad is 16"));
  CHECK_THAT(refusal("load out sram 0 dram 0 y 1 x 1 stride 1"),
             Catch::Contains("out can't be loaded"));
  CHECK_THAT(refusal("store acc sram 0 dram 0 y 1 x 1 stride 1"),
             Catch::Contains("acc can't be stored"));
  CHECK_THAT(refusal("store out sram 0 dram 0 y 1 x 1 stride 1 pad 0 0 1 0"),
             Catch::Contains("stores have no padding"));
  CHECK_THAT(refusal("gemm uop 0 1 outer 16384 by 0 0 0 inner 1 by 0 0 0"),
             Catch::Contains("outer turns is 16384"));
  CHECK_THAT(refusal("alu add imm 32768 uop 0 1 outer 1 by 0 0 inner 1 by 0 0"),
             Catch::Contains("the immediate is 32768"));
  CHECK_THAT(Refusal(EncodeMicroOp({.dst = 2048}, config).status()),
             Catch::Contains("dst is 2048; it has 11 bits"));
}

TEST_CASE("fields that are filled in later lie where they are encoded, for any configuration",
          "[vta]") {
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 500; ++i) {
    const Config config = RandomConfig(rng);
    const FieldPlaces at = FieldPlacesOf(config);
    const Instruction one = RandomInstruction(rng, config);
    CAPTURE(Print(config), Print(one));
    const Word word = Encode(one, config).value();
    const auto bits = [&](const FieldPlace& place) {
      REQUIRE(place.position / 64 == (place.position + place.bits - 1) / 64);
      return static_cast<int64_t>(word[static_cast<size_t>(place.position) / 64] >>
                                      (place.position % 64) &
                                  ((uint64_t{1} << place.bits) - 1));
    };
    CHECK(bits(at.pops_previous) == one.dependences.pops_previous);
    CHECK(bits(at.pops_next) == one.dependences.pops_next);
    CHECK(bits(at.pushes_previous) == one.dependences.pushes_previous);
    CHECK(bits(at.pushes_next) == one.dependences.pushes_next);
    if (const auto* transfer = std::get_if<Transfer>(&one.operation)) {
      CHECK(bits(at.sram_base) == transfer->sram_base);
      CHECK(bits(at.dram_base) == transfer->dram_base);
      CHECK(bits(at.y_size) == transfer->y_size);
      CHECK(bits(at.x_size) == transfer->x_size);
      CHECK(bits(at.y_pad_before) == transfer->y_pad_before);
      CHECK(bits(at.y_pad_after) == transfer->y_pad_after);
      CHECK(bits(at.x_pad_before) == transfer->x_pad_before);
      CHECK(bits(at.x_pad_after) == transfer->x_pad_after);
    }
    const auto check_uops = [&](const auto& operation) {
      CHECK(bits(at.uop_begin) == operation.uop_begin);
      CHECK(bits(at.uop_end) == operation.uop_end);
    };
    if (const auto* gemm = std::get_if<Gemm>(&one.operation)) check_uops(*gemm);
    if (const auto* alu = std::get_if<Alu>(&one.operation)) check_uops(*alu);
    const MicroOp uop = {RandomField(rng, at.dst.bits), RandomField(rng, at.src.bits),
                         RandomField(rng, at.wgt.bits)};
    CHECK(EncodeMicroOp(uop, config).value() ==
          (uop.dst << at.dst.position | uop.src << at.src.position | uop.wgt << at.wgt.position));
  }
}

TEST_CASE("any 128 bits are refused or those of the instruction that they decode to", "[vta]") {
  const uint64_t seed = GENERATE(1, 2);
  CAPTURE(seed);
  Rng rng(seed);
  int decoded = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Config config = RandomConfig(rng);
    Word word = Encode(RandomInstruction(rng, config), config).value();
    for (uint64_t flips = rng.Below(4); flips > 0; --flips) {
      const uint64_t bit = rng.Below(128);
      word[bit / 64] ^= uint64_t{1} << (bit % 64);
    }
    const auto read = Decode(word, config);
    if (!read.ok()) continue;
    ++decoded;
    REQUIRE(Encode(*read, config).value() == word);
  }
  CHECK(decoded > 5000);
  CHECK_THAT(Refusal(Decode({5, 0}, Config()).status()), Catch::Contains("no opcode 5"));
  CHECK_THAT(Refusal(Decode({3, 1}, Config()).status()), Catch::Contains("bit 64 is set"));
}

}  // namespace
}  // namespace tessera::vta
