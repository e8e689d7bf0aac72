#include "compiler/vta/timeline.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/rng.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/text.h"

namespace tessera::vta {
namespace {

struct Run {
  std::vector<Instruction> program;
  Report report;
};

// Blocks of inputs that are loaded, cleared, clipped and stored, in two contexts by turns.
Run RunBlocks(int blocks) {
  std::string text = "load uop sram 0 dram 0 y 1 x 16 stride 16\n";
  for (int i = 0; i < blocks; ++i) {
    const int context = i % 2;
    const std::string uops = absl::StrCat(" uop ", context * 8, " ", context * 8 + 8);
    absl::StrAppend(&text, "load inp sram ", context * 64, " dram 64 y 4 x 16 stride 20",
                    i < 2 ? "" : " pop next", " push next\n");
    absl::StrAppend(&text, "gemm reset", uops, " outer 8 by 8 8 0 inner 1 by 0 0 0 pop prev",
                    i < 2 ? "" : " next", i + 2 < blocks ? " push prev\n" : "\n");
    absl::StrAppend(&text, "alu max imm 0", uops, " outer 8 by 8 8 inner 1 by 0 0 push next\n");
    absl::StrAppend(&text, "store out sram ", context * 128, " dram ", 1024 + 64 * i,
                    " y 1 x 64 stride 64 pop prev push prev\n");
  }
  // The tokens of the last two stores.
  if (blocks > 1) text += "alu add imm 0 uop 0 0 outer 1 by 0 0 inner 1 by 0 0 pop next\n";
  text += "finish pop next\n";
  auto program = ParseAll(text);
  INFO(program.status());
  REQUIRE(program.ok());
  std::vector<uint8_t> dram(static_cast<size_t>(16 * (1024 + 64 * (blocks + 1))));
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t uop = EncodeMicroOp({.dst = i % 8 + i / 8 * 128}, Config()).value();
    std::memcpy(dram.data() + 4 * i, &uop, sizeof(uop));
  }
  auto report = Simulate(*program, Config(), Timing(), absl::MakeSpan(dram));
  INFO(report.status());
  REQUIRE(report.ok());
  return {*std::move(program), *std::move(report)};
}

int CountOf(const std::string& text, const std::string& what) {
  return static_cast<int>(std::vector<std::string>(absl::StrSplit(text, what)).size()) - 1;
}

TEST_CASE("a trace holds every instruction and every wait of the report", "[vta]") {
  const Run run = RunBlocks(5);
  const auto trace = nlohmann::json::parse(ChromeTrace(run.program, run.report));
  std::set<std::string> rows;
  std::vector<int> seen(run.program.size());
  std::array<EngineReport, kEngines> sums;
  for (const auto& event : trace["traceEvents"]) {
    const size_t engine = event["tid"].get<size_t>();
    if (event["ph"] == "M") {
      if (event["name"] == "thread_name") rows.insert(event["args"]["name"].get<std::string>());
      continue;
    }
    REQUIRE(event["ph"] == "X");
    const int64_t cycles = event["dur"].get<int64_t>();
    CHECK(event["ts"].get<int64_t>() >= 0);
    CHECK(event["ts"].get<int64_t>() + cycles <= run.report.cycles);
    const std::string name = event["name"].get<std::string>();
    if (event["cat"] == "wait") {
      if (name == "no instruction") sums[engine].no_instruction += cycles;
      if (name == "no token") sums[engine].no_token += cycles;
      if (name == "queue full") sums[engine].queue_full += cycles;
      continue;
    }
    sums[engine].busy += cycles;
    if (name == "fetch") continue;
    const size_t instruction = event["args"]["instruction"].get<size_t>();
    ++seen[instruction];
    CHECK(event["args"]["text"] == Print(run.program[instruction]));
  }
  CHECK(rows == std::set<std::string>{"fetch", "load", "compute", "store"});
  CHECK(std::ranges::all_of(seen, [](int times) { return times == 1; }));
  for (size_t i = 0; i < kEngines; ++i) {
    CAPTURE(i);
    CHECK(sums[i].busy == run.report.engines[i].busy);
    CHECK(sums[i].no_instruction == run.report.engines[i].no_instruction);
    CHECK(sums[i].no_token == run.report.engines[i].no_token);
    if (i > 0) CHECK(sums[i].queue_full == run.report.engines[i].queue_full);
  }
}

TEST_CASE("what an engine does and what it waits for do not overlap in a trace", "[vta]") {
  const Run run = RunBlocks(5);
  const auto trace = nlohmann::json::parse(ChromeTrace(run.program, run.report));
  std::array<std::vector<std::pair<int64_t, int64_t>>, kEngines> spans;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const int64_t begin = event["ts"].get<int64_t>();
    spans[event["tid"].get<size_t>()].push_back({begin, begin + event["dur"].get<int64_t>()});
  }
  for (auto& of : spans) {
    std::ranges::sort(of);
    for (size_t i = 1; i < of.size(); ++i) CHECK(of[i - 1].second <= of[i].first);
  }
}

