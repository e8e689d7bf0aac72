#include "compiler/vta/config.h"

#include <catch2/catch.hpp>

#include "tests/compiler/vta/random_instruction.h"

namespace tessera::vta {
namespace {

TEST_CASE("the default configuration has the published memories", "[vta]") {
  const Config config;
  CHECK(config.Depth(Memory::kUop) == 8192);
  CHECK(config.Depth(Memory::kInp) == 2048);
  CHECK(config.Depth(Memory::kWgt) == 1024);
  CHECK(config.Depth(Memory::kAcc) == 2048);
  CHECK(config.Depth(Memory::kOut) == 2048);
  CHECK(config.TileBytes(Memory::kWgt) == 256);
  CHECK(config.TileBytes(Memory::kAcc) == 64);
  CHECK(config.TileBytes(Memory::kOut) == 16);
  CHECK(CheckEncodable(config).ok());
}

TEST_CASE("configurations are read as they were printed", "[vta]") {
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 100; ++i) {
    const Config config = RandomConfig(rng);
    CHECK(ParseConfig(Print(config)).value() == config);
  }
  CHECK(ParseConfig(R"({"TARGET": "pynq", "LOG_INP_WIDTH": 3, "LOG_WGT_BUFF_SIZE": 17})")
            ->log_wgt_bytes == 17);
}

TEST_CASE("configurations that can't be are refused by name, value and limit", "[vta]") {
  const auto refusal = [](const char* text) {
    const absl::Status status = ParseConfig(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK_THAT(refusal("[1"), Catch::Contains("no JSON object"));
  CHECK_THAT(refusal(R"({"LOG_BLOK": 4})"), Catch::Contains("no member LOG_BLOK"));
  CHECK_THAT(refusal(R"({"LOG_BLOCK": "4"})"), Catch::Contains("LOG_BLOCK is \"4\""));
  CHECK_THAT(refusal(R"({"LOG_BLOCK": [4]})"), Catch::Contains("LOG_BLOCK is array"));
  CHECK_THAT(refusal(R"({"LOG_BLOCK": 31})"), Catch::Contains("not a whole number of 0 to 30"));
  CHECK_THAT(refusal(R"({"LOG_ACC_WIDTH": 4})"), Catch::Contains("LOG_ACC_WIDTH is 4"));
  CHECK_THAT(refusal(R"({"LOG_WGT_BUFF_SIZE": 7})"),
             Catch::Contains("a tile of wgt has 2^8 bytes"));
  CHECK_THAT(refusal(R"({"LOG_UOP_BUFF_SIZE": 16})"),
             Catch::Contains("the first half of gemm and alu takes 65 bits, there are 64"));
  CHECK_THAT(refusal(R"({"LOG_WGT_BUFF_SIZE": 19})"),
             Catch::Contains("a micro-op takes 33 bits, there are 32"));
  CHECK_THAT(
      refusal(R"({"LOG_ACC_BUFF_SIZE": 18, "LOG_INP_BUFF_SIZE": 16, "LOG_WGT_BUFF_SIZE": 16})"),
      Catch::Contains("the second half of alu takes 68 bits, there are 64"));
}

}  // namespace
}  // namespace tessera::vta
