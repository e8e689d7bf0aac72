#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "compiler/runtime/vta_registers.h"
#include "compiler/vta/simulator.h"
#include "tests/support/temporary_directory.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::vta {

// A board as files, which stand for a UIO device and a u-dma-buf buffer: any process, of any kind
// of CPU, can map them. The simulator is behind them, in a thread that looks at the registers.
class BoardFiles {
 public:
  explicit BoardFiles(const Config& config, int64_t dram_bytes = int64_t{8} << 20)
      : config_(config) {
    MakeFile("uio0", TESSERA_VTA_REGISTER_BYTES);
    MakeFile("udmabuf0", dram_bytes);
    std::ofstream(folder.path + "/phys_addr") << absl::StrCat("0x", absl::Hex(kAddress), "\n");
    std::ofstream(folder.path + "/size") << dram_bytes << "\n";
    registers_ = static_cast<volatile uint32_t*>(
        Map("uio0", TESSERA_VTA_REGISTER_BYTES, nullptr, MAP_SHARED));
    // Addresses count from the first byte of all memory.
    memory_bytes_ = kAddress + static_cast<size_t>(dram_bytes);
    void* memory = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    memory_ = static_cast<uint8_t*>(memory);
    Map("udmabuf0", static_cast<size_t>(dram_bytes), memory_ + kAddress, MAP_SHARED | MAP_FIXED);
    Set(TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL, TESSERA_VTA_IDLE);
    thread_ = std::thread([this] {
      while (!ends_) Look();
    });
  }
  BoardFiles(const BoardFiles&) = delete;
  BoardFiles& operator=(const BoardFiles&) = delete;
  ~BoardFiles() {
    ends_ = true;
    thread_.join();
    munmap(const_cast<uint32_t*>(registers_), TESSERA_VTA_REGISTER_BYTES);
    munmap(memory_, memory_bytes_);
  }

  test::TemporaryDirectory folder;  // uio0, udmabuf0, phys_addr, size
  std::atomic<int> programs = 0;    // with a finish, that were executed
  std::atomic<int> faults = 0;

 private:
  static constexpr uint32_t kAddress = 0x20000;

  void MakeFile(const char* name, int64_t bytes) const {
    const std::string path = absl::StrCat(folder.path, "/", name);
    std::ofstream(path).close();
    std::filesystem::resize_file(path, static_cast<uintmax_t>(bytes));
  }

  void* Map(const char* name, size_t bytes, void* at, int flags) const {
    const int file = open(absl::StrCat(folder.path, "/", name).c_str(), O_RDWR | O_CLOEXEC);
    void* mapped = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, file, 0);
    close(file);
    REQUIRE(mapped != MAP_FAILED);
    return mapped;
  }

  uint32_t Get(uint32_t offset) const { return registers_[offset / sizeof(uint32_t)]; }
  void Set(uint32_t offset, uint32_t value) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    registers_[offset / sizeof(uint32_t)] = value;
  }

  bool IsStarted() const {
    constexpr uint32_t kEngines[] = {TESSERA_VTA_LOAD, TESSERA_VTA_COMPUTE, TESSERA_VTA_STORE};
    return Get(TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL) == TESSERA_VTA_START &&
           std::ranges::all_of(kEngines, [&](uint32_t engine) {
             return Get(engine + TESSERA_VTA_CONTROL) == TESSERA_VTA_START_FOR_EVER;
           });
  }

  void Look() {
    if (!IsStarted()) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      return;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const Dram dram = {memory_ + kAddress, kAddress,
                       static_cast<int64_t>(memory_bytes_ - kAddress)};
    const auto program = ReadInstructions(dram, Get(TESSERA_VTA_FETCH_ADDRESS),
                                          Get(TESSERA_VTA_FETCH_COUNT), config_);
    bool finishes = false;
    if (!program.ok()) {
      ++faults;
    } else if (std::holds_alternative<Finish>(program->back().operation)) {
      finishes = Simulate(*program, config_, {}, absl::MakeSpan(memory_, memory_bytes_)).ok();
      ++(finishes ? programs : faults);
    }
    Set(TESSERA_VTA_DONE, finishes ? 1 : 0);
    Set(TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL, TESSERA_VTA_IDLE);
  }

  const Config config_;
  volatile uint32_t* registers_;
  uint8_t* memory_;
  size_t memory_bytes_;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

}  // namespace tessera::vta