TEST_CASE("a short program is drawn instruction by instruction", "[vta]") {
  const Run run = RunBlocks(1);
  const std::string svg = TimelineSvg(run.program, run.report);
  CHECK(svg == TimelineSvg(run.program, run.report));
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  for (const char* text :
       {">fetch<", ">load<", ">compute<", ">store<", "gemm ", "alu ", "no token ",
        "<title>2: gemm, cycles ", "load inp sram 0 dram 64 y 4 x 16 stride 20 push next"}) {
    CAPTURE(text);
    CHECK(svg.find(text) != std::string::npos);
  }
  CHECK(CountOf(svg, "<text") == CountOf(svg, "</text>"));
  CHECK(CountOf(svg, "<title>") == CountOf(svg, "</title>"));
}

TEST_CASE("a long program's drawing is no longer than its width allows", "[vta]") {
  const Run run = RunBlocks(4000);
  REQUIRE(run.program.size() > 16000);
  const std::string svg = TimelineSvg(run.program, run.report);
  CHECK(svg.size() < (2 << 20));
  // Of a row of 32 points the ALU's part, 61 % of the time, is 19 or 20 high nearly everywhere.
  int64_t columns = 0;
  for (absl::string_view line : absl::StrSplit(svg, '\n')) {
    int x = 0, y = 0, width = 0, height = 0;
    if (!absl::StrContains(line, "fill=\"#7fb2e5\"")) continue;
    const int read =
        std::sscanf(std::string(line).c_str(), "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"",
                    &x, &y, &width, &height);
    if (read == 4 && std::abs(height - 20) <= 4) columns += width;
  }
  CHECK(columns > 1100);
}

TEST_CASE("no drawing is longer than 2 MiB", "[vta]") {
  const auto program = ParseAll(R"(
load inp sram 1023 dram 123456789 y 65535 x 65535 stride 65535 pad 15 15 15 15 pop next push next
load wgt sram 1023 dram 123456789 y 65535 x 65535 stride 65535 pop next push next
load uop sram 8191 dram 123456789 y 1 x 65535 stride 65535 pop prev next push prev next
load acc sram 2047 dram 123456789 y 65535 x 65535 stride 65535 pad 15 15 15 15 pop prev next
gemm uop 8190 8191 outer 8191 by 2047 2047 1023 inner 8191 by 2047 2047 1023 pop prev next
alu shr imm -32768 uop 8190 8191 outer 8191 by 2047 2047 inner 8191 by 2047 2047 push prev next
store out sram 2047 dram 123456789 y 65535 x 65535 stride 65535 pop prev push prev
)");
  REQUIRE(program.ok());
  const uint64_t seed = 37;
  CAPTURE(seed);
  Rng rng(seed);
  for (const int64_t longest : {40, 400, 2000, 4000}) {
    CAPTURE(longest);
    // 1000 cycles a point.
    Report report;
    report.cycles = 1150 * 1000;
    for (const Engine engine : {Engine::kFetch, Engine::kLoad, Engine::kCompute, Engine::kStore}) {
      for (int64_t at = 0; at + 4 * longest < report.cycles;) {
        TimelineEntry entry = {.engine = engine,
                               .instruction = static_cast<int64_t>(rng.Below(program->size())),
                               .no_instruction = rng.Between(0, longest),
                               .no_token = rng.Between(0, longest),
                               .queue_full = rng.Between(0, longest)};
        entry.begin_cycle = at + entry.no_instruction + entry.no_token;
        entry.end_cycle = entry.begin_cycle + rng.Between(0, longest);
        at = entry.end_cycle + entry.queue_full;
        report.timeline.push_back(entry);
      }
    }
    CHECK(TimelineSvg(*program, report).size() < (2 << 20));
  }
}

TEST_CASE("the axis has ticks at round numbers, ten at most", "[vta]") {
  for (const int64_t cycles : {1, 9, 10, 11, 99, 101, 777, 1234567, 987654321}) {
    CAPTURE(cycles);
    Report report;
    report.cycles = cycles;
    const std::string svg = TimelineSvg({}, report);
    const int ticks = CountOf(svg, "<path");
    CHECK(ticks >= 2);
    CHECK(ticks <= 11);
  }
}

}  // namespace
}  // namespace tessera::vta
