#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "compiler/runtime/vta.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/code_text.h"
#include "compiler/vta/text.h"
#include "tests/compiler/vta/code_examples.h"
#include "tests/compiler/vta/random_code.h"
#include "tests/compiler/vta/run_code.h"

namespace tessera::vta {
namespace {

constexpr Timing kNoPipelines = {.gemm_depth = 1, .alu_depth = 1};

std::vector<uint8_t> RandomBytes(Rng& rng, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.Below(256));
  return bytes;
}

TEST_CASE("a product of matrices is expanded and computed", "[vta]") {
  Rng rng(1);
  const int64_t rows = 5, columns = 3, depth = 4;
  const Buffers given = {RandomBytes(rng, rows * depth * 16),
                         RandomBytes(rng, columns * depth * 256),
                         RandomBytes(rng, rows * columns * 16)};
  for (const int64_t copies : {1, 2, 3}) {
    CAPTURE(copies);
    const Code code = ProductCode(rows, columns, depth, copies);
    Buffers found = given, expected = given;
    const auto report = SimulateCode(code, kNoPipelines, found);
    INFO(PrintAll(Expand(code, given).program));
    INFO(report.status());
    REQUIRE(report.ok());
    Interpret(code, expected);
    const bool is_equal = found == expected, has_results = found != given;
    CHECK(is_equal);
    CHECK(has_results);
  }
}

TEST_CASE("programs compute what plain loops do, whatever the tokens let overlap", "[vta]") {
  const uint64_t seed = GENERATE(1, 2, 3, 4);
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 150; ++i) {
    const RandomProgram made = MakeRandomProgram(rng);
    CAPTURE(i, Print(made.code));
    Timing timing = kNoPipelines;
    timing.row_latency = rng.Between(1, 64);
    timing.gemm_interval = rng.Between(1, 16);
    timing.queue_entries = rng.Between(1, 64);
    // No more tokens wait than there is memory that they are about.
    timing.token_entries = static_cast<int64_t>(made.buffers.size()) + 1;
    for (const Allocation& one : made.code.allocations) timing.token_entries += one.copies;
    Buffers found = made.buffers, expected = made.buffers;
    const auto report = SimulateCode(made.code, timing, found);
    INFO(report.status());
    REQUIRE(report.ok());
    Interpret(made.code, expected);
    const bool is_equal = found == expected;
    REQUIRE(is_equal);
  }
}

// Of three rows of one column, each held in turn in one of two copies. A row's product waits for
// its inputs; the third row waits for the first: its inputs for the first product, its sums for the
// first store. What the second row gives free nobody wants.
TEST_CASE("tokens pass where memory is used again, and nowhere else", "[vta]") {
  const Buffers buffers = {std::vector<uint8_t>(48), std::vector<uint8_t>(256),
                           std::vector<uint8_t>(48)};
  CHECK(PrintAll(Expand(ProductCode(3, 1, 1, 2), buffers).program) ==
        R"(load wgt sram 0 dram 16 y 1 x 1 stride 1
load inp sram 0 dram 0 y 1 x 1 stride 1 push next
load uop sram 0 dram 3072 y 1 x 1 stride 0
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0
gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev push prev
alu shr imm 4 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu max imm -128 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu min imm 127 uop 0 1 outer 1 by 0 0 inner 1 by 0 0 push next
store out sram 0 dram 512 y 1 x 1 stride 1 pop prev push prev
load inp sram 1 dram 1 y 1 x 1 stride 1 push next
load uop sram 1 dram 3073 y 1 x 1 stride 0
gemm reset uop 1 2 outer 1 by 0 0 0 inner 1 by 0 0 0
load uop sram 2 dram 3074 y 1 x 1 stride 0
gemm uop 2 3 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev
alu shr imm 4 uop 1 2 outer 1 by 0 0 inner 1 by 0 0
alu max imm -128 uop 1 2 outer 1 by 0 0 inner 1 by 0 0
alu min imm 127 uop 1 2 outer 1 by 0 0 inner 1 by 0 0 push next
store out sram 1 dram 513 y 1 x 1 stride 1 pop prev
load inp sram 0 dram 2 y 1 x 1 stride 1 pop next push next
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop next
gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev
alu shr imm 4 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu max imm -128 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu min imm 127 uop 0 1 outer 1 by 0 0 inner 1 by 0 0 push next
store out sram 0 dram 514 y 1 x 1 stride 1 pop prev push prev
finish pop next
)");
}

