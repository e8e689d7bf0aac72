#include "tests/cuda/ptx_program.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/view.h"
#include "tests/cuda/ptx_instructions.h"

namespace tessera::ptx {
namespace {

// Of one kernel: its registers by name, and what it consists of.
class KernelReader {
 public:
  explicit KernelReader(std::string name) {
    kernel_.name = std::move(name);
    const auto axes = [&](const char* what, std::array<int, 3>& slots) {
      for (size_t axis = 0; axis < 3; ++axis) {
        slots[axis] = Register(absl::StrCat("%", what, ".", std::string(1, "xyz"[axis])));
      }
    };
    axes("ctaid", kernel_.block_number);
    axes("nctaid", kernel_.block_count);
    axes("tid", kernel_.thread_number);
    axes("ntid", kernel_.thread_count);
  }

  void AddParam(const std::string& name) { kernel_.params.push_back(Register(name)); }
  void SetLocalBytes(int64_t bytes) { kernel_.local_bytes = bytes; }
  void SetRequiredThreads(std::array<uint32_t, 3> threads) { kernel_.required_threads = threads; }

  void AddLabel(const std::string& name) { labels_[name] = kernel_.instructions.size(); }

  absl::Status AddInstruction(absl::string_view text) {
    Instruction instruction;
    instruction.text = std::string(text);
    if (absl::ConsumePrefix(&text, "@")) {
      instruction.guard_negated = absl::ConsumePrefix(&text, "!");
      const size_t space = text.find_first_of(" \t");
      instruction.guard = Register(std::string(text.substr(0, space)));
      text = absl::StripLeadingAsciiWhitespace(text.substr(std::min(space, text.size())));
    }
    const size_t space = std::min(text.find_first_of(" \t"), text.size());
    const std::vector<std::string> opcode = absl::StrSplit(text.substr(0, space), '.');
    TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> operands, Operands(text.substr(space)));
    if (opcode[0] == "bra") {
      branches_.emplace_back(kernel_.instructions.size(), operands[0].name);
    } else if (!MakeInstruction(opcode, operands, instruction)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no such instruction is known: ", instruction.text));
    }
    kernel_.instructions.push_back(std::move(instruction));
    return absl::OkStatus();
  }

  absl::StatusOr<Kernel> Finish() {
    for (const auto& [at, label] : branches_) {
      const auto found = labels_.find(label);
      if (found == labels_.end()) {
        return absl::InvalidArgumentError(absl::StrCat("no label ", label));
      }
      kernel_.instructions[at].run = [to = found->second](Block&, Thread& thread) {
        thread.next = to;
        return Wait::kNothing;
      };
    }
    return std::move(kernel_);
  }

 private:
  int Register(const std::string& name) {
    const auto [place, is_new] =
        registers_.try_emplace(name, static_cast<int>(kernel_.registers.size()));
    // Registers begin with what nobody should use; what is no register is memory that begins at 0.
    constexpr Word kSpoilt = 0x7ff5a5a57fc5a5a5;
    if (is_new) kernel_.registers.push_back(absl::StartsWith(name, "%") ? kSpoilt : 0);
    return place->second;
  }

  int Constant(Word value) {
    const int slot = Register(absl::StrCat("constant ", value));
    kernel_.registers[static_cast<size_t>(slot)] = value;
    return slot;
  }

  static bool ReadNumber(absl::string_view text, Word& value) {
    int64_t number = 0;
    if (absl::StartsWith(text, "0f") || absl::StartsWith(text, "0d")) {
      return std::from_chars(text.data() + 2, text.data() + text.size(), value, 16).ec ==
             std::errc();
    }
    if (!absl::SimpleAtoi(text, &number)) return absl::SimpleAtoi(text, &value);
    value = static_cast<Word>(number);
    return true;
  }

  absl::StatusOr<std::vector<Operand>> Operands(absl::string_view text) {
    std::vector<Operand> operands;
    text = absl::StripAsciiWhitespace(text);
    while (!text.empty()) {
      Operand& operand = operands.emplace_back();
      const bool is_vector = absl::ConsumePrefix(&text, "{");
      const bool is_address = !is_vector && absl::ConsumePrefix(&text, "[");
      const size_t end = std::min(text.find(is_vector ? '}' : is_address ? ']' : ','), text.size());
      absl::string_view inside = text.substr(0, end);
      text.remove_prefix(end);
      if (is_vector || is_address) text.remove_prefix(text.empty() ? 0 : 1);
      text = absl::StripLeadingAsciiWhitespace(text);
      absl::ConsumePrefix(&text, ",");
      text = absl::StripLeadingAsciiWhitespace(text);
      if (is_address) {
        const std::pair<absl::string_view, absl::string_view> parts =
            absl::StrSplit(inside, absl::MaxSplits('+', 1));
        inside = parts.first;
        if (!parts.second.empty() &&
            !absl::SimpleAtoi(absl::StripAsciiWhitespace(parts.second), &operand.offset)) {
          return absl::InvalidArgumentError("an address with no number behind its sign");
        }
      }
      for (const absl::string_view part : absl::StrSplit(inside, ',')) {
        const std::string name(absl::StripAsciiWhitespace(part));
        operand.name = name;
        Word value = 0;
        if (ReadNumber(name, value)) {
          operand.slots.push_back(Constant(value));
        } else if (absl::StartsWith(name, "$")) {
          continue;  // a label
        } else {
          // Memory that is shared or of a thread begins at 0 of its own addresses.
          operand.slots.push_back(Register(name));
        }
      }
    }
    return operands;
  }

