#include "compiler/vta/simulator.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/text.h"

namespace tessera::vta {
namespace {

// One product of tiles, shifted and clipped. In DRAM a micro-op lies at byte 0, inputs at 16,
// weights at 256, and results go to 1024.
constexpr const char* kProduct = R"(
load uop sram 0 dram 0 y 1 x 1 stride 1
load inp sram 0 dram 1 y 1 x 1 stride 1
load wgt sram 0 dram 1 y 1 x 1 stride 1 push next
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0
gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev
alu shr imm 2 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu max imm -100 uop 0 1 outer 1 by 0 0 inner 1 by 0 0
alu min imm 100 uop 0 1 outer 1 by 0 0 inner 1 by 0 0 push next
store out sram 0 dram 64 y 1 x 1 stride 1 pop prev push prev
finish pop next
)";

constexpr Timing kTiming = {.bus_bytes = 8,
                            .row_latency = 10,
                            .fetch_burst = 32,
                            .queue_entries = 16,
                            .token_entries = 4,
                            .gemm_depth = 4,
                            .alu_depth = 4,
                            .turn_cycles = 0,
                            .alu_immediate_interval = 1};

int8_t InputAt(int k) { return static_cast<int8_t>(3 * k - 20); }
int8_t WeightAt(int column, int k) { return static_cast<int8_t>((column * 5 + k * 3) % 17 - 8); }

std::vector<uint8_t> ProductDram() {
  std::vector<uint8_t> dram(2048);
  const uint32_t uop = EncodeMicroOp({}, Config()).value();
  std::memcpy(dram.data(), &uop, sizeof(uop));
  for (int k = 0; k < 16; ++k) {
    dram[static_cast<size_t>(16 + k)] = static_cast<uint8_t>(InputAt(k));
    for (int column = 0; column < 16; ++column) {
      dram[static_cast<size_t>(256 + column * 16 + k)] = static_cast<uint8_t>(WeightAt(column, k));
    }
  }
  return dram;
}

absl::StatusOr<Report> Run(const std::string& text, std::vector<uint8_t>& dram,
                           const Timing& timing = kTiming) {
  const auto program = ParseAll(text);
  INFO(program.status());
  REQUIRE(program.ok());
  return Simulate(*program, Config(), timing, absl::MakeSpan(dram));
}

// The fault of the product where `from` is replaced.
std::string FaultOf(const std::string& from, const std::string& to) {
  CAPTURE(from, to);
  std::string text = kProduct;
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
  std::vector<uint8_t> dram = ProductDram();
  const auto report = Run(text, dram);
  CHECK(report.status().code() == absl::StatusCode::kFailedPrecondition);
  return std::string(report.status().message());
}

TEST_CASE("a program computes what its instructions say", "[vta]") {
  std::vector<uint8_t> dram = ProductDram();
  const auto report = Run(kProduct, dram);
  INFO(report.status());
  REQUIRE(report.ok());
  for (int column = 0; column < 16; ++column) {
    int sum = 0;
    for (int k = 0; k < 16; ++k) sum += InputAt(k) * WeightAt(column, k);
    CHECK(int{static_cast<int8_t>(dram[static_cast<size_t>(1024 + column)])} ==
          std::clamp(sum >> 2, -100, 100));
  }
}

// Counted by hand. Instructions are there at cycle 10 + 160 / 8 = 30 and dispatched one a cycle.
// The micro-op arrives at 30 + 10 + 1; inputs at 31 + 10 + 2, weights at 43 + 10 + 32 = 85; the
// product begins then and takes 4 + 1, as does each of the three operations behind it; the store
// takes 10 + 2.
TEST_CASE("a program takes the cycles of its slowest engine and what it waits for", "[vta]") {
  std::vector<uint8_t> dram = ProductDram();
  const auto report = Run(kProduct, dram);
  REQUIRE(report.ok());
  CHECK(report->cycles == 85 + 4 * 5 + 12);
  CHECK(report->gemm_steps == 2);
  CHECK(report->alu_steps == 3);
  CHECK(report->dram_bytes_read == 10 * 16 + 4 + 16 + 256);
  CHECK(report->dram_bytes_written == 16);
  const EngineReport& load = report->of(Engine::kLoad);
  CHECK(load.instructions == 2);
  CHECK(load.busy == 85 - 31);
  CHECK(load.no_instruction == 31);
  CHECK(load.no_token == 0);
  const EngineReport& compute = report->of(Engine::kCompute);
  CHECK(compute.instructions == 7);
  CHECK(compute.busy == 11 + 5 * 5);
  CHECK(compute.no_instruction == 30);
  CHECK(compute.no_token == (85 - 46) + 12);
  CHECK(report->timeline.size() == 1 + 10);  // fetched as one row
  CHECK(report->timeline.back().end_cycle == report->cycles);
}

TEST_CASE("a timeline tells what each engine waited for", "[vta]") {
  std::vector<uint8_t> dram = ProductDram();
  const auto report = Run(kProduct, dram);
  REQUIRE(report.ok());
  std::array<EngineReport, kEngines> sums;
  for (const TimelineEntry& entry : report->timeline) {
    EngineReport& sum = sums[static_cast<size_t>(entry.engine)];
    sum.instructions += entry.engine == Engine::kFetch ? 10 : 1;
    sum.busy += entry.end_cycle - entry.begin_cycle;
    sum.bus += entry.bus;
    sum.no_instruction += entry.no_instruction;
    sum.no_token += entry.no_token;
    sum.queue_full += entry.queue_full;
  }
  for (size_t i = 0; i < kEngines; ++i) {
    CAPTURE(i);
    const EngineReport& counts = report->engines[i];
    CHECK(sums[i].instructions == counts.instructions);
    CHECK(sums[i].busy == counts.busy);
    CHECK(sums[i].bus == counts.bus);
    CHECK(sums[i].no_instruction == counts.no_instruction);
    CHECK(sums[i].no_token == counts.no_token);
    CHECK(sums[i].queue_full == counts.queue_full);
  }
  // The product that waits for weights.
  const auto product = std::ranges::find_if(
      report->timeline, [](const TimelineEntry& entry) { return entry.instruction == 4; });
  REQUIRE(product != report->timeline.end());
  CHECK(product->begin_cycle == 85);
  CHECK(product->no_token == 85 - 46);
}

// The loops around micro-ops are not one pipeline in the HLS design: docs/vta-timing.md.
TEST_CASE("each turn of an instruction's loops fills the pipeline anew", "[vta]") {
  const char* text = R"(
load uop sram 0 dram 0 y 1 x 4 stride 4
gemm reset uop 0 4 outer 3 by 4 0 0 inner 5 by 12 0 0
alu add imm 1 uop 0 4 outer 3 by 4 0 inner 5 by 12 0
alu add uop 0 4 outer 3 by 4 0 inner 1 by 0 0
finish
)";
  std::vector<uint8_t> dram(64);
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t uop = EncodeMicroOp({.dst = i, .src = i + 12}, Config()).value();
    std::memcpy(dram.data() + 4 * i, &uop, sizeof(uop));
  }
  const auto cycles = [&](int64_t turn_cycles) {
    Timing timing = kTiming;
    timing.turn_cycles = turn_cycles;
    const auto report = Run(text, dram, timing);
    INFO(report.status());
    REQUIRE(report.ok());
    return report->cycles;
  };
  const int64_t loaded = (10 + 10) + 10 + 2;  // instructions, then micro-ops
  CHECK(cycles(0) == loaded + (4 + 60) + (4 + 60) + (4 + 2 * 12));
  CHECK(cycles(6) == cycles(0) + 6 * (14 + 14 + 2));
}