TEST_CASE("with two copies of what is loaded, loads and products overlap", "[vta]") {
  Buffers buffers = {std::vector<uint8_t>(16 * 64 * 16), std::vector<uint8_t>(64 * 256),
                     std::vector<uint8_t>(16 * 16)};
  // Both take about as long.
  Timing timing = kNoPipelines;
  timing.gemm_interval = 2;
  const auto one = SimulateCode(ProductCode(16, 1, 64, 1), timing, buffers);
  const auto two = SimulateCode(ProductCode(16, 1, 64, 2), timing, buffers);
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(one->gemm_steps == two->gemm_steps);
  CHECK(two->cycles * 10 < one->cycles * 9);
}

// The instructions of a program of resets of one accumulator a turn, and its micro-ops in DRAM. The
// accelerator holds four.
struct ResetProgram {
  std::vector<std::string> lines;
  int64_t uops;
};
ResetProgram ExpandResets(int64_t turns, const Value& offset, const std::vector<Loop>& loops) {
  Code code{.config = {.log_uop_bytes = 4}};
  code.allocations = {{Memory::kAcc, 0, 64, 1}};
  code.body = {
      {Repeat{.turns = turns,
              .body = {{Product{.resets = true, .dst = {.offset = offset}, .loops = loops}}}}}};
  const Expansion made = Expand(code, {});
  ResetProgram found = {{}, made.uops};
  for (const Instruction& one : made.program) found.lines.push_back(Print(one));
  // It runs, too.
  Buffers none;
  CHECK(SimulateCode(code, kNoPipelines, none).ok());
  return found;
}

int64_t Loads(const ResetProgram& program) {
  return std::ranges::count_if(program.lines,
                               [](const std::string& line) { return line.starts_with("load"); });
}

TEST_CASE("micro-ops stay in the accelerator as long as there is room", "[vta]") {
  const ResetProgram held = ExpandResets(12, {.terms = {TurnOf(0, 4)}}, {});
  CHECK(Loads(held) == 4);
  CHECK(held.uops == 4);
  // One more: each makes room by that which is wanted next.
  const ResetProgram cycling = ExpandResets(12, {.terms = {TurnOf(0, 5)}}, {});
  CHECK(Loads(cycling) == 12);
  CHECK(cycling.uops == 5);
  // Three do not fit behind three.
  const ResetProgram wide =
      ExpandResets(3, {.terms = {TurnOf(0, 2, 8)}}, {{}, {}, {.turns = 3, .dst_step = 2}});
  CHECK(wide.uops == 6);
  CHECK(wide.lines == std::vector<std::string>{
                          "load uop sram 0 dram 0 y 1 x 3 stride 0",
                          "gemm reset uop 0 3 outer 1 by 0 0 0 inner 1 by 0 0 0",
                          "load uop sram 0 dram 3 y 1 x 3 stride 0",
                          "gemm reset uop 0 3 outer 1 by 0 0 0 inner 1 by 0 0 0",
                          "load uop sram 0 dram 0 y 1 x 3 stride 0",
                          "gemm reset uop 0 3 outer 1 by 0 0 0 inner 1 by 0 0 0",
                          "finish",
                      });
}

