#include "compiler/vta/bytecode.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/status.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/fields.h"

namespace tessera::vta {
namespace {

constexpr int64_t kVersion = 2;
enum NodeKind : int64_t { kRepeat = 0, kLoad = 1, kStore = 2, kSteps = 3 };
constexpr size_t kInstructionLoops = 2;
constexpr size_t kLoopWords = 4;

class Assembler {
 public:
  explicit Assembler(const Code& code) : code_(code) {}

  std::vector<int64_t> Run() {
    Put({kVersion, MostWords(code_), code_.config.Depth(Memory::kUop)});
    const FieldPlaces at = FieldPlacesOf(code_.config);
    for (const FieldPlace& field :
         {at.pops_previous, at.pops_next, at.pushes_previous, at.pushes_next, at.sram_base,
          at.dram_base, at.y_size, at.x_size, at.y_pad_before, at.y_pad_after, at.x_pad_before,
          at.x_pad_after, at.uop_begin, at.uop_end, at.dst, at.src, at.wgt}) {
      Put({field.position, field.bits});
    }
    PutInstruction(Transfer{.memory = Memory::kUop});
    PutInstruction(Gemm{.resets = true});
    PutInstruction(Finish{});
    PutSize(code_.allocations.size());
    for (const Allocation& one : code_.allocations) Put({one.first_tile, one.tiles, one.copies});
    PutSize(code_.constants.size());
    for (const std::vector<uint8_t>& constant : code_.constants) PutConstant(constant);
    for (const Node& node : code_.body) PutNode(node);
    return std::move(words_);
  }

 private:
  void Put(std::initializer_list<int64_t> words) { words_.insert(words_.end(), words); }
  void PutSize(size_t size) { words_.push_back(static_cast<int64_t>(size)); }

  void PutInstruction(const std::variant<Transfer, Gemm, Alu, Finish>& operation) {
    const auto word = Encode({.operation = operation}, code_.config);
    TESSERA_CHECK(word.ok());
    for (const uint64_t half : *word) words_.push_back(static_cast<int64_t>(half));
  }

  // Eight bytes a word.
  void PutConstant(const std::vector<uint8_t>& bytes) {
    PutSize(bytes.size());
    for (size_t i = 0; i < bytes.size(); i += sizeof(int64_t)) {
      uint64_t word = 0;
      for (size_t j = i; j < std::min(bytes.size(), i + sizeof(int64_t)); ++j) {
        word |= uint64_t{bytes[j]} << (8 * (j - i));
      }
      words_.push_back(static_cast<int64_t>(word));
    }
  }

  void PutValue(const Value& value) {
    words_.push_back(value.constant);
    PutSize(value.terms.size());
    for (const Term& term : value.terms) {
      Put({term.loop, term.divisor, term.extent, term.coefficient});
    }
  }

  void PutPlace(const Place& place) {
    words_.push_back(place.allocation);
    PutValue(place.copy);
    PutValue(place.offset);
  }

  void PutSpan(const Span& span) {
    PutValue(span.first);
    Put({span.count, span.limit});
  }

  void PutNode(const Node& node) {
    std::visit([&](const auto& what) { PutNode(what); }, node.what);
  }

  void PutNode(const Repeat& repeat) {
    Put({kRepeat, repeat.turns, 0});
    const size_t begin = words_.size();
    for (const Node& node : repeat.body) PutNode(node);
    words_[begin - 1] = static_cast<int64_t>(words_.size() - begin);
  }

  void PutNode(const Move& move) {
    const Memory held = code_.allocations[static_cast<size_t>(move.place.allocation)].memory;
    const Memory memory = move.is_store ? Memory::kOut : held;
    if (move.is_store) {
      Put({kStore});
    } else {
      Put({kLoad, memory == Memory::kAcc ? 1 : 0});
    }
    // Where there is one row only, a stride that has no bits is not needed either.
    const bool fits = move.stride < int64_t{1} << kExtentBits;
    PutInstruction(
        Transfer{.is_store = move.is_store, .memory = memory, .x_stride = fits ? move.stride : 0});
    words_.push_back(code_.config.LogTileBytes(memory));
    PutPlace(move.place);
    words_.push_back(move.buffer);
    PutValue(move.tile);
    PutSpan(move.rows);
    PutSpan(move.columns);
    words_.push_back(move.stride);
  }

  void PutNode(const Product& product) { PutSteps(Gemm{.resets = product.resets}, product); }

  void PutNode(const Elementwise& elementwise) {
    PutSteps(Alu{.op = elementwise.op,
                 .uses_immediate = elementwise.uses_immediate,
                 .immediate = elementwise.immediate},
             elementwise);
  }

  template <typename Operation, typename Steps>
  void PutSteps(Operation operation, const Steps& steps) {
    std::vector<Loop> loops = steps.loops;
    for (Loop& loop : loops) {
      // Steps that are never made need not have bits.
      if (loop.turns == 1) loop = {};
    }
    if (!loops.empty()) operation.outer = loops[0];
    if (loops.size() > 1) operation.inner = loops[1];
    words_.push_back(kSteps);
    PutInstruction(operation);
    std::vector<int64_t> uop_loops;
    for (size_t i = kInstructionLoops; i < loops.size(); ++i) {
      const Loop& loop = loops[i];
      if (loop.turns == 1) continue;
      uop_loops.insert(uop_loops.end(), {loop.turns, loop.dst_step, loop.src_step, loop.wgt_step});
    }
    const auto pattern =
        patterns_.try_emplace(uop_loops, static_cast<int64_t>(patterns_.size())).first;
    words_.push_back(pattern->second);
    PutSize(uop_loops.size() / kLoopWords);
    words_.insert(words_.end(), uop_loops.begin(), uop_loops.end());
    const std::vector<const Place*> places = UsedPlaces(steps);
    PutSize(places.size());
    for (const Place* place : places) PutPlace(*place);
  }

  const Code& code_;
  std::vector<int64_t> words_;
  std::map<std::vector<int64_t>, int64_t> patterns_;  // by their loops' words
};

}  // namespace

std::vector<int64_t> Assemble(const Code& code) { return Assembler(code).Run(); }

}  // namespace tessera::vta
