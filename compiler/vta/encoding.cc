#include "compiler/vta/encoding.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/fields.h"

namespace tessera::vta {
namespace {

enum Opcode : int64_t { kLoad = 0, kStore = 1, kGemm = 2, kFinish = 3, kAlu = 4, kOpcodes = 5 };

uint64_t MaskOf(int bits) { return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

// All go through the fields in the same order (Code…): a writer takes their values, a reader gives
// them, a locator notes where they lie. Positions count bits of the 128.
class Writer {
 public:
  void Field(std::string_view name, int64_t& value, int bits) {
    if (value < 0 || static_cast<uint64_t>(value) > MaskOf(bits)) {
      Refuse(absl::StrCat(AbslView(name), " is ", value, "; it has ", bits, " bits"));
    }
    Put(static_cast<uint64_t>(value), bits);
  }
  void SignedField(std::string_view name, int64_t& value, int bits) {
    const int64_t limit = int64_t{1} << (bits - 1);
    if (value < -limit || value >= limit) {
      Refuse(absl::StrCat(AbslView(name), " is ", value, "; it has ", bits, " bits with a sign"));
    }
    Put(static_cast<uint64_t>(value) & MaskOf(bits), bits);
  }
  void Flag(bool& value) { Put(value ? 1 : 0, 1); }
  void SkipTo(int position) { position_ = position; }
  void Refuse(std::string_view why) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(AbslView(why));
  }

  const absl::Status& status() const { return status_; }
  const Word& word() const { return word_; }

 private:
  void Put(uint64_t value, int bits) {
    word_[position_ / 64] |= value << (position_ % 64);
    position_ += bits;
  }

  Word word_ = {};
  int position_ = 0;
  absl::Status status_;
};

class Reader {
 public:
  explicit Reader(const Word& word) : word_(word) {}

  void Field(std::string_view, int64_t& value, int bits) {
    value = static_cast<int64_t>(Take(bits));
  }
  void SignedField(std::string_view, int64_t& value, int bits) {
    const uint64_t found = Take(bits), sign = uint64_t{1} << (bits - 1);
    value = static_cast<int64_t>(found ^ sign) - static_cast<int64_t>(sign);
  }
  void Flag(bool& value) { value = Take(1) != 0; }
  void SkipTo(int position) {
    while (position_ < position) {
      if (Take(1) != 0)
        Refuse(absl::StrCat("bit ", position_ - 1, " is set, which has no meaning"));
    }
  }
  void Refuse(std::string_view why) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(AbslView(why));
  }

  const absl::Status& status() const { return status_; }

 private:
  uint64_t Take(int bits) {
    const uint64_t value = (word_[position_ / 64] >> (position_ % 64)) & MaskOf(bits);
    position_ += bits;
    return value;
  }

  Word word_;
  int position_ = 0;
  absl::Status status_;
};

class Locator {
 public:
  void Field(std::string_view, int64_t& value, int bits) { Note(&value, bits); }
  void SignedField(std::string_view, int64_t& value, int bits) { Note(&value, bits); }
  void Flag(bool& value) { Note(&value, 1); }
  void SkipTo(int position) { position_ = position; }
  void Refuse(std::string_view) {}

  // Of a value that it came by.
  FieldPlace Of(const void* value) const {
    for (const auto& [noted, place] : places_) {
      if (noted == value) return place;
    }
    TESSERA_CHECK(false);
  }

 private:
  void Note(const void* value, int bits) {
    places_.push_back({value, {position_, bits}});
    position_ += bits;
  }

