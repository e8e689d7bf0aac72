#include "worker/runner/vta/simulated_board.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/worker/runner/vta/product.h"

namespace tessera::vta {
namespace {

constexpr uint32_t kAddress = 3 * kProductBytes;

std::unique_ptr<SimulatedBoard> MakeBoard(const Timing& timing = {}) {
  auto board = SimulatedBoard::Create(Config(), timing, int64_t{1} << 20);
  REQUIRE(board.ok());
  return *std::move(board);
}

TEST_CASE("a simulated board executes the instructions that lie in its DRAM", "[vta]") {
  const auto board = MakeBoard();
  uint64_t cycles = 0;
  CHECK(RunProduct(board->driver(), kAddress, ProductText(kAddress), cycles) == TESSERA_VTA_OK);
  CHECK(board->last_run().ok());
  CHECK(HoldsProduct(board->driver(), kAddress));
  // Three rows one behind the other, at the least.
  CHECK(cycles > 96);
  uint64_t again = 0;
  RunProduct(board->driver(), kAddress, ProductText(kAddress), again);
  CHECK(again == cycles);
  const auto slower = MakeBoard({.row_latency = 64});
  uint64_t slower_cycles = 0;
  RunProduct(slower->driver(), kAddress, ProductText(kAddress), slower_cycles);
  CHECK(slower_cycles > cycles + 96);
}

TEST_CASE("what is wrong about a program is said by the board", "[vta]") {
  const auto board = MakeBoard();
  const tessera_vta_driver& driver = board->driver();
  const auto fault = [&](const std::string& from, const std::string& to) {
    uint64_t cycles = 1;
    CHECK(RunProduct(driver, kAddress, Replaced(ProductText(kAddress), from, to), cycles) ==
          TESSERA_VTA_DEVICE_FAILED);
    CHECK(cycles == 0);
    return std::string(board->last_run().message());
  };
  CHECK_THAT(fault(" push next", ""), Catch::Contains("waits for a token that nobody pushes"));
  CHECK_THAT(fault("inp sram 0", "inp sram 2048"),
             Catch::Contains("instruction 1 (load inp") && Catch::Contains("which has 2048"));
  CHECK_THAT(fault("dram 769", "dram 65536"), Catch::Contains("instruction 1"));

  uint64_t cycles = 0;
  memset(static_cast<uint8_t*>(driver.dram) + kAddress, 0xff, kProductBytes);
  CHECK(driver.run(driver.self, kAddress, 2, &cycles) == TESSERA_VTA_DEVICE_FAILED);
  CHECK_THAT(std::string(board->last_run().message()),
             Catch::Contains("instruction 0: VTA instruction: there is no opcode 7"));
  CHECK(driver.run(driver.self, 1 << 20, 1, &cycles) == TESSERA_VTA_DEVICE_FAILED);
  CHECK_THAT(std::string(board->last_run().message()),
             Catch::Contains("1 instructions at address 1048576 don't lie in DRAM"));
  // It goes on with the next one.
  CHECK(RunProduct(driver, kAddress, ProductText(kAddress), cycles) == TESSERA_VTA_OK);
  CHECK(HoldsProduct(driver, kAddress));
}

}  // namespace
}  // namespace tessera::vta