TEST_CASE("sequences of micro-ops that are alike are loaded once", "[vta]") {
  // A reset and two operations on the same accumulators, whatever their first two loops.
  Code code;
  code.allocations = {{Memory::kAcc, 0, 64, 1}};
  const std::vector<Loop> short_loops = {{}, {}, {.turns = 4, .dst_step = 1}};
  const std::vector<Loop> long_loops = {
      {.turns = 2, .dst_step = 8}, {}, {.turns = 4, .dst_step = 1}};
  code.body = {{Product{.resets = true, .loops = long_loops}},
               {Elementwise{.uses_immediate = true, .loops = short_loops}},
               {Elementwise{.op = AluOp::kMax, .uses_immediate = true, .loops = long_loops}}};
  const Expansion made = Expand(code, {});
  CHECK(made.uops == 4);
  CHECK(made.program.size() == 5);
}

TEST_CASE("what was stored is loaded behind the store", "[vta]") {
  // Only engines that compute are neighbours of both; one that has nothing to do there passes the
  // token on.
  Code code;
  code.allocations = {{Memory::kAcc, 0, 1, 1}, {Memory::kInp, 0, 1, 1}};
  code.body = {
      {Product{.resets = true}}, {Move{.is_store = true}}, {Move{.place = {.allocation = 1}}}};
  Buffers buffers = {std::vector<uint8_t>(16, 1)};
  const Expansion made = Expand(code, buffers);
  CHECK(PrintAll(made.program) == R"(load uop sram 0 dram 1024 y 1 x 1 stride 0
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 push next
store out sram 0 dram 0 y 1 x 1 stride 1 pop prev push prev
gemm reset uop 0 0 outer 1 by 0 0 0 inner 1 by 0 0 0 pop next push prev
load inp sram 0 dram 0 y 1 x 1 stride 1 pop next push next
finish pop prev
)");
  CHECK(SimulateCode(code, kNoPipelines, buffers).ok());
  CHECK(buffers[0] == std::vector<uint8_t>(16, 0));

  // One that has something to do there, and waits for the store itself.
  code.body.insert(code.body.end() - 1, {Product{.resets = true}});
  CHECK(PrintAll(Expand(code, buffers).program) == R"(load uop sram 0 dram 1024 y 1 x 1 stride 0
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 push next
store out sram 0 dram 0 y 1 x 1 stride 1 pop prev push prev
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop next push prev
load inp sram 0 dram 0 y 1 x 1 stride 1 pop next push next
finish pop prev
)");
}

TEST_CASE("instructions that only read the same are not put in order", "[vta]") {
  // The store and the sum both read copy 0; the load of accumulators and that of inputs the buffer.
  Code code;
  code.allocations = {{Memory::kAcc, 0, 1, 2}, {Memory::kInp, 0, 1, 1}};
  const Place second = {.copy = {1}};
  code.body = {{Product{.resets = true}},
               {Product{.resets = true, .dst = second}},
               {Move{.is_store = true, .buffer = 1}},
               {Elementwise{.dst = second, .src = {}}},
               {Move{.place = {.allocation = 1}}},
               {Move{.place = second}}};
  const Buffers buffers = {std::vector<uint8_t>(64), std::vector<uint8_t>(16)};
  CHECK(PrintAll(Expand(code, buffers).program) == R"(load uop sram 0 dram 2048 y 1 x 1 stride 0
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 push next
load uop sram 1 dram 2049 y 1 x 1 stride 0
gemm reset uop 1 2 outer 1 by 0 0 0 inner 1 by 0 0 0
store out sram 0 dram 256 y 1 x 1 stride 1 pop prev push prev
alu add uop 1 2 outer 1 by 0 0 inner 1 by 0 0
load inp sram 0 dram 0 y 1 x 1 stride 1 push next
load acc sram 1 dram 0 y 1 x 1 stride 1
finish pop prev next
)");
}