TEST_CASE("what is stored does not hold up what is loaded", "[vta]") {
  // 64 cycles of results and 64 of inputs, at once.
  const char* text = R"(
load uop sram 0 dram 0 y 1 x 1 stride 1
gemm reset uop 0 1 outer 32 by 1 0 0 inner 1 by 0 0 0 push prev next
load inp sram 0 dram 8 y 1 x 32 stride 32 pop next push next
store out sram 0 dram 64 y 1 x 32 stride 32 pop prev push prev
finish pop prev next
)";
  std::vector<uint8_t> dram(2048);
  const auto report = Run(text, dram);
  INFO(report.status());
  REQUIRE(report.ok());
  CHECK(report->of(Engine::kLoad).busy == 10 + 64);
  CHECK(report->of(Engine::kStore).busy == 10 + 64);
  CHECK(report->of(Engine::kLoad).bus + report->of(Engine::kStore).bus == 0);
}

TEST_CASE("rows of instructions behind the first wait for no latency", "[vta]") {
  std::string text;
  for (int i = 0; i < 7; ++i) text += "gemm reset uop 0 0 outer 1 by 0 0 0 inner 1 by 0 0 0\n";
  text += "finish\n";
  Timing timing = kTiming;
  timing.fetch_burst = 4;
  timing.gemm_depth = 0;
  std::vector<uint8_t> dram(64);
  const auto report = Run(text, dram, timing);
  INFO(report.status());
  REQUIRE(report.ok());
  // Four instructions, 8 cycles of the bus, from 10 to 18, one a cycle up to 21; the others are on
  // the bus from 22 to 30, and the last of them begins at 33.
  CHECK(report->cycles == 33);
  CHECK(report->of(Engine::kFetch).busy == 18 + 8);
}

