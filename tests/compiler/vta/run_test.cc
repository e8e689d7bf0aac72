#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "compiler/runtime/vta.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/simulator.h"
#include "tests/compiler/vta/code_examples.h"
#include "tests/compiler/vta/run_code.h"

namespace tessera::vta {
namespace {

constexpr uint32_t kFirstAddress = 0x1000;

// An accelerator whose DRAM is what was flushed to it.
struct Board {
  explicit Board(int64_t bytes)
      : host(static_cast<size_t>(bytes)), dram(kFirstAddress + static_cast<size_t>(bytes)) {
    driver = {.dram = host.data(),
              .dram_address = kFirstAddress,
              .dram_bytes = bytes,
              .self = this,
              .flush = Flush,
              .invalidate = Invalidate,
              .run = Run};
    heap.reset(tessera_vta_heap_create(&driver));
  }

  static void Flush(void* self, uint32_t address, int64_t bytes) {
    Board& board = *static_cast<Board*>(self);
    std::memcpy(board.dram.data() + address, tessera_vta_host(&board.driver, address),
                static_cast<size_t>(bytes));
  }
  static void Invalidate(void* self, uint32_t address, int64_t bytes) {
    Board& board = *static_cast<Board*>(self);
    std::memcpy(tessera_vta_host(&board.driver, address), board.dram.data() + address,
                static_cast<size_t>(bytes));
  }
  static int Run(void* self, uint32_t address, int64_t count, uint64_t* cycles) {
    Board& board = *static_cast<Board*>(self);
    std::vector<Instruction> program;
    for (int64_t i = 0; i < count; ++i) {
      Word word;
      std::memcpy(word.data(), board.dram.data() + address + 16 * i, sizeof(word));
      const auto instruction = Decode(word, Config());
      if (!instruction.ok()) return TESSERA_VTA_DEVICE_FAILED;
      program.push_back(*instruction);
    }
    const auto report =
        Simulate(program, Config(), {.gemm_depth = 1, .alu_depth = 1}, absl::MakeSpan(board.dram));
    INFO(report.status());
    CHECK(report.ok());
    if (!report.ok()) return TESSERA_VTA_DEVICE_FAILED;
    *cycles = static_cast<uint64_t>(report->cycles);
    return TESSERA_VTA_OK;
  }

  uint32_t Allocate(int64_t bytes) { return tessera_vta_allocate(heap.get(), bytes); }
  void Release(uint32_t address) { tessera_vta_release(heap.get(), address); }

  std::vector<uint8_t> host, dram;
  tessera_vta_driver driver;
  std::unique_ptr<tessera_vta_heap, decltype(&tessera_vta_heap_destroy)> heap = {
      nullptr, tessera_vta_heap_destroy};
};

TEST_CASE("a program is placed in a board's memory and run", "[vta]") {
  const Code code = ProductCode(3, 2, 4, 2);
  const std::vector<int64_t> words = Assemble(code);
  const tessera_vta_program program = {words.data(), static_cast<int64_t>(words.size())};
  Board board(1 << 16);
  Rng rng(1);
  Buffers expected;
  std::vector<tessera_vta_buffer> buffers;
  for (const int64_t bytes : {3 * 4 * 16, 2 * 4 * 256, 3 * 2 * 16}) {
    const uint32_t address = board.Allocate(bytes);
    REQUIRE(address != 0);
    buffers.push_back({address, bytes});
    std::vector<uint8_t>& filled = expected.emplace_back();
    for (int64_t i = 0; i < bytes; ++i) filled.push_back(static_cast<uint8_t>(rng.Below(256)));
    std::memcpy(tessera_vta_host(&board.driver, address), filled.data(), filled.size());
    Board::Flush(&board, address, bytes);
  }
  tessera_vta_stream stream = {};
  uint64_t cycles = 0;
  // Nothing is left behind: as often as one likes.
  for (int i = 0; i < 20; ++i) {
    REQUIRE(tessera_vta_run(&board.driver, board.heap.get(), &program, buffers.data(), 3, &stream,
                            &cycles) == TESSERA_VTA_OK);
  }
  CHECK(cycles > 0);
  Interpret(code, expected);
  Board::Invalidate(&board, buffers[2].address, buffers[2].bytes);
  CHECK(std::memcmp(tessera_vta_host(&board.driver, buffers[2].address), expected[2].data(),
                    expected[2].size()) == 0);

  const tessera_vta_program cut = {words.data(), program.count - 1};
  CHECK(tessera_vta_run(&board.driver, board.heap.get(), &cut, buffers.data(), 3, &stream,
                        &cycles) == TESSERA_VTA_BAD_PROGRAM);
  while (board.Allocate(4096) != 0) continue;
  CHECK(tessera_vta_run(&board.driver, board.heap.get(), &program, buffers.data(), 3, &stream,
                        &cycles) == TESSERA_VTA_OUT_OF_MEMORY);
  tessera_vta_stream_free(&stream);
}

TEST_CASE("memory is given out where it first fits, and again when it was released", "[vta]") {
  Board board(5 * 4096);  // of which the first page is never given out
  const uint32_t first = board.Allocate(1), second = board.Allocate(4097);
  CHECK(first == kFirstAddress + 4096);
  CHECK(second == first + 4096);
  CHECK(board.Allocate(4097) == 0);
  board.Release(first);
  CHECK(board.Allocate(4097) == 0);
  CHECK(board.Allocate(0) == first);
  CHECK(board.Allocate(4096) == second + 2 * 4096);
  CHECK(board.Allocate(1) == 0);
  board.Release(second);
  CHECK(board.Allocate(2 * 4096) == second);
  CHECK(board.Allocate(-1) == 0);
  board.Release(12345);
  CHECK(tessera_vta_host(&board.driver, first) == board.host.data() + 4096);
}

TEST_CASE("what is given out never overlaps, lies in memory and is there again in the end",
          "[vta]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Rng rng(seed);
  constexpr int64_t kBytes = 100'000;
  Board board(kBytes);
  std::map<uint32_t, int64_t> held;
  for (int i = 0; i < 2'000; ++i) {
    if (!held.empty() && rng.Chance(0.5)) {
      auto one = held.begin();
      std::advance(one, rng.Below(held.size()));
      board.Release(one->first);
      held.erase(one);
      continue;
    }
    const int64_t bytes = rng.Between(1, 20'000);
    const uint32_t address = board.Allocate(bytes);
    if (address == 0) continue;
    REQUIRE(address % 4096 == 0);
    REQUIRE(address > kFirstAddress);
    REQUIRE(address + bytes <= kFirstAddress + kBytes);
    const auto [one, is_new] = held.try_emplace(address, bytes);
    REQUIRE(is_new);
    if (one != held.begin()) {
      REQUIRE(std::prev(one)->first + std::prev(one)->second <= address);
    }
    if (std::next(one) != held.end()) REQUIRE(address + bytes <= std::next(one)->first);
  }
  for (const auto& [address, bytes] : held) board.Release(address);
  CHECK(board.Allocate(kBytes - 4096) == kFirstAddress + 4096);
}

}  // namespace
}  // namespace tessera::vta