TEST_CASE("padding is loaded as zeros, and what is cut off is not stored", "[vta]") {
  // Rows -1 to 1 and columns -1 to 2 of a tensor of 2 × 2 tiles; stored are columns -1 to 1 of all
  // rows but the last.
  Code code;
  code.allocations = {{Memory::kAcc, 0, 12, 1}};
  const Span rows = {{-1}, 3, 2}, columns = {{-1}, 4, 2};
  code.body = {{Move{.rows = rows, .columns = columns, .stride = 2}},
               {Elementwise{.uses_immediate = true, .loops = {{.turns = 12, .dst_step = 1}}}},
               {Move{.is_store = true, .buffer = 1, .rows = rows, .columns = columns, .stride = 3}},
               {Move{.is_store = true, .buffer = 1, .rows = {{2}, 1, 2}, .columns = {{}, 4, 4}}}};
  Buffers buffers = {std::vector<uint8_t>(4 * 64), std::vector<uint8_t>(5 * 16)};
  CHECK(PrintAll(Expand(code, buffers).program) ==
        R"(load acc sram 0 dram 0 y 2 x 2 stride 2 pad 1 0 1 1
load uop sram 0 dram 2048 y 1 x 1 stride 0
alu add imm 0 uop 0 1 outer 12 by 1 0 inner 1 by 0 0 push next
store out sram 5 dram 256 y 1 x 2 stride 3 pop prev
store out sram 9 dram 259 y 1 x 2 stride 3 push prev
finish pop next
)");
}

// What the runtime makes of these words and four buffers.
int ExpandWords(const std::vector<int64_t>& words, int64_t buffer_bytes, uint32_t address = 0) {
  const tessera_vta_program program = {words.data(), static_cast<int64_t>(words.size())};
  const std::vector<tessera_vta_buffer> buffers(4, {address, buffer_bytes});
  tessera_vta_stream stream = {};
  const int status = tessera_vta_expand(&program, buffers.data(), 4, 0, &stream);
  tessera_vta_stream_free(&stream);
  return status;
}

TEST_CASE("programs move nothing but what lies in their buffers", "[vta]") {
  const std::vector<int64_t> words = Assemble(ProductCode(3, 2, 4, 2));
  CHECK(ExpandWords(words, 2 * 4 * 256) == TESSERA_VTA_OK);
  CHECK(ExpandWords(words, 2 * 4 * 256 - 1) == TESSERA_VTA_BAD_PROGRAM);
  CHECK(ExpandWords(words, 2 * 4 * 256, 1024) == TESSERA_VTA_OK);
  CHECK(ExpandWords(words, 2 * 4 * 256, 1024 + 16) == TESSERA_VTA_BAD_PROGRAM);
}