  std::vector<std::pair<const void*, FieldPlace>> places_;
  int position_ = 0;
};

template <typename Coder>
void CodeHead(Coder& coder, int64_t& opcode, Dependences& dependences) {
  coder.Field("opcode", opcode, kOpcodeBits);
  coder.Flag(dependences.pops_previous);
  coder.Flag(dependences.pops_next);
  coder.Flag(dependences.pushes_previous);
  coder.Flag(dependences.pushes_next);
}

template <typename Coder>
void CodeOperation(Coder& coder, Transfer& transfer, const Config&) {
  int64_t memory = static_cast<int64_t>(transfer.memory);
  coder.Field("memory", memory, kMemoryBits);
  if (memory >= kMemories) return coder.Refuse(absl::StrCat("there is no memory ", memory));
  transfer.memory = static_cast<Memory>(memory);
  if (transfer.is_store != (transfer.memory == Memory::kOut)) {
    coder.Refuse(absl::StrCat(AbslView(MemoryName(transfer.memory)), " can't be ",
                              transfer.is_store ? "stored" : "loaded"));
  }
  coder.Field("sram", transfer.sram_base, kSramBits);
  coder.Field("dram", transfer.dram_base, kDramBits);
  coder.SkipTo(64);
  coder.Field("y", transfer.y_size, kExtentBits);
  coder.Field("x", transfer.x_size, kExtentBits);
  coder.Field("stride", transfer.x_stride, kExtentBits);
  int64_t* const pads[] = {&transfer.y_pad_before, &transfer.y_pad_after, &transfer.x_pad_before,
                           &transfer.x_pad_after};
  for (int64_t* pad : pads) {
    coder.Field("pad", *pad, kPadBits);
    if (transfer.is_store && *pad != 0) coder.Refuse("stores have no padding");
  }
}

template <typename Coder>
void CodeLoops(Coder& coder, int64_t& uop_begin, int64_t& uop_end, Loop& outer, Loop& inner,
               const IndexBits& bits) {
  coder.Field("the first micro-op", uop_begin, bits.uop);
  coder.Field("the end of micro-ops", uop_end, bits.uop + 1);
  coder.Field("outer turns", outer.turns, kTurnBits);
  coder.Field("inner turns", inner.turns, kTurnBits);
  coder.SkipTo(64);
  coder.Field("outer dst", outer.dst_step, bits.dst);
  coder.Field("inner dst", inner.dst_step, bits.dst);
}

template <typename Coder>
void CodeOperation(Coder& coder, Gemm& gemm, const Config& config) {
  const IndexBits bits = IndexBitsOf(config);
  coder.Flag(gemm.resets);
  CodeLoops(coder, gemm.uop_begin, gemm.uop_end, gemm.outer, gemm.inner, bits);
  coder.Field("outer src", gemm.outer.src_step, bits.gemm_src);
  coder.Field("inner src", gemm.inner.src_step, bits.gemm_src);
  coder.Field("outer wgt", gemm.outer.wgt_step, bits.wgt);
  coder.Field("inner wgt", gemm.inner.wgt_step, bits.wgt);
  coder.SkipTo(128);
}

template <typename Coder>
void CodeOperation(Coder& coder, Alu& alu, const Config& config) {
  const IndexBits bits = IndexBitsOf(config);
  bool resets = false;
  coder.Flag(resets);
  if (resets) coder.Refuse("alu can't reset");
  CodeLoops(coder, alu.uop_begin, alu.uop_end, alu.outer, alu.inner, bits);
  coder.Field("outer src", alu.outer.src_step, bits.alu_src);
  coder.Field("inner src", alu.inner.src_step, bits.alu_src);
  if (alu.outer.wgt_step != 0 || alu.inner.wgt_step != 0) coder.Refuse("alu has no wgt");
  int64_t op = static_cast<int64_t>(alu.op);
  coder.Field("op", op, kAluOpBits);
  if (op >= kAluOps) return coder.Refuse(absl::StrCat("alu has no operation ", op));
  alu.op = static_cast<AluOp>(op);
  coder.Flag(alu.uses_immediate);
  coder.SignedField("the immediate", alu.immediate, kImmediateBits);
  if (!alu.uses_immediate && alu.immediate != 0) {
    coder.Refuse(absl::StrCat("the immediate ", alu.immediate, " isn't used"));
  }
  coder.SkipTo(128);
}

template <typename Coder>
void CodeOperation(Coder& coder, Finish&, const Config&) {
  coder.SkipTo(128);
}

int64_t OpcodeOf(const Transfer& transfer) { return transfer.is_store ? kStore : kLoad; }
int64_t OpcodeOf(const Gemm&) { return kGemm; }
int64_t OpcodeOf(const Alu&) { return kAlu; }
int64_t OpcodeOf(const Finish&) { return kFinish; }

// What Decode fills in.
std::variant<Transfer, Gemm, Alu, Finish> EmptyOperation(int64_t opcode) {
  switch (opcode) {
    case kLoad:
    case kStore:
      return Transfer{.is_store = opcode == kStore};
    case kGemm:
      return Gemm{};
    case kAlu:
      return Alu{};
    default:
      return Finish{};
  }
}

template <typename Coder>
void CodeMicroOp(Coder& coder, MicroOp& uop, const Config& config) {
  const IndexBits bits = IndexBitsOf(config);
  coder.Field("dst", uop.dst, bits.dst);
  coder.Field("src", uop.src, bits.uop_src);
  coder.Field("wgt", uop.wgt, bits.wgt);
  coder.SkipTo(32);
}

}  // namespace

