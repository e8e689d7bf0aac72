#include "worker/runner/vta/register_board.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"
#include "tests/worker/runner/vta/fake_registers.h"
#include "tests/worker/runner/vta/product.h"
#include "worker/runner/vta/mapped_memory.h"

namespace tessera::vta {
namespace {

constexpr uint32_t kDramAddress = 0x40000;
constexpr uint32_t kAddress = kDramAddress + 2 * kProductBytes;

// A board whose DRAM lies somewhere in its memory.
struct Machine {
  std::vector<uint8_t> memory = std::vector<uint8_t>(0x80000);
  Dram dram = {memory.data() + kDramAddress, kDramAddress, 0x40000};
  FakeRegisters registers{dram};
  ManualClock clock;

  absl::StatusOr<std::unique_ptr<RegisterBoard>> Open() {
    return RegisterBoard::Open(registers, dram, absl::Seconds(10), clock);
  }
};

TEST_CASE("a board executes programs by its registers, one after the other", "[vta]") {
  Machine machine;
  const auto board = machine.Open();
  INFO(board.status());
  REQUIRE(board.ok());
  const tessera_vta_driver& driver = (*board)->driver();
  for (int i = 1; i <= 3; ++i) {
    const uint32_t address = kAddress + static_cast<uint32_t>(i * kProductBytes);
    uint64_t cycles = 1;
    CHECK(RunProduct(driver, address, ProductText(address), cycles) == TESSERA_VTA_OK);
    CHECK(HoldsProduct(driver, address));
    CHECK(cycles == 0);
    // That the last one had ended was not taken for this one's end.
    CHECK(machine.registers.finishes == 1 + i);
  }
  CHECK(machine.registers.faults.empty());
  // The first page is the board's own.
  CHECK(driver.dram_address == kDramAddress + 4096);
  CHECK(driver.dram_bytes == machine.dram.bytes - 4096);
}

TEST_CASE("a program that does not end times out, and the board says that it is stuck", "[vta]") {
  Machine machine;
  const auto board = machine.Open();
  REQUIRE(board.ok());
  const tessera_vta_driver& driver = (*board)->driver();
  const absl::Time start = machine.clock.Now();
  uint64_t cycles = 0;
  CHECK(RunProduct(driver, kAddress, Replaced(ProductText(kAddress), " push next", ""), cycles) ==
        TESSERA_VTA_TIMED_OUT);
  const std::string said((*board)->last_run().message());
  CHECK_THAT(said,
             Catch::Contains("a program of 10 instructions: register 0x2018 is 0x0 after 10s"));
  CHECK(machine.clock.Now() - start >= absl::Seconds(10));
  CHECK(machine.clock.Now() - start < absl::Seconds(11));
  CHECK(RunProduct(driver, kAddress, ProductText(kAddress), cycles) == TESSERA_VTA_DEVICE_FAILED);
  CHECK_THAT(std::string((*board)->last_run().message()),
             Catch::Contains("stuck in an earlier program; load its bitstream again"));
}

TEST_CASE("a program that an ended process has left ends before another one begins", "[vta]") {
  Machine machine;
  uint64_t cycles = 0;
  {
    const auto board = machine.Open();
    REQUIRE(board.ok());
    machine.registers.end_steps = INT64_MAX / 2;  // nobody waits for it
    CHECK(RunProduct((*board)->driver(), kAddress, ProductText(kAddress), cycles) ==
          TESSERA_VTA_TIMED_OUT);
  }
  CHECK(absl::IsUnavailable(machine.Open().status()));
  machine.registers.EndFirst();
  machine.registers.end_steps = 50;
  const auto board = machine.Open();
  INFO(board.status());
  REQUIRE(board.ok());
  CHECK(RunProduct((*board)->driver(), kAddress, ProductText(kAddress), cycles) == TESSERA_VTA_OK);
  CHECK(HoldsProduct((*board)->driver(), kAddress));
  // The boards' own, one each, and two products.
  CHECK(machine.registers.finishes == 3 + 2);
  CHECK(machine.registers.faults.empty());
}

TEST_CASE("an accelerator that does not answer is no board", "[vta]") {
  Machine machine;
  machine.registers.is_mute = true;
  const absl::Status mute = machine.Open().status();
  CHECK(absl::IsUnavailable(mute));
  CHECK_THAT(std::string(mute.message()),
             Catch::Contains("does not answer (register 0x0000 is 0x0 after 1s)"));
  machine.dram.bytes = 4096;
  CHECK(absl::IsInvalidArgument(machine.Open().status()));
}

TEST_CASE("a board refuses instructions outside of its DRAM", "[vta]") {
  Machine machine;
  const auto board = machine.Open();
  REQUIRE(board.ok());
  const tessera_vta_driver& driver = (*board)->driver();
  for (const auto& [address, count] :
       {std::pair<uint32_t, int64_t>{kDramAddress - 16, 1}, {0x7fff0, 2}, {kAddress, 0}}) {
    uint64_t cycles = 0;
    CAPTURE(address, count);
    CHECK(driver.run(driver.self, address, count, &cycles) == TESSERA_VTA_DEVICE_FAILED);
    CHECK(absl::IsOutOfRange((*board)->last_run()));
  }
  CHECK(machine.registers.finishes == 1);
}

void WriteFile(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST_CASE("registers and DRAM are mapped from devices", "[vta]") {
  // Files stand for them.
  test::TemporaryDirectory folder;
  WriteFile(folder.path + "/uio0", std::string(registers::kBytes, '\0'));
  auto mapped = MappedRegisters::Open(folder.path + "/uio0", 0x43C0'0000);
  INFO(mapped.status());
  REQUIRE(mapped.ok());
  mapped->Write(registers::kStoreResults, 0x12345678);
  CHECK(mapped->Read(registers::kStoreResults) == 0x12345678);
  std::ifstream file(folder.path + "/uio0");
  file.seekg(0x3010);
  CHECK(file.get() == 0x78);

  WriteFile(folder.path + "/udmabuf0", std::string(8192, 'x'));
  WriteFile(folder.path + "/phys_addr", "0x1c800000\n");
  WriteFile(folder.path + "/size", "8192\n");
  const auto dram = MappedDram::Open(folder.path + "/udmabuf0", folder.path);
  INFO(dram.status());
  REQUIRE(dram.ok());
  CHECK(dram->dram().address == 0x1c80'0000);
  CHECK(dram->dram().bytes == 8192);
  CHECK(dram->dram().host[8191] == 'x');
}

TEST_CASE("what can't be mapped is named", "[vta]") {
  test::TemporaryDirectory folder;
  const auto registers = MappedRegisters::Open(folder.path + "/uio7", 0).status();
  CHECK(absl::IsNotFound(registers));
  CHECK_THAT(std::string(registers.message()), Catch::Contains("/uio7: open"));
  const auto fault = [&] {
    return std::string(MappedDram::Open(folder.path + "/udmabuf0", folder.path).status().message());
  };
  CHECK_THAT(fault(), Catch::Contains("/phys_addr can't be read; is the kernel module u-dma-buf"));
  WriteFile(folder.path + "/phys_addr", "somewhere");
  CHECK_THAT(fault(), Catch::Contains("says \"somewhere\", which is no number"));
  WriteFile(folder.path + "/phys_addr", "0xfffff000");
  WriteFile(folder.path + "/size", "8192");
  CHECK_THAT(fault(), Catch::Contains("the accelerator reaches 2^32"));
}

}  // namespace
}  // namespace tessera::vta
