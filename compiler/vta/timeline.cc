#include "compiler/vta/timeline.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/text.h"

namespace tessera::vta {
namespace {

enum class Kind : uint8_t {
  kGemm,
  kAlu,
  kLoadInp,
  kLoadWgt,
  kLoadUop,
  kLoadAcc,
  kStore,
  kFinish,
  kFetch,
  kNoInstruction,
  kNoToken,
  kQueueFull
};
constexpr int kKinds = 12;

struct Look {
  const char* name;
  const char* colour;
};
constexpr std::array<Look, kKinds> kLooks = {{{"gemm", "#2b66ad"},
                                              {"alu", "#7fb2e5"},
                                              {"load inp", "#2e8b57"},
                                              {"load wgt", "#8cc26b"},
                                              {"load uop", "#a48b1f"},
                                              {"load acc", "#dcc25b"},
                                              {"store", "#b9532f"},
                                              {"finish", "#333333"},
                                              {"fetch", "#8a7fb0"},
                                              {"no instruction", "#d8d8d8"},
                                              {"no token", "#f0a8a0"},
                                              {"queue full", "#f2b33d"}}};

const Look& LookOf(Kind kind) { return kLooks[static_cast<size_t>(kind)]; }
bool IsWait(Kind kind) { return kind >= Kind::kNoInstruction; }

Kind KindOf(const Instruction& instruction) {
  if (std::holds_alternative<Gemm>(instruction.operation)) return Kind::kGemm;
  if (std::holds_alternative<Alu>(instruction.operation)) return Kind::kAlu;
  if (std::holds_alternative<Finish>(instruction.operation)) return Kind::kFinish;
  switch (std::get<Transfer>(instruction.operation).memory) {
    case Memory::kInp:
      return Kind::kLoadInp;
    case Memory::kWgt:
      return Kind::kLoadWgt;
    case Memory::kUop:
      return Kind::kLoadUop;
    case Memory::kAcc:
      return Kind::kLoadAcc;
    case Memory::kOut:
      return Kind::kStore;
  }
  TESSERA_CHECK(false);
}

// What an engine did, or waited for, from a cycle to another.
struct Bar {
  Engine engine;
  Kind kind;
  int64_t begin;
  int64_t end;
  const TimelineEntry* entry;
};

std::vector<Bar> BarsOf(absl::Span<const Instruction> program, const Report& report) {
  std::vector<Bar> bars;
  for (const TimelineEntry& entry : report.timeline) {
    TESSERA_CHECK(entry.instruction < static_cast<int64_t>(program.size()));
    const auto add = [&](Kind kind, int64_t begin, int64_t cycles) {
      if (cycles == 0 && IsWait(kind)) return;
      bars.push_back({entry.engine, kind, begin, begin + cycles, &entry});
    };
    const int64_t token_cycle = entry.begin_cycle - entry.no_token;
    add(Kind::kNoInstruction, token_cycle - entry.no_instruction, entry.no_instruction);
    add(Kind::kNoToken, token_cycle, entry.no_token);
    add(entry.engine == Engine::kFetch ? Kind::kFetch
                                       : KindOf(program[static_cast<size_t>(entry.instruction)]),
        entry.begin_cycle, entry.end_cycle - entry.begin_cycle);
    add(Kind::kQueueFull, entry.end_cycle, entry.queue_full);
  }
  return bars;
}

std::string TextOf(absl::Span<const Instruction> program, const TimelineEntry& entry) {
  if (entry.engine == Engine::kFetch) return "instructions from here on";
  return Print(program[static_cast<size_t>(entry.instruction)]);
}

// Of the drawing, in points.
constexpr int64_t kLeft = 110;
constexpr int64_t kPlotWidth = 1150;
constexpr int64_t kWidth = kLeft + kPlotWidth + 20;
constexpr int64_t kTop = 34;
constexpr int64_t kRowHeight = 46;
constexpr int64_t kBarHeight = 32;
constexpr int64_t kWaitHeight = 10;
constexpr int64_t kBottom = kTop + kEngines * kRowHeight;

class Drawing {
 public:
  Drawing(absl::Span<const Instruction> program, const Report& report)
      : program_(program), report_(report), cycles_(std::max<int64_t>(report.cycles, 1)) {
    parts_.fill(std::vector<Parts>(kPlotWidth));
  }

