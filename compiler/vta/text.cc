#include "compiler/vta/text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/words.h"

namespace tessera::vta {
namespace {

std::string PrintLoop(const char* name, const Loop& loop, bool has_wgt) {
  std::string text =
      absl::StrCat(" ", name, " ", loop.turns, " by ", loop.dst_step, " ", loop.src_step);
  if (has_wgt) absl::StrAppend(&text, " ", loop.wgt_step);
  return text;
}

template <typename Operation>
std::string PrintLoops(const Operation& operation, bool has_wgt) {
  return absl::StrCat(" uop ", operation.uop_begin, " ", operation.uop_end,
                      PrintLoop("outer", operation.outer, has_wgt),
                      PrintLoop("inner", operation.inner, has_wgt));
}

std::string PrintOperation(const Transfer& transfer) {
  std::string text =
      absl::StrCat(transfer.is_store ? "store " : "load ", AbslView(MemoryName(transfer.memory)),
                   " sram ", transfer.sram_base, " dram ", transfer.dram_base, " y ",
                   transfer.y_size, " x ", transfer.x_size, " stride ", transfer.x_stride);
  if (transfer.y_pad_before != 0 || transfer.y_pad_after != 0 || transfer.x_pad_before != 0 ||
      transfer.x_pad_after != 0) {
    absl::StrAppend(&text, " pad ", transfer.y_pad_before, " ", transfer.y_pad_after, " ",
                    transfer.x_pad_before, " ", transfer.x_pad_after);
  }
  return text;
}

std::string PrintOperation(const Gemm& gemm) {
  return absl::StrCat("gemm", gemm.resets ? " reset" : "", PrintLoops(gemm, /*has_wgt=*/true));
}

std::string PrintOperation(const Alu& alu) {
  std::string text = absl::StrCat("alu ", AbslView(AluOpName(alu.op)));
  if (alu.uses_immediate) absl::StrAppend(&text, " imm ", alu.immediate);
  return text + PrintLoops(alu, /*has_wgt=*/false);
}

std::string PrintOperation(const Finish&) { return "finish"; }

std::string PrintTokens(const char* verb, bool previous, bool next) {
  if (!previous && !next) return "";
  return absl::StrCat(" ", verb, previous ? " prev" : "", next ? " next" : "");
}

absl::Status ReadTransfer(Words& words, Transfer& transfer) {
  TESSERA_ASSIGN_OR_RETURN(
      const int memory,
      words.OneOf(kMemories, [](int i) { return MemoryName(static_cast<Memory>(i)); }, "a memory"));
  transfer.memory = static_cast<Memory>(memory);
  TESSERA_RETURN_IF_ERROR(words.Named("sram", transfer.sram_base));
  TESSERA_RETURN_IF_ERROR(words.Named("dram", transfer.dram_base));
  TESSERA_RETURN_IF_ERROR(words.Named("y", transfer.y_size));
  TESSERA_RETURN_IF_ERROR(words.Named("x", transfer.x_size));
  TESSERA_RETURN_IF_ERROR(words.Named("stride", transfer.x_stride));
  if (!words.Accept("pad")) return absl::OkStatus();
  return words.Numbers({&transfer.y_pad_before, &transfer.y_pad_after, &transfer.x_pad_before,
                        &transfer.x_pad_after});
}

absl::Status ReadLoop(Words& words, const char* name, Loop& loop, bool has_wgt) {
  TESSERA_RETURN_IF_ERROR(words.Named(name, loop.turns));
  TESSERA_RETURN_IF_ERROR(words.Named("by", loop.dst_step));
  TESSERA_RETURN_IF_ERROR(words.Numbers({&loop.src_step}));
  return has_wgt ? words.Numbers({&loop.wgt_step}) : absl::OkStatus();
}

template <typename Operation>
absl::Status ReadLoops(Words& words, Operation& operation, bool has_wgt) {
  TESSERA_RETURN_IF_ERROR(words.Expect("uop"));
  TESSERA_RETURN_IF_ERROR(words.Numbers({&operation.uop_begin, &operation.uop_end}));
  TESSERA_RETURN_IF_ERROR(ReadLoop(words, "outer", operation.outer, has_wgt));
  return ReadLoop(words, "inner", operation.inner, has_wgt);
}

absl::Status ReadAlu(Words& words, Alu& alu) {
  TESSERA_ASSIGN_OR_RETURN(
      const int op,
      words.OneOf(
          kAluOps, [](int i) { return AluOpName(static_cast<AluOp>(i)); }, "an operation of alu"));
  alu.op = static_cast<AluOp>(op);
  alu.uses_immediate = words.Accept("imm");
  if (alu.uses_immediate) TESSERA_RETURN_IF_ERROR(words.Numbers({&alu.immediate}));
  return ReadLoops(words, alu, /*has_wgt=*/false);
}

absl::Status ReadTokens(Words& words, const char* verb, bool& previous, bool& next) {
  if (!words.Accept(verb)) return absl::OkStatus();
  previous = words.Accept("prev");
  next = words.Accept("next");
  return previous || next ? absl::OkStatus() : words.Refuse("\"prev\" or \"next\"");
}

absl::StatusOr<std::variant<Transfer, Gemm, Alu, Finish>> ReadOperation(Words& words) {
  const bool loads = words.Accept("load");
  if (loads || words.Accept("store")) {
    Transfer transfer{.is_store = !loads};
    TESSERA_RETURN_IF_ERROR(ReadTransfer(words, transfer));
    return transfer;
  }
  if (words.Accept("gemm")) {
    Gemm gemm;
    gemm.resets = words.Accept("reset");
    TESSERA_RETURN_IF_ERROR(ReadLoops(words, gemm, /*has_wgt=*/true));
    return gemm;
  }
  if (words.Accept("alu")) {
    Alu alu;
    TESSERA_RETURN_IF_ERROR(ReadAlu(words, alu));
    return alu;
  }
  TESSERA_RETURN_IF_ERROR(
      words.Accept("finish") ? absl::OkStatus() : words.Refuse("load, store, gemm, alu or finish"));
  return Finish{};
}

absl::StatusOr<Instruction> ReadInstruction(Words& words) {
  Instruction read;
  TESSERA_ASSIGN_OR_RETURN(read.operation, ReadOperation(words));
  Dependences& tokens = read.dependences;
  TESSERA_RETURN_IF_ERROR(ReadTokens(words, "pop", tokens.pops_previous, tokens.pops_next));
  TESSERA_RETURN_IF_ERROR(ReadTokens(words, "push", tokens.pushes_previous, tokens.pushes_next));
  TESSERA_RETURN_IF_ERROR(words.AtEnd());
  return read;
}

}  // namespace

std::string Print(const Instruction& instruction) {
  const Dependences& tokens = instruction.dependences;
  return absl::StrCat(std::visit([](const auto& operation) { return PrintOperation(operation); },
                                 instruction.operation),
                      PrintTokens("pop", tokens.pops_previous, tokens.pops_next),
                      PrintTokens("push", tokens.pushes_previous, tokens.pushes_next));
}

std::string PrintAll(absl::Span<const Instruction> program) {
  std::string text;
  for (const Instruction& instruction : program) text += Print(instruction) + "\n";
  return text;
}

absl::StatusOr<Instruction> ParseInstruction(std::string_view line) {
  Words words(line);
  auto read = ReadInstruction(words);
  if (!read.ok()) return Annotate(read.status(), "VTA instruction");
  return read;
}

absl::StatusOr<std::vector<Instruction>> ParseAll(std::string_view text) {
  std::vector<Instruction> program;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(AbslView(text), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    auto instruction = ParseInstruction(StdView(line));
    if (!instruction.ok()) {
      return Annotate(instruction.status(), absl::StrCat("line ", number));
    }
    program.push_back(*std::move(instruction));
  }
  return program;
}

}  // namespace tessera::vta