TEST_CASE("times that no hardware has are refused", "[vta]") {
  const std::pair<int64_t Timing::*, std::string> cases[] = {
      {&Timing::bus_bytes, "bus_bytes is 0, not 1 to 1048576"},
      {&Timing::fetch_burst, "fetch_burst is 0, not 1 to 1048576"},
      {&Timing::queue_entries, "queue_entries is 0, not 1 to 1048576"},
      {&Timing::token_entries, "token_entries is 0, not 1 to 1048576"},
      {&Timing::gemm_interval, "gemm_interval is 0, not 1 to 1048576"},
      {&Timing::alu_interval, "alu_interval is 0, not 1 to 1048576"},
      {&Timing::alu_immediate_interval, "alu_immediate_interval is 0, not 1 to 1048576"}};
  std::vector<uint8_t> dram(64);
  for (const auto& [member, message] : cases) {
    Timing timing;
    timing.*member = 0;
    CHECK_THAT(std::string(CheckTiming(timing).message()), Catch::Contains(message));
    CHECK(Run("finish", dram, timing).status().code() == absl::StatusCode::kInvalidArgument);
  }
  for (int64_t Timing::* member :
       {&Timing::row_latency, &Timing::gemm_depth, &Timing::alu_depth, &Timing::turn_cycles}) {
    Timing timing;
    timing.*member = 0;
    CHECK(CheckTiming(timing).ok());
    timing.*member = -1;
    CHECK_FALSE(CheckTiming(timing).ok());
    timing.*member = (1 << 20) + 1;
    CHECK_FALSE(CheckTiming(timing).ok());
  }
  CHECK(CheckTiming(Timing()).ok());
}

TEST_CASE("programs that would not end for hours are refused before they begin", "[vta]") {
  std::vector<uint8_t> dram(64);
  for (const char* uops : {"0 0", "0 1", "0 8191"}) {
    // 2^26 turns each.
    std::string text;
    for (int i = 0; i < 16; ++i) {
      absl::StrAppend(&text, "gemm reset uop ", uops, " outer 8192 by 0 0 0 inner 8192 by 0 0 0\n");
    }
    const auto report =
        Run(text + "gemm reset uop 0 0 outer 1 by 0 0 0 inner 1 by 0 0 0\nfinish", dram);
    CHECK(report.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(report.status().message()),
               Catch::Contains("the limit is 1073741824") && Catch::Contains("at cycle 0"));
  }
}

TEST_CASE("micro-ops are loaded in one row", "[vta]") {
  CHECK_THAT(FaultOf("load uop sram 0 dram 0 y 1 x 1", "load uop sram 0 dram 0 y 2 x 1"),
             Catch::Contains("loads micro-ops as 2 rows of 1"));
}