  std::string Run() {
    const std::vector<Bar> bars = BarsOf(program_, report_);
    for (const Bar& bar : bars) kind_cycles_[static_cast<size_t>(bar.kind)] += bar.end - bar.begin;
    Axis();
    Labels();
    for (const Bar& bar : bars) {
      if ((bar.end - bar.begin) * kPlotWidth >= cycles_) {
        Wide(bar);
      } else {
        Collect(bar);
      }
    }
    Columns();
    const int64_t height = Legend() + 14;
    return absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n%s</svg>\n",
        kWidth, height, kWidth, height, text_);
  }

 private:
  using Parts = std::array<int64_t, kKinds>;

  double X(int64_t cycle) const {
    return kLeft + static_cast<double>(cycle) * kPlotWidth / static_cast<double>(cycles_);
  }
  static int64_t HeightOf(Kind kind) { return IsWait(kind) ? kWaitHeight : kBarHeight; }
  static int64_t Y(Engine engine, Kind kind) {
    return kTop + static_cast<int64_t>(engine) * kRowHeight + (kRowHeight - HeightOf(kind)) / 2;
  }

  void Text(double x, int64_t y, std::string_view anchor, std::string_view text) {
    absl::StrAppendFormat(&text_, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y,
                          AbslView(anchor), AbslView(text));
  }

  // Lines at every 1, 2 or 5 × 10ⁿ cycles, at most ten.
  void Axis() {
    int64_t step = 1;
    for (int i = 0; step * 10 < cycles_; ++i) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
    for (int64_t cycle = 0; cycle <= cycles_; cycle += step) {
      absl::StrAppendFormat(&text_, "<path d=\"M%.2f %dV%d\" stroke=\"#e4e4e4\"/>\n", X(cycle),
                            kTop, kBottom + 5);
      Text(X(cycle), kBottom + 19, "middle", absl::StrCat(cycle));
    }
    Text(kLeft, 20, "start",
         absl::StrCat(report_.cycles, " cycles, ", program_.size(), " instructions, ",
                      report_.dram_bytes_read, " bytes read and ", report_.dram_bytes_written,
                      " written"));
  }

  void Labels() {
    for (int i = 0; i < kEngines; ++i) {
      const Engine engine = static_cast<Engine>(i);
      const int64_t y = kTop + i * kRowHeight + kRowHeight / 2;
      Text(kLeft - 12, y - 2, "end", EngineName(engine));
      Text(kLeft - 12, y + 13, "end", absl::StrCat(Percent(report_.of(engine).busy), " busy"));
    }
  }

  std::string Percent(int64_t cycles) const {
    return absl::StrFormat("%.1f %%",
                           100.0 * static_cast<double>(cycles) / static_cast<double>(cycles_));
  }

  void Wide(const Bar& bar) {
    absl::StrAppendFormat(&text_,
                          "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\">"
                          "<title>%d: %s, cycles %d to %d: %s</title></rect>\n",
                          X(bar.begin), Y(bar.engine, bar.kind), X(bar.end) - X(bar.begin),
                          HeightOf(bar.kind), LookOf(bar.kind).colour, bar.entry->instruction,
                          LookOf(bar.kind).name, bar.begin, bar.end, TextOf(program_, *bar.entry));
  }

  // Adds up the kPlotWidth-th parts of cycles that the bar takes of each column of one point.
  void Collect(const Bar& bar) {
    const int64_t end = bar.end * kPlotWidth;
    for (int64_t at = bar.begin * kPlotWidth; at < end;) {
      const int64_t column = at / cycles_;
      const int64_t next = std::min(end, (column + 1) * cycles_);
      parts_[static_cast<size_t>(bar.engine)][static_cast<size_t>(column)]
            [static_cast<size_t>(bar.kind)] += next - at;
      at = next;
    }
  }

  // How far up each kind reaches in a column, one on top of the other.
  Parts StackOf(const Parts& parts) const {
    Parts tops;
    int64_t sum = 0;
    for (size_t i = 0; i < kKinds; ++i) {
      sum += parts[i];
      tops[i] = (sum * kBarHeight + cycles_ / 2) / cycles_;
    }
    return tops;
  }