TEST_CASE("words of programs that Check refuses are refused", "[vta]") {
  const auto refuses = [](const std::function<void(Code&)>& change) {
    Code code;
    code.allocations = {{Memory::kAcc, 0, 4, 2}, {Memory::kInp, 0, 40, 100}};
    code.body = {{Product{.resets = true}}, {Move{.is_store = true}}, {Move{}}};
    REQUIRE(ExpandWords(Assemble(code), 4096) == TESSERA_VTA_OK);
    change(code);
    REQUIRE_FALSE(Check(code, 4).ok());
    return ExpandWords(Assemble(code), 4096) == TESSERA_VTA_BAD_PROGRAM;
  };
  const auto store = [](Code& code) -> Move& { return std::get<Move>(code.body[1].what); };
  const auto load = [](Code& code) -> Move& { return std::get<Move>(code.body[2].what); };
  CHECK(refuses([&](Code& code) {
    for (int i = 0; i <= kMaxLoops; ++i) code.body = {{Repeat{.turns = 1, .body = code.body}}};
  }));
  CHECK(refuses([&](Code& code) { code.body = {{Repeat{.turns = 0, .body = code.body}}}; }));
  CHECK(refuses([&](Code& code) { code.body = {{Repeat{}}}; }));
  CHECK(refuses([&](Code& code) { code.allocations.resize(65, {Memory::kAcc, 0, 1, 1}); }));
  CHECK(refuses([&](Code& code) { code.allocations.resize(4, code.allocations[1]); }));
  CHECK(refuses([&](Code& code) { store(code).place.copy.constant = 2; }));
  CHECK(refuses([&](Code& code) { store(code).place.copy.constant = -1; }));
  CHECK(refuses([&](Code& code) { store(code).place.offset.constant = 4; }));
  CHECK(refuses([&](Code& code) { store(code).place.copy.terms = {TurnOf(0, 1)}; }));
  CHECK(refuses([&](Code& code) { store(code).buffer = 4; }));
  CHECK(refuses([&](Code& code) { store(code).tile.constant = -1; }));
  CHECK(refuses([&](Code& code) { load(code).buffer = BufferOfConstant(0); }));
  CHECK(refuses([&](Code& code) {
    code.constants = {std::vector<uint8_t>(4096)};
    store(code).buffer = BufferOfConstant(0);
  }));
  CHECK(refuses([&](Code& code) {
    code.constants = {std::vector<uint8_t>(4)};
    load(code).buffer = BufferOfConstant(0);
  }));
  CHECK(refuses([&](Code& code) { code.constants = {std::vector<uint8_t>(6)}; }));
  CHECK(refuses([&](Code& code) { code.constants.resize(9, std::vector<uint8_t>(4)); }));
  CHECK(refuses([&](Code& code) { load(code).rows.first.constant = 1; }));
  CHECK(refuses([&](Code& code) { load(code).columns.first.constant = -1; }));
  CHECK(refuses(
      [&](Code& code) { load(code) = {.place = {.allocation = 1}, .columns = {{-16}, 17, 1}}; }));
  CHECK(refuses(
      [&](Code& code) { std::get<Product>(code.body[0].what).loops.resize(9, {.turns = 2}); }));
  CHECK(refuses([&](Code& code) {
    std::get<Product>(code.body[0].what).loops = {{}, {}, {.turns = 1 << 14}};
  }));

  std::vector<int64_t> words = Assemble(ProductCode(1, 1, 1, 1));
  CHECK(ExpandWords({}, 4096) == TESSERA_VTA_BAD_PROGRAM);
  constexpr size_t kFirstField = 3;
  words[kFirstField + 1] = 62;  // bits, of a field from position 3 on
  CHECK(ExpandWords(words, 4096) == TESSERA_VTA_BAD_PROGRAM);
  words[kFirstField + 1] = 1;
  CHECK(ExpandWords(words, 4096) == TESSERA_VTA_OK);
  words[kFirstField + 2 * 16 + 1] = 20;  // of micro-ops' wgt, from position 22 on
  CHECK(ExpandWords(words, 4096) == TESSERA_VTA_BAD_PROGRAM);
}

TEST_CASE("the longest program that passes is expanded", "[vta]") {
  Code code;
  code.allocations = {{Memory::kAcc, 0, 1, 1}};
  code.body = {{Repeat{.turns = kMaxInstructions - 1, .body = {{Product{.resets = true}}}}}};
  REQUIRE(Check(code, 0).ok());
  CHECK(ExpandWords(Assemble(code), 0) == TESSERA_VTA_OK);
}

TEST_CASE("hostile words are refused or expanded, never more", "[vta]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Rng rng(seed);
  int refused = 0, expanded = 0;
  for (int i = 0; i < 100; ++i) {
    const std::vector<int64_t> words = Assemble(MakeRandomProgram(rng).code);
    for (int j = 0; j < 30; ++j) {
      std::vector<int64_t> changed = words;
      for (uint64_t edits = rng.Below(3); edits > 0; --edits) {
        int64_t& word = changed[rng.Below(changed.size())];
        switch (rng.Below(5)) {
          case 0:
            word = rng.Between(-3, 40);
            break;
          case 1:
            word = changed[rng.Below(changed.size())];
            break;
          case 2:
            word = static_cast<int64_t>((uint64_t{1} << rng.Below(64)) - rng.Below(2));
            break;
          default:
            word = static_cast<int64_t>(rng.Next());
        }
      }
      if (rng.Chance(0.1)) changed.resize(rng.Below(changed.size()));
      const int status = ExpandWords(changed, 4096);
      REQUIRE((status == TESSERA_VTA_OK || status == TESSERA_VTA_BAD_PROGRAM));
      ++(status == TESSERA_VTA_OK ? expanded : refused);
    }
  }
  CHECK(expanded > 500);
  CHECK(refused > 500);
}

}  // namespace
}  // namespace tessera::vta