TEST_CASE("engines that want the bus at once take turns", "[vta]") {
  // The row of the second transfer is asked for while that of the first is on the bus.
  const char* text = R"(
load inp sram 0 dram 0 y 1 x 8 stride 8 push next
load acc sram 0 dram 0 y 1 x 1 stride 1
gemm reset uop 0 0 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev
finish
)";
  std::vector<uint8_t> dram(1024);
  const auto report = Run(text, dram);
  INFO(report.status());
  REQUIRE(report.ok());
  // 18, 19: dispatched; 28 to 44: inputs; 29: accumulators are asked for, 44 to 52 they come.
  CHECK(report->of(Engine::kCompute).bus == 15);
  CHECK(report->of(Engine::kLoad).bus == 0);
  CHECK(report->cycles == 52 + 4);
}

TEST_CASE("loads and products of two contexts overlap", "[vta]") {
  // Eight tiles of inputs and weights, each loaded to one half of the memories while the other is
  // multiplied by many steps; or all by one context, which waits for each.
  const auto program = [](int contexts) {
    std::string text = "load uop sram 0 dram 0 y 1 x 4 stride 4\n";
    for (int i = 0; i < 8; ++i) {
      const int half = i % contexts;
      absl::StrAppend(&text, "load inp sram ", half * 64, " dram 64 y 1 x 64 stride 64",
                      i >= contexts ? " pop next" : "", " push next\n");
      absl::StrAppend(&text, "gemm reset uop 0 4 outer 64 by 4 1 0 inner 1 by 0 0 0 pop prev",
                      i + contexts < 8 ? " push prev\n" : "\n");
    }
    return text + "finish\n";
  };
  std::vector<uint8_t> dram(4096);
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t uop = EncodeMicroOp({.dst = i}, Config()).value();
    std::memcpy(dram.data() + 4 * i, &uop, sizeof(uop));
  }
  const auto one = Run(program(1), dram), two = Run(program(2), dram);
  INFO(one.status() << " " << two.status());
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(two->gemm_steps == one->gemm_steps);
  CHECK(two->cycles < one->cycles);
  CHECK(two->of(Engine::kCompute).no_token < one->of(Engine::kCompute).no_token);
}

TEST_CASE("full queues hold fetch up", "[vta]") {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "load inp sram 0 dram 0 y 1 x 1 stride 1\n";
  text += "finish pop prev\n";
  text = absl::StrReplaceAll(text, {{"stride 1\nfinish", "stride 1 push next\nfinish"}});
  std::vector<uint8_t> dram(64);
  Timing timing = kTiming;
  const auto roomy = Run(text, dram, Timing{.row_latency = 10, .queue_entries = 64});
  timing.queue_entries = 2;
  const auto full = Run(text, dram, timing);
  REQUIRE(roomy.ok());
  REQUIRE(full.ok());
  CHECK(roomy->of(Engine::kFetch).queue_full == 0);
  CHECK(full->of(Engine::kFetch).queue_full > 100);
}