  // Columns that look alike are drawn as one.
  void Columns() {
    for (int row = 0; row < kEngines; ++row) {
      std::vector<Parts> stacks;
      for (const Parts& parts : parts_[static_cast<size_t>(row)]) stacks.push_back(StackOf(parts));
      const int64_t bottom = Y(static_cast<Engine>(row), Kind::kGemm) + kBarHeight;
      for (auto begin = stacks.begin(), end = begin; begin != stacks.end(); begin = end) {
        while (end != stacks.end() && *end == *begin) ++end;
        int64_t below = 0;
        for (size_t i = 0; i < kKinds; below = (*begin)[i++]) {
          if ((*begin)[i] == below) continue;
          absl::StrAppendFormat(
              &text_, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
              kLeft + (begin - stacks.begin()), bottom - (*begin)[i], end - begin,
              (*begin)[i] - below, kLooks[i].colour);
        }
      }
    }
  }

  // Where it ends.
  int64_t Legend() {
    constexpr int64_t kEntryWidth = 190;
    constexpr int64_t kEntriesOfLine = kPlotWidth / kEntryWidth;
    int64_t count = 0, y = kBottom + 28;
    for (int i = 0; i < kKinds; ++i) {
      const int64_t cycles = kind_cycles_[static_cast<size_t>(i)];
      if (cycles == 0) continue;
      const int64_t x = kLeft + count % kEntriesOfLine * kEntryWidth;
      y = kBottom + 48 + count / kEntriesOfLine * 20;
      absl::StrAppendFormat(&text_,
                            "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", x,
                            y - 10, LookOf(static_cast<Kind>(i)).colour);
      Text(static_cast<double>(x + 18), y, "start",
           absl::StrCat(LookOf(static_cast<Kind>(i)).name, " ", Percent(cycles)));
      ++count;
    }
    return y;
  }

  absl::Span<const Instruction> program_;
  const Report& report_;
  const int64_t cycles_;
  std::array<int64_t, kKinds> kind_cycles_ = {};
  // Of each column of each engine's row.
  std::array<std::vector<Parts>, kEngines> parts_;
  std::string text_;
};

}  // namespace

std::string ChromeTrace(absl::Span<const Instruction> program, const Report& report) {
  std::string text = "{\"otherData\":{\"unit\":\"1 us is a cycle\"},\"traceEvents\":[";
  const auto add = [&](const nlohmann::ordered_json& event) {
    absl::StrAppend(&text, text.ends_with('[') ? "\n" : ",\n", event.dump());
  };
  for (int i = 0; i < kEngines; ++i) {
    const std::string_view name = EngineName(static_cast<Engine>(i));
    add({{"ph", "M"}, {"pid", 1}, {"tid", i}, {"name", "thread_name"}, {"args", {{"name", name}}}});
    add({{"ph", "M"},
         {"pid", 1},
         {"tid", i},
         {"name", "thread_sort_index"},
         {"args", {{"sort_index", i}}}});
  }
  for (const Bar& bar : BarsOf(program, report)) {
    nlohmann::ordered_json event = {{"ph", "X"},
                                    {"pid", 1},
                                    {"tid", static_cast<int>(bar.engine)},
                                    {"ts", bar.begin},
                                    {"dur", bar.end - bar.begin},
                                    {"name", LookOf(bar.kind).name},
                                    {"cat", IsWait(bar.kind) ? "wait" : "instruction"}};
    nlohmann::ordered_json& args = event["args"];
    args["instruction"] = bar.entry->instruction;
    if (!IsWait(bar.kind)) {
      args["text"] = TextOf(program, *bar.entry);
      args["bus"] = bar.entry->bus;
      args["no_instruction"] = bar.entry->no_instruction;
      args["no_token"] = bar.entry->no_token;
      args["queue_full"] = bar.entry->queue_full;
    }
    add(event);
  }
  return text + "\n]}\n";
}

std::string TimelineSvg(absl::Span<const Instruction> program, const Report& report) {
  return Drawing(program, report).Run();
}

}  // namespace tessera::vta