  Kernel kernel_;
  absl::flat_hash_map<std::string, int> registers_;
  absl::flat_hash_map<std::string, size_t> labels_;
  std::vector<std::pair<size_t, std::string>> branches_;
};

class Reader {
 public:
  absl::StatusOr<std::map<std::string, Kernel>> Read(absl::string_view text) {
    int number = 0;
    std::string whole;  // an instruction may take several lines
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      ++number;
      line = absl::StripAsciiWhitespace(line.substr(0, line.find("//")));
      if (line.empty()) continue;
      absl::StrAppend(&whole, whole.empty() ? "" : " ", line);
      const bool is_instruction = whole[0] != '.' && whole != ")";
      const bool ends = std::string_view(";:{}").find(whole.back()) != std::string_view::npos;
      if (is_instruction && !ends) continue;
      TESSERA_RETURN_IF_ERROR(Annotate(ReadLine(whole), absl::StrCat("PTX, line ", number)));
      whole.clear();
    }
    if (reader_ != nullptr) return absl::InvalidArgumentError("PTX: a kernel does not end");
    return std::move(kernels_);
  }

 private:
  absl::Status ReadLine(absl::string_view line) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, ".visible .entry ")) {
      name_ = std::string(rest.substr(0, rest.find('(')));
      reader_ = std::make_unique<KernelReader>(name_);
      return absl::OkStatus();
    }
    if (reader_ == nullptr) {
      const bool known =
          absl::StartsWith(line, ".version ") || absl::StartsWith(line, ".target ") ||
          absl::StartsWith(line, ".address_size 64") || absl::StartsWith(line, ".extern .shared ");
      return known ? absl::OkStatus()
                   : absl::InvalidArgumentError(absl::StrCat("what is ", line, "?"));
    }
    if (absl::StartsWith(line, ".param ")) {
      absl::ConsumeSuffix(&line, ",");
      reader_->AddParam(std::string(line.substr(line.rfind(' ') + 1)));
      return absl::OkStatus();
    }
    if (absl::ConsumePrefix(&rest, ".reqntid ")) return ReadThreads(rest);
    if (absl::StartsWith(line, ".local ")) return ReadLocal(line);
    if (line == ")" || line == "{" || absl::StartsWith(line, ".reg ")) return absl::OkStatus();
    if (line == "}") {
      TESSERA_ASSIGN_OR_RETURN(Kernel kernel, reader_->Finish());
      kernels_.emplace(name_, std::move(kernel));
      reader_ = nullptr;
      return absl::OkStatus();
    }
    if (absl::ConsumeSuffix(&rest, ":")) {
      reader_->AddLabel(std::string(rest));
      return absl::OkStatus();
    }
    // "{ .reg .b16 tmp; mov.b32 {tmp, %rs1}, %r1; }"
    if (absl::ConsumePrefix(&rest, "{ .reg ")) absl::ConsumeSuffix(&rest, "}");
    const bool has_own = rest.data() != line.data();
    for (const absl::string_view part : absl::StrSplit(rest, ';')) {
      const absl::string_view instruction = absl::StripAsciiWhitespace(part);
      if (instruction.empty() || (has_own && part.data() == rest.data())) continue;
      TESSERA_RETURN_IF_ERROR(reader_->AddInstruction(instruction));
    }
    return absl::OkStatus();
  }

  absl::Status ReadThreads(absl::string_view text) {
    std::array<uint32_t, 3> threads = {1, 1, 1};
    const std::vector<std::string> parts = absl::StrSplit(text, ',');
    for (size_t i = 0; i < parts.size() && i < 3; ++i) {
      if (!absl::SimpleAtoi(parts[i], &threads[i])) {
        return absl::InvalidArgumentError("threads that are no number");
      }
    }
    reader_->SetRequiredThreads(threads);
    return absl::OkStatus();
  }

  absl::Status ReadLocal(absl::string_view line) {
    const size_t open = line.find('[');
    int64_t bytes = 0;
    if (open == absl::string_view::npos ||
        !absl::SimpleAtoi(line.substr(open + 1, line.find(']') - open - 1), &bytes)) {
      return absl::InvalidArgumentError("local memory of no size");
    }
    reader_->SetLocalBytes(bytes);
    return absl::OkStatus();
  }

  std::string name_;
  std::unique_ptr<KernelReader> reader_;
  std::map<std::string, Kernel> kernels_;
};

}  // namespace

absl::StatusOr<std::map<std::string, Kernel>> ParsePtx(std::string_view text) {
  return Reader().Read(AbslView(text));
}

}  // namespace tessera::ptx
