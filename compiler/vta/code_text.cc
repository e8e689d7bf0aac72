#include "compiler/vta/code_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/value_text.h"
#include "compiler/vta/words.h"

namespace tessera::vta {
namespace {

constexpr char kFirstLine[] = "vta 1";
constexpr char kConfig[] = "config ";
constexpr size_t kIndent = 2;
constexpr size_t kMaxLineBytes = 1 << 16;

std::string PrintSpan(const char* name, const Span& span) {
  return absl::StrCat(" ", name, " ", Print(span.first), " ", span.count, " of ", span.limit);
}

std::string PrintLoops(const std::vector<Loop>& loops) {
  std::string text;
  for (const Loop& loop : loops) {
    absl::StrAppend(&text, " loop ", loop.turns, " by ", loop.dst_step, " ", loop.src_step, " ",
                    loop.wgt_step);
  }
  return text;
}

std::string PrintBuffer(int buffer) {
  return buffer >= 0 ? absl::StrCat("buffer ", buffer)
                     : absl::StrCat("constant ", -1 - int64_t{buffer});
}

std::string PrintConstant(const std::vector<uint8_t>& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void PrintBody(const std::vector<Node>& body, size_t indent, std::string& text);

void PrintNode(const Repeat& repeat, size_t indent, std::string& text) {
  absl::StrAppend(&text, "repeat ", repeat.turns, "\n");
  PrintBody(repeat.body, indent + kIndent, text);
}

void PrintNode(const Move& move, size_t, std::string& text) {
  absl::StrAppend(&text, move.is_store ? "store " : "load ", Print(move.place), " ",
                  PrintBuffer(move.buffer), " tile ", Print(move.tile),
                  PrintSpan("rows", move.rows), PrintSpan("columns", move.columns), " stride ",
                  move.stride, "\n");
}

void PrintNode(const Product& product, size_t, std::string& text) {
  absl::StrAppend(&text, "gemm", product.resets ? " reset" : "", " dst ", Print(product.dst));
  if (!product.resets) {
    absl::StrAppend(&text, " src ", Print(product.src), " wgt ", Print(product.wgt));
  }
  absl::StrAppend(&text, PrintLoops(product.loops), "\n");
}

void PrintNode(const Elementwise& elementwise, size_t, std::string& text) {
  absl::StrAppend(&text, "alu ", AbslView(AluOpName(elementwise.op)));
  if (elementwise.uses_immediate) absl::StrAppend(&text, " imm ", elementwise.immediate);
  absl::StrAppend(&text, " dst ", Print(elementwise.dst));
  if (!elementwise.uses_immediate) absl::StrAppend(&text, " src ", Print(elementwise.src));
  absl::StrAppend(&text, PrintLoops(elementwise.loops), "\n");
}

void PrintBody(const std::vector<Node>& body, size_t indent, std::string& text) {
  for (const Node& node : body) {
    text.append(indent, ' ');
    std::visit([&](const auto& what) { PrintNode(what, indent, text); }, node.what);
  }
}

absl::Status ReadPlace(Words& words, Place& place) {
  TESSERA_ASSIGN_OR_RETURN(const std::string word, words.Any("a place"));
  TESSERA_ASSIGN_OR_RETURN(place, ParsePlace(word));
  return absl::OkStatus();
}

absl::Status ReadPlace(Words& words, const char* name, Place& place) {
  TESSERA_RETURN_IF_ERROR(words.Expect(name));
  return ReadPlace(words, place);
}

absl::Status ReadValue(Words& words, const char* name, Value& value) {
  TESSERA_RETURN_IF_ERROR(words.Expect(name));
  TESSERA_ASSIGN_OR_RETURN(const std::string word, words.Any("a value"));
  TESSERA_ASSIGN_OR_RETURN(value, ParseValue(word));
  return absl::OkStatus();
}

absl::Status ReadSpan(Words& words, const char* name, Span& span) {
  TESSERA_RETURN_IF_ERROR(ReadValue(words, name, span.first));
  TESSERA_RETURN_IF_ERROR(words.Numbers({&span.count}));
  return words.Named("of", span.limit);
}

absl::Status ReadLoops(Words& words, std::vector<Loop>& loops) {
  while (words.Accept("loop")) {
    if (loops.size() == kMaxStepLoops) {
      return words.Refuse(absl::StrCat("no more than ", kMaxStepLoops, " loops"));
    }
    Loop& loop = loops.emplace_back();
    TESSERA_RETURN_IF_ERROR(words.Numbers({&loop.turns}));
    TESSERA_RETURN_IF_ERROR(words.Named("by", loop.dst_step));
    TESSERA_RETURN_IF_ERROR(words.Numbers({&loop.src_step, &loop.wgt_step}));
  }
  return absl::OkStatus();
}

absl::Status ReadMove(Words& words, Move& move) {
  TESSERA_RETURN_IF_ERROR(ReadPlace(words, move.place));
  int64_t number = 0;
  const bool is_constant = words.Accept("constant");
  TESSERA_RETURN_IF_ERROR(is_constant ? words.Numbers({&number}) : words.Named("buffer", number));
  if (number < 0 || number >= INT32_MAX) return words.Refuse("a smaller number of the buffer");
  const auto buffer = static_cast<int>(number);
  move.buffer = is_constant ? BufferOfConstant(buffer) : buffer;
  TESSERA_RETURN_IF_ERROR(ReadValue(words, "tile", move.tile));
  TESSERA_RETURN_IF_ERROR(ReadSpan(words, "rows", move.rows));
  TESSERA_RETURN_IF_ERROR(ReadSpan(words, "columns", move.columns));
  return words.Named("stride", move.stride);
}

absl::Status ReadProduct(Words& words, Product& product) {
  product.resets = words.Accept("reset");
  TESSERA_RETURN_IF_ERROR(ReadPlace(words, "dst", product.dst));
  if (!product.resets) {
    TESSERA_RETURN_IF_ERROR(ReadPlace(words, "src", product.src));
    TESSERA_RETURN_IF_ERROR(ReadPlace(words, "wgt", product.wgt));
  }
  return ReadLoops(words, product.loops);
}

absl::Status ReadElementwise(Words& words, Elementwise& elementwise) {
  TESSERA_ASSIGN_OR_RETURN(
      const int op,
      words.OneOf(
          kAluOps, [](int i) { return AluOpName(static_cast<AluOp>(i)); }, "an operation of alu"));
  elementwise.op = static_cast<AluOp>(op);
  elementwise.uses_immediate = words.Accept("imm");
  if (elementwise.uses_immediate) TESSERA_RETURN_IF_ERROR(words.Numbers({&elementwise.immediate}));
  TESSERA_RETURN_IF_ERROR(ReadPlace(words, "dst", elementwise.dst));
  if (!elementwise.uses_immediate) {
    TESSERA_RETURN_IF_ERROR(ReadPlace(words, "src", elementwise.src));
  }
  return ReadLoops(words, elementwise.loops);
}

absl::StatusOr<Node> ReadNode(Words& words) {
  if (words.Accept("repeat")) {
    Repeat repeat;
    TESSERA_RETURN_IF_ERROR(words.Numbers({&repeat.turns}));
    return Node{std::move(repeat)};
  }
  const bool loads = words.Accept("load");
  if (loads || words.Accept("store")) {
    Move move{.is_store = !loads};
    TESSERA_RETURN_IF_ERROR(ReadMove(words, move));
    return Node{std::move(move)};
  }
  if (words.Accept("gemm")) {
    Product product;
    TESSERA_RETURN_IF_ERROR(ReadProduct(words, product));
    return Node{std::move(product)};
  }
  if (words.Accept("alu")) {
    Elementwise elementwise;
    TESSERA_RETURN_IF_ERROR(ReadElementwise(words, elementwise));
    return Node{std::move(elementwise)};
  }
  return words.Refuse("repeat, load, store, gemm or alu");
}

absl::Status ReadAllocation(Words& words, Allocation& allocation) {
  TESSERA_ASSIGN_OR_RETURN(
      const int memory,
      words.OneOf(kMemories, [](int i) { return MemoryName(static_cast<Memory>(i)); }, "a memory"));
  allocation.memory = static_cast<Memory>(memory);
  TESSERA_RETURN_IF_ERROR(words.Named("first", allocation.first_tile));
  TESSERA_RETURN_IF_ERROR(words.Named("tiles", allocation.tiles));
  return words.Named("copies", allocation.copies);
}

absl::StatusOr<std::vector<uint8_t>> ReadConstant(Words& words) {
  TESSERA_ASSIGN_OR_RETURN(const std::string word, words.Any("bytes"));
  const bool is_hexadecimal = std::ranges::all_of(
      word, [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); });
  if (word.size() % 2 != 0 || !is_hexadecimal) return words.Refuse("two hexadecimal digits a byte");
  const std::string bytes = absl::HexStringToBytes(word);
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

// Takes a program line by line.
class Parser {
 public:
  absl::Status ReadLine(int64_t number, std::string_view line) {
    if (line.size() > kMaxLineBytes) {
      return Refuse(absl::StrCat("it has ", line.size(), " bytes, more than ", kMaxLineBytes));
    }
    if (number == 1) return line == kFirstLine ? absl::OkStatus() : Refuse(kWantsFirstLine);
    if (number == 2) return ReadConfig(line);
    if (line.empty()) return absl::OkStatus();
    Words words(line);
    const bool is_allocation = line[0] != ' ' && words.Accept("allocation");
    const bool is_constant = line[0] != ' ' && words.Accept("constant");
    if (is_allocation && nodes_ + std::ssize(code_.constants) > 0) {
      return Refuse("allocations stand in front of all else");
    }
    if (is_constant && nodes_ > 0) return Refuse("constants stand in front of what is done");
    TESSERA_RETURN_IF_ERROR(is_allocation ? AddAllocation(words)
                            : is_constant ? AddConstant(words)
                                          : AddNode(line, words));
    return words.AtEnd();
  }

  Code TakeCode() { return std::move(code_); }

 private:
  static constexpr char kWantsFirstLine[] = "\"vta 1\" is expected: a program of this version";

  static absl::Status Refuse(std::string_view why) {
    return absl::InvalidArgumentError(AbslView(why));
  }

  absl::Status ReadConfig(std::string_view line) {
    if (!line.starts_with(kConfig)) return Refuse("\"config\" is expected");
    TESSERA_ASSIGN_OR_RETURN(code_.config, ParseConfig(line.substr(sizeof(kConfig) - 1)));
    return absl::OkStatus();
  }

  absl::Status AddAllocation(Words& words) {
    if (code_.allocations.size() == kMaxAllocations) {
      return Refuse(absl::StrCat("there are more than ", kMaxAllocations, " allocations"));
    }
    return ReadAllocation(words, code_.allocations.emplace_back());
  }

  absl::Status AddConstant(Words& words) {
    if (code_.constants.size() == kMaxConstants) {
      return Refuse(absl::StrCat("there are more than ", kMaxConstants, " constants"));
    }
    TESSERA_ASSIGN_OR_RETURN(code_.constants.emplace_back(), ReadConstant(words));
    return absl::OkStatus();
  }

  absl::Status AddNode(std::string_view line, Words& words) {
    if (++nodes_ > kMaxNodes) {
      return Refuse(absl::StrCat("there are more than ", kMaxNodes, " nodes"));
    }
    const size_t spaces = std::min(line.find_first_not_of(' '), line.size());
    const size_t depth = spaces / kIndent;
    if (spaces % kIndent != 0 || depth >= open_.size()) {
      return Refuse(absl::StrCat(spaces, " spaces stand in front of it; there are ",
                                 open_.size() - 1, " loops around, of ", kIndent, " spaces each"));
    }
    open_.resize(depth + 1);
    std::vector<Node>& body = *open_.back();
    TESSERA_ASSIGN_OR_RETURN(body.emplace_back(), ReadNode(words));
    if (auto* repeat = std::get_if<Repeat>(&body.back().what)) {
      if (depth == kMaxLoops) return Refuse(absl::StrCat("more than ", kMaxLoops, " loops"));
      open_.push_back(&repeat->body);
    }
    return absl::OkStatus();
  }

  Code code_;
  int64_t nodes_ = 0;
  // Where the next node may belong, from the outermost body on; each but the first is of the last
  // node of the one before it, which stays where it is as long as it is open.
  std::vector<std::vector<Node>*> open_ = {&code_.body};
};

}  // namespace

std::string Print(const Code& code) {
  std::string text = absl::StrCat(kFirstLine, "\n", kConfig, Print(code.config), "\n");
  for (const Allocation& one : code.allocations) {
    absl::StrAppend(&text, "allocation ", AbslView(MemoryName(one.memory)), " first ",
                    one.first_tile, " tiles ", one.tiles, " copies ", one.copies, "\n");
  }
  for (const std::vector<uint8_t>& constant : code.constants) {
    absl::StrAppend(&text, "constant ", PrintConstant(constant), "\n");
  }
  PrintBody(code.body, 0, text);
  return text;
}

absl::StatusOr<Code> ParseCode(std::string_view text, int buffers) {
  Parser parser;
  int64_t number = 0;
  while (number < 2 || !text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    const absl::Status status = parser.ReadLine(++number, text.substr(0, length));
    if (!status.ok()) return Annotate(status, absl::StrCat("VTA program: line ", number));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  Code code = parser.TakeCode();
  TESSERA_RETURN_IF_ERROR(Check(code, buffers));
  return code;
}

}  // namespace tessera::vta