TEST_CASE("what hardware would do wrong in silence is a fault with instruction and cycle",
          "[vta]") {
  // Memory.
  CHECK_THAT(FaultOf("load inp sram 0 dram 1", "load inp sram 1 dram 1"),
             Catch::Contains("instruction 4 (gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop "
                             "prev) at cycle 85: reads tile 0 of inp, which nothing was put into"));
  CHECK_THAT(FaultOf("load inp sram 0 dram 1 y 1 x 1", "load inp sram 2040 dram 1 y 1 x 9"),
             Catch::Contains("ends at tile 2049 of inp, which has 2048"));
  CHECK_THAT(FaultOf("load inp sram 0 dram 1", "load inp sram 0 dram 128"),
             Catch::Contains("ends at byte 2064 of DRAM, which has 2048"));
  CHECK_THAT(
      FaultOf("outer 1 by 0 0 0 inner 1 by 0 0 0 pop", "outer 1 by 0 0 0 inner 2 by 9 2047 0 pop"),
      Catch::Contains("tile 9 of acc, which nothing was put into"));
  CHECK_THAT(
      FaultOf("gemm reset uop 0 1 outer 1 by 0 0 0", "gemm reset uop 0 1 outer 3 by 1024 0 0"),
      Catch::Contains("uses tile 2048 of acc, which has 2048"));
  CHECK_THAT(FaultOf("gemm uop 0 1", "gemm uop 1 2"), Catch::Contains("tile 1 of uop"));
  // The pipelines.
  CHECK_THAT(FaultOf("gemm uop 0 1 outer 1", "gemm uop 0 1 outer 2"),
             Catch::Contains("uses tile 0 of acc again after 1 step; the pipeline takes 4"));
  CHECK_THAT(FaultOf("shr imm 2 uop 0 1 outer 1", "shr imm 2 uop 0 1 outer 2"),
             Catch::Contains("uses tile 0 of acc again after 1 step"));
  // Order.
  CHECK_THAT(FaultOf("push next\ngemm", "\ngemm"), Catch::Contains("waits for a token"));
  CHECK_THAT(FaultOf(" pop prev\nalu", "\nalu"),
             Catch::Contains("uses tile 0 of wgt as instruction 2 of load does; no token"));
  CHECK_THAT(FaultOf("x 1 stride 1 pop prev push prev", "x 1 stride 1 push prev"),
             Catch::Contains("reads tile 0 of out, which nothing was put into"));
  CHECK_THAT(FaultOf("pop prev push prev\nfinish pop next", "pop prev\nfinish"),
             Catch::Contains("no token puts it behind the last instruction of store"));
  CHECK_THAT(FaultOf("by 0 0 inner 1 by 0 0\nalu max", "by 0 0 inner 1 by 0 0 push prev\nalu max"),
             Catch::Contains("leaves 1 token from compute to load"));
}

TEST_CASE("a missing token is a fault though this time nothing went wrong", "[vta]") {
  // The second load overwrites what the product has long read, but nothing says that it has.
  const std::string text = R"(
load uop sram 0 dram 0 y 1 x 1 stride 1
load inp sram 0 dram 1 y 1 x 1 stride 1
load wgt sram 0 dram 1 y 1 x 1 stride 1 push next
gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0
gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev TOKEN
load wgt sram 512 dram 0 y 4 x 1 stride 0
load inp sram 0 dram 1 y 1 x 1 stride 1 WAIT push next
finish pop prev
)";
  const auto with = [&](const char* token, const char* wait) {
    std::vector<uint8_t> dram = ProductDram();
    return Run(absl::StrReplaceAll(text, {{"TOKEN", token}, {"WAIT", wait}}), dram);
  };
  CHECK(with("push prev", "pop next").ok());
  const auto without = with("", "");
  CHECK_THAT(std::string(without.status().message()),
             Catch::Contains("uses tile 0 of inp as instruction 4 of compute does; no token puts "
                             "one behind the other"));
}

TEST_CASE("programs without an end, or with tokens to nowhere, are faults", "[vta]") {
  std::vector<uint8_t> dram(64);
  CHECK_FALSE(Run("", dram).ok());
  CHECK_THAT(std::string(Run("load inp sram 0 dram 0 y 1 x 1 stride 1", dram).status().message()),
             Catch::Contains("a program ends with its only finish"));
  CHECK_THAT(std::string(Run("finish\nfinish", dram).status().message()),
             Catch::Contains("only finish"));
  CHECK_THAT(
      std::string(Run("load inp sram -1 dram 0 y 1 x 1 stride 1\nfinish", dram).status().message()),
      Catch::Contains("sram is -1"));
  CHECK_THAT(
      std::string(
          Run("load inp sram 0 dram 0 y 1 x 1 stride 1 pop prev\nfinish", dram).status().message()),
      Catch::Contains("there is no engine before load"));
}

}  // namespace
}  // namespace tessera::vta
