#include "worker/runner/vta/setup.h"

#include <catch2/catch.hpp>
#include <string>

namespace tessera::vta {
namespace {

Setup Parse(const std::string& text) {
  const auto setup = ParseSetup(text);
  INFO(setup.status());
  REQUIRE(setup.ok());
  return *setup;
}

TEST_CASE("an accelerator without a configuration is that of the Pynq board", "[vta]") {
  const Setup setup = Parse("");
  CHECK(setup.config == Config());
  CHECK(setup.clock_mhz == 100);
  CHECK(setup.registers_base == 0x43C0'0000);
  CHECK(TargetText(setup) ==
        "vta batch=1 block=16 uop=32768 inp=32768 wgt=262144 acc=131072 pipeline=4");
  CHECK_THAT(SimulatorClass(setup), Catch::StartsWith("vta-sim/1x16/100mhz/"));
  CHECK_THAT(BoardClass(setup), Catch::StartsWith("vta/pynq/1x16/100mhz/"));
}

TEST_CASE("a configuration is a published one, with clock, places and timing beside it", "[vta]") {
  const Setup ultra = Parse(R"({"TARGET": "ultra96", "HW_VER": "0.0.2", "LOG_INP_WIDTH": 3})");
  CHECK(ultra.clock_mhz == 333);
  CHECK(ultra.timing.bus_bytes == 16);
  CHECK(ultra.registers_base == 0xA000'0000);
  const Setup all = Parse(R"({"LOG_BLOCK": 5, "LOG_WGT_BUFF_SIZE": 19, "CLOCK_MHZ": 150,
      "REGISTERS": "/dev/uio0", "DRAM": "udmabuf1", "ROW_LATENCY": 40, "ALU_DEPTH": 6})");
  CHECK(all.config.log_block == 5);
  CHECK(all.config.log_wgt_bytes == 19);
  CHECK(all.clock_mhz == 150);
  CHECK(all.registers_file == "/dev/uio0");
  CHECK(all.dram == "udmabuf1");
  CHECK(all.timing.row_latency == 40);
  CHECK(all.timing.alu_depth == 6);
  CHECK(all.timing.gemm_depth == Timing().gemm_depth);
  CHECK(Parse(R"({"TARGET": "tsim"})").registers_base == 0);
}

TEST_CASE("what times depend on is in the class of a device", "[vta]") {
  const Setup pynq = Parse("");
  for (const char* text : {R"({"ROW_LATENCY": 33})", R"({"LOG_INP_BUFF_SIZE": 14})",
                           R"({"CLOCK_MHZ": 101})", R"({"ALU_IMMEDIATE_INTERVAL": 3})"}) {
    CAPTURE(text);
    CHECK(SimulatorClass(Parse(text)) != SimulatorClass(pynq));
  }
  CHECK(SimulatorClass(Parse(R"({"ROW_LATENCY": 32})")) == SimulatorClass(pynq));
  // A board has the timing that it has.
  CHECK(BoardClass(Parse(R"({"ROW_LATENCY": 33, "REGISTERS": "/dev/uio1"})")) == BoardClass(pynq));
  CHECK(BoardClass(Parse(R"({"LOG_INP_BUFF_SIZE": 14})")) != BoardClass(pynq));
}

TEST_CASE("a configuration that is none is refused by its member", "[vta]") {
  const auto refusal = [](const std::string& text) {
    const absl::Status status = ParseSetup(text).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK_THAT(refusal("[]"), Catch::Contains("no JSON object"));
  CHECK_THAT(refusal("{"), Catch::Contains("no JSON object"));
  CHECK_THAT(refusal(R"({"CLOCK_MHZ": 0})"),
             Catch::Contains("CLOCK_MHZ is 0, not a whole number of 1 to 10000"));
  CHECK_THAT(refusal(R"({"ROW_LATENCY": [1]})"), Catch::Contains("ROW_LATENCY is array"));
  CHECK_THAT(refusal(R"({"DRAM": 7})"), Catch::Contains("DRAM is 7, not a text"));
  CHECK_THAT(refusal(R"({"TARGET": "a/b"})"), Catch::Contains("TARGET is \"a/b\""));
  CHECK_THAT(refusal(R"({"LATENCY": 7})"), Catch::Contains("there is no member LATENCY"));
  CHECK_THAT(refusal(R"({"LOG_WGT_WIDTH": 2})"), Catch::Contains("this accelerator has 3"));
  CHECK_THAT(refusal(R"({"LOG_BLOCK": 7, "LOG_WGT_BUFF_SIZE": 20, "LOG_ACC_BUFF_SIZE": 20})"),
             Catch::Contains("a tile of wgt has 16384 bytes; the limit is 4096"));
}

}  // namespace
}  // namespace tessera::vta
