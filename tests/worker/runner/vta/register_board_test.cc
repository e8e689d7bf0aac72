#include "worker/runner/vta/register_board.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"
#include "tests/worker/runner/vta/fake_registers.h"
#include "tests/worker/runner/vta/product.h"

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
    return RegisterBoard::Open(registers.Access(clock), dram, absl::Seconds(10));
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

// Files stand for devices.
struct Files {
  int Map(tessera_vta_mapping& mapping) {
    return tessera_vta_map((folder.path + "/uio0").c_str(), 0x43C0'0000,
                           (folder.path + "/udmabuf0").c_str(), folder.path.c_str(), &mapping,
                           {why, sizeof(why)});
  }
  absl::Status Open() {
    return OpenMappedBoard(folder.path + "/uio0", 0, folder.path + "/udmabuf0", folder.path,
                           absl::Seconds(1))
        .status();
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder.path + "/" + name) << text;
  }

  test::TemporaryDirectory folder;
  char why[300] = "";
};

TEST_CASE("registers and DRAM are mapped from devices", "[vta]") {
  Files files;
  files.Write("uio0", std::string(TESSERA_VTA_REGISTER_BYTES, '\0'));
  files.Write("udmabuf0", std::string(8192, 'x'));
  files.Write("phys_addr", "0x1c800000\n");
  files.Write("size", "8192\n");
  tessera_vta_mapping mapping;
  REQUIRE(files.Map(mapping) == 0);
  const tessera_vta_access access = tessera_vta_mapped_access(&mapping);
  access.write(access.self, TESSERA_VTA_STORE_RESULTS, 0x12345678);
  CHECK(access.read(access.self, TESSERA_VTA_STORE_RESULTS) == 0x12345678);
  std::ifstream file(files.folder.path + "/uio0");
  file.seekg(0x3010);
  CHECK(file.get() == 0x78);
  CHECK(mapping.dram_address == 0x1c80'0000);
  CHECK(mapping.dram_bytes == 8192);
  CHECK(static_cast<const char*>(mapping.dram)[8191] == 'x');
  const double start = access.now(access.self);
  access.sleep(access.self, 1e-3);
  CHECK(access.now(access.self) - start >= 1e-3);
  tessera_vta_unmap(&mapping);
  // Registers that nobody is behind.
  CHECK(absl::IsUnavailable(files.Open()));
}

TEST_CASE("what can't be mapped is named", "[vta]") {
  Files files;
  const auto fault = [&] { return std::string(files.Open().message()); };
  CHECK_THAT(fault(), Catch::Contains("/uio0: open: No such file"));
  CHECK(absl::IsNotFound(files.Open()));
  files.Write("uio0", std::string(TESSERA_VTA_REGISTER_BYTES, '\0'));
  CHECK_THAT(fault(), Catch::Contains("/phys_addr can't be read; is the kernel module u-dma-buf"));
  files.Write("phys_addr", "somewhere");
  CHECK_THAT(fault(), Catch::Contains("says \"somewhere\", which is no number"));
  files.Write("phys_addr", "0xfffff000");
  files.Write("size", "8192");
  CHECK_THAT(fault(), Catch::Contains("the accelerator reaches 2^32"));
  CHECK(absl::IsOutOfRange(files.Open()));
  files.Write("phys_addr", "4096");
  CHECK_THAT(fault(), Catch::Contains("/udmabuf0: open: No such file"));
}

}  // namespace
}  // namespace tessera::vta