absl::StatusOr<Word> Encode(const Instruction& instruction, const Config& config) {
  Instruction written = instruction;
  Writer writer;
  std::visit(
      [&](auto& operation) {
        int64_t opcode = OpcodeOf(operation);
        CodeHead(writer, opcode, written.dependences);
        CodeOperation(writer, operation, config);
      },
      written.operation);
  TESSERA_RETURN_IF_ERROR(Annotate(writer.status(), "VTA instruction"));
  return writer.word();
}

absl::StatusOr<Instruction> Decode(const Word& word, const Config& config) {
  Reader reader(word);
  Instruction read;
  int64_t opcode = 0;
  CodeHead(reader, opcode, read.dependences);
  if (opcode >= kOpcodes) {
    return absl::InvalidArgumentError(absl::StrCat("VTA instruction: there is no opcode ", opcode));
  }
  read.operation = EmptyOperation(opcode);
  std::visit([&](auto& operation) { CodeOperation(reader, operation, config); }, read.operation);
  TESSERA_RETURN_IF_ERROR(Annotate(reader.status(), "VTA instruction"));
  return read;
}

absl::StatusOr<uint32_t> EncodeMicroOp(const MicroOp& uop, const Config& config) {
  MicroOp written = uop;
  Writer writer;
  CodeMicroOp(writer, written, config);
  TESSERA_RETURN_IF_ERROR(Annotate(writer.status(), "VTA micro-op"));
  return static_cast<uint32_t>(writer.word()[0]);
}

absl::StatusOr<MicroOp> DecodeMicroOp(uint32_t word, const Config& config) {
  Reader reader({word, 0});
  MicroOp read;
  CodeMicroOp(reader, read, config);
  TESSERA_RETURN_IF_ERROR(Annotate(reader.status(), "VTA micro-op"));
  return read;
}

FieldPlaces FieldPlacesOf(const Config& config) {
  Locator transfers, gemms, uops;
  int64_t opcode = 0;
  Dependences tokens;
  Transfer transfer;
  Gemm gemm;
  MicroOp uop;
  CodeHead(transfers, opcode, tokens);
  CodeOperation(transfers, transfer, config);
  CodeHead(gemms, opcode, tokens);
  CodeOperation(gemms, gemm, config);
  CodeMicroOp(uops, uop, config);
  return {.pops_previous = transfers.Of(&tokens.pops_previous),
          .pops_next = transfers.Of(&tokens.pops_next),
          .pushes_previous = transfers.Of(&tokens.pushes_previous),
          .pushes_next = transfers.Of(&tokens.pushes_next),
          .sram_base = transfers.Of(&transfer.sram_base),
          .dram_base = transfers.Of(&transfer.dram_base),
          .y_size = transfers.Of(&transfer.y_size),
          .x_size = transfers.Of(&transfer.x_size),
          .y_pad_before = transfers.Of(&transfer.y_pad_before),
          .y_pad_after = transfers.Of(&transfer.y_pad_after),
          .x_pad_before = transfers.Of(&transfer.x_pad_before),
          .x_pad_after = transfers.Of(&transfer.x_pad_after),
          .uop_begin = gemms.Of(&gemm.uop_begin),
          .uop_end = gemms.Of(&gemm.uop_end),
          .dst = uops.Of(&uop.dst),
          .src = uops.Of(&uop.src),
          .wgt = uops.Of(&uop.wgt)};
}

}  // namespace tessera::vta
