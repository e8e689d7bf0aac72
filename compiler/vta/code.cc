#include "compiler/vta/code.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/fields.h"
#include "compiler/vta/ranges.h"

namespace tessera::vta {
namespace {

constexpr size_t kInstructionLoops = 2;
constexpr int64_t kMaxTransferExtent = (int64_t{1} << kExtentBits) - 1;
constexpr int64_t kDramBytes = int64_t{1} << 32;
constexpr int64_t kWordBytes = 4;

absl::Status Refuse(std::string_view why) { return absl::InvalidArgumentError(AbslView(why)); }

absl::Status In(std::string_view what, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Refuse(absl::StrCat(AbslView(what), " is ", value, ", not of ", low, " to ", high));
}

// All that a value may be.
absl::Status In(std::string_view what, Range range, int64_t low, int64_t high) {
  TESSERA_RETURN_IF_ERROR(In(what, range.low, low, high));
  return In(what, range.high, low, high);
}

// Of the micro-ops of a node; at most kMaxMicroOps + 1.
int64_t UopCount(absl::Span<const Loop> loops) {
  int64_t count = 1;
  for (size_t i = kInstructionLoops; i < loops.size(); ++i) {
    if (loops[i].turns > kMaxMicroOps / count) return kMaxMicroOps + 1;
    count *= loops[i].turns;
  }
  return count;
}

// The micro-ops that a node has in DRAM; at most kMaxMicroOps + 1.
template <typename Steps>
int64_t StoredUops(const Steps& steps, absl::Span<const int64_t> turns) {
  std::vector<const Value*> values;
  for (const Place* place : UsedPlaces(steps)) {
    values.push_back(&place->copy);
    values.push_back(&place->offset);
  }
  const int64_t count = UopCount(steps.loops);
  const int64_t most = kMaxMicroOps / count + 1;
  return std::min(count * DistinctValues(values, turns, most), kMaxMicroOps + 1);
}

class Checker {
 public:
  Checker(const Code& code, int buffers) : code_(code), buffers_(buffers) {}

  absl::Status Run() {
    TESSERA_RETURN_IF_ERROR(CheckEncodable(code_.config));
    for (const Memory memory : {Memory::kWgt, Memory::kInp, Memory::kAcc}) {
      TESSERA_RETURN_IF_ERROR(
          In(absl::StrCat("the logarithm of the bytes of a tile of ", AbslView(MemoryName(memory))),
             code_.config.LogTileBytes(memory), 0, kMaxLogTileBytes));
    }
    TESSERA_RETURN_IF_ERROR(CheckAllocations());
    TESSERA_RETURN_IF_ERROR(CheckConstants());
    return CheckBody(code_.body);
  }

 private:
  absl::Status CheckAllocations() const {
    TESSERA_RETURN_IF_ERROR(In("the number of allocations",
                               static_cast<int64_t>(code_.allocations.size()), 0, kMaxAllocations));
    int64_t copies = 0;
    for (size_t i = 0; i < code_.allocations.size(); ++i) {
      const Allocation& one = code_.allocations[i];
      TESSERA_RETURN_IF_ERROR(Annotate(CheckAllocation(one), absl::StrCat("allocation ", i)));
      copies += one.copies;
      for (size_t j = 0; j < i; ++j) {
        const Allocation& other = code_.allocations[j];
        if (one.memory == other.memory && one.first_tile < EndOf(other) &&
            other.first_tile < EndOf(one)) {
          return Refuse(absl::StrCat("allocations ", j, " and ", i, " share tiles of ",
                                     AbslView(MemoryName(one.memory))));
        }
      }
    }
    return In("the number of copies of all allocations", copies, 0, kMaxCopies);
  }

  absl::Status CheckAllocation(const Allocation& one) const {
    if (one.memory != Memory::kInp && one.memory != Memory::kWgt && one.memory != Memory::kAcc) {
      return Refuse("it is of none of inp, wgt and acc");
    }
    const int64_t depth = code_.config.Depth(one.memory);
    TESSERA_RETURN_IF_ERROR(In("the first tile", one.first_tile, 0, depth - 1));
    TESSERA_RETURN_IF_ERROR(In("the number of tiles", one.tiles, 1, depth));
    TESSERA_RETURN_IF_ERROR(In("the number of copies", one.copies, 1, kMaxCopies));
    return In("the end", EndOf(one), 1, depth);
  }

  absl::Status CheckConstants() const {
    TESSERA_RETURN_IF_ERROR(In("the number of constants",
                               static_cast<int64_t>(code_.constants.size()), 0, kMaxConstants));
    for (size_t i = 0; i < code_.constants.size(); ++i) {
      const auto bytes = static_cast<int64_t>(code_.constants[i].size());
      const std::string name = absl::StrCat("constant ", i);
      TESSERA_RETURN_IF_ERROR(Annotate(In("its size", bytes, kWordBytes, kMaxConstantBytes), name));
      if (bytes % kWordBytes == 0) continue;
      return Annotate(Refuse(absl::StrCat("its ", bytes, " bytes are no multiple of ", kWordBytes)),
                      name);
    }
    return absl::OkStatus();
  }

  static int64_t EndOf(const Allocation& one) { return one.first_tile + one.tiles * one.copies; }

  absl::Status CheckBody(const std::vector<Node>& body) {
    for (const Node& node : body) {
      const int64_t number = nodes_++;
      const absl::Status status = CheckNode(node);
      if (status.ok()) continue;
      // The innermost node says its number.
      return failed_ ? status : (failed_ = true, Annotate(status, absl::StrCat("node ", number)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckNode(const Node& node) {
    TESSERA_RETURN_IF_ERROR(In("the number of nodes", nodes_, 1, kMaxNodes));
    TESSERA_RETURN_IF_ERROR(Count(1));
    return std::visit([&](const auto& what) { return CheckNode(what); }, node.what);
  }

  // As many more instructions each time that the loops around get here.
  absl::Status Count(int64_t instructions) {
    if (instructions > (kMaxInstructions - instructions_) / visits_) {
      return Refuse(absl::StrCat("up to here there are more than ", kMaxInstructions,
                                 " instructions and turns"));
    }
    instructions_ += instructions * visits_;
    return absl::OkStatus();
  }

  absl::Status CheckNode(const Repeat& repeat) {
    TESSERA_RETURN_IF_ERROR(
        In("loops around it", static_cast<int64_t>(turns_.size()), 0, kMaxLoops - 1));
    TESSERA_RETURN_IF_ERROR(In("turns", repeat.turns, 1, kMaxTurns));
    if (repeat.body.empty()) return Refuse("there is nothing in the loop");
    if (repeat.turns > kMaxInstructions / visits_) {
      return Refuse(absl::StrCat(visits_, " × ", repeat.turns, " turns are more than ",
                                 kMaxInstructions, " instructions"));
    }
    visits_ *= repeat.turns;
    turns_.push_back(repeat.turns);
    TESSERA_RETURN_IF_ERROR(CheckBody(repeat.body));
    turns_.pop_back();
    visits_ /= repeat.turns;
    return absl::OkStatus();
  }

  absl::StatusOr<Range> CheckValue(const Value& value) const {
    TESSERA_RETURN_IF_ERROR(In("a constant", value.constant, -kMaxNumber, kMaxNumber));
    TESSERA_RETURN_IF_ERROR(
        In("the number of terms", static_cast<int64_t>(value.terms.size()), 0, kMaxTerms));
    for (const Term& term : value.terms) {
      if (term.loop < 0 || term.loop >= static_cast<int>(turns_.size())) {
        return Refuse(absl::StrCat("loop ", term.loop, " is used within ", turns_.size()));
      }
      TESSERA_RETURN_IF_ERROR(In("a divisor", term.divisor, 1, kMaxNumber));
      TESSERA_RETURN_IF_ERROR(In("an extent", term.extent, 1, kMaxNumber));
      TESSERA_RETURN_IF_ERROR(In("a coefficient", term.coefficient, -kMaxNumber, kMaxNumber));
    }
    return RangeOf(value, turns_);
  }

  // Of the tiles `used`, counted from the place on.
  absl::Status CheckPlace(const char* name, const Place& place, Memory memory, Range used) const {
    if (place.allocation < 0 || place.allocation >= static_cast<int>(code_.allocations.size())) {
      return Refuse(absl::StrCat(name, ": there is no allocation ", place.allocation));
    }
    const Allocation& one = code_.allocations[static_cast<size_t>(place.allocation)];
    if (one.memory != memory) {
      return Refuse(absl::StrCat(name, ": allocation ", place.allocation, " is of ",
                                 AbslView(MemoryName(one.memory)), ", not of ",
                                 AbslView(MemoryName(memory))));
    }
    TESSERA_ASSIGN_OR_RETURN(const Range copy, CheckValue(place.copy));
    TESSERA_RETURN_IF_ERROR(In(absl::StrCat(name, ": the copy"), copy, 0, one.copies - 1));
    TESSERA_ASSIGN_OR_RETURN(const Range offset, CheckValue(place.offset));
    TESSERA_RETURN_IF_ERROR(In(absl::StrCat(name, ": the offset"), offset, 0, one.tiles - 1));
    return In(absl::StrCat(name, ": a tile of the copy"),
              Range{offset.low + used.low, offset.high + used.high}, 0, one.tiles - 1);
  }

  // What of a span lies within its limit: first and last, of all turns.
  absl::StatusOr<Range> CheckSpan(const char* name, const Span& span, bool is_store) const {
    TESSERA_RETURN_IF_ERROR(In(absl::StrCat("the number of ", name), span.count, 1, kMaxExtent));
    TESSERA_RETURN_IF_ERROR(In(absl::StrCat("the limit of ", name), span.limit, 1, kMaxExtent));
    TESSERA_RETURN_IF_ERROR(In(absl::StrCat("the most ", name, " that are moved"),
                               std::min(span.count, span.limit), 1, kMaxTransferExtent));
    TESSERA_ASSIGN_OR_RETURN(const Range first, CheckValue(span.first));
    if (!is_store) {
      TESSERA_RETURN_IF_ERROR(In(absl::StrCat("padding before ", name),
                                 std::max<int64_t>(-first.low, 0), 0,
                                 std::min(kMaxPad, span.count - 1)));
      TESSERA_RETURN_IF_ERROR(In(absl::StrCat("padding behind ", name),
                                 std::max<int64_t>(first.high + span.count - span.limit, 0), 0,
                                 std::min(kMaxPad, span.count - 1)));
    }
    const int64_t last = span.limit - 1;
    return Range{std::clamp<int64_t>(first.low, 0, last),
                 std::clamp<int64_t>(first.high + span.count - 1, 0, last)};
  }

  // Bytes of what is moved, as far as they are known.
  absl::StatusOr<int64_t> CheckBuffer(const Move& move) const {
    if (move.buffer >= 0) {
      TESSERA_RETURN_IF_ERROR(In("the buffer", move.buffer, 0, buffers_ - 1));
      return kDramBytes;
    }
    if (move.is_store) return Refuse("constants are not stored to");
    const int64_t constant = -1 - int64_t{move.buffer};
    TESSERA_RETURN_IF_ERROR(
        In("the constant", constant, 0, static_cast<int64_t>(code_.constants.size()) - 1));
    return static_cast<int64_t>(code_.constants[static_cast<size_t>(constant)].size());
  }

  absl::Status CheckNode(const Move& move) {
    TESSERA_ASSIGN_OR_RETURN(const int64_t bytes, CheckBuffer(move));
    TESSERA_RETURN_IF_ERROR(In("the stride", move.stride, 0, kMaxExtent));
    TESSERA_ASSIGN_OR_RETURN(const Range rows, CheckSpan("rows", move.rows, move.is_store));
    TESSERA_ASSIGN_OR_RETURN(const Range columns,
                             CheckSpan("columns", move.columns, move.is_store));
    if (std::min(move.rows.count, move.rows.limit) > 1) {
      TESSERA_RETURN_IF_ERROR(In("the stride of rows", move.stride, 0, kMaxTransferExtent));
    }
    TESSERA_RETURN_IF_ERROR(CheckMoved(move));
    const Memory memory = move.is_store ? Memory::kOut : MemoryOf(move.place);
    TESSERA_ASSIGN_OR_RETURN(const Range tile, CheckValue(move.tile));
    TESSERA_RETURN_IF_ERROR(In("a tile of the buffer",
                               Range{tile.low + rows.low * move.stride + columns.low,
                                     tile.high + rows.high * move.stride + columns.high},
                               0, bytes / code_.config.TileBytes(memory) - 1));
    if (!move.is_store) return absl::OkStatus();
    const Range first = RangeOf(move.columns.first, turns_);
    const bool is_cut = first.low < 0 || first.high + move.columns.count > move.columns.limit;
    return is_cut ? Count(std::min(move.rows.count, move.rows.limit) - 1) : absl::OkStatus();
  }

  // The accelerator's tiles.
  absl::Status CheckMoved(const Move& move) const {
    Memory memory = Memory::kAcc;
    if (!move.is_store && move.place.allocation >= 0 &&
        move.place.allocation < static_cast<int>(code_.allocations.size())) {
      memory = MemoryOf(move.place);
    }
    return CheckPlace("place", move.place, memory, {0, move.rows.count * move.columns.count - 1});
  }

  Memory MemoryOf(const Place& place) const {
    return code_.allocations[static_cast<size_t>(place.allocation)].memory;
  }

  absl::Status CheckNode(const Product& product) {
    if (product.resets && (product.src != Place() || product.wgt != Place())) {
      return Refuse("a reset has no src and no wgt");
    }
    return CheckSteps(product, {Memory::kAcc, Memory::kInp, Memory::kWgt});
  }

  absl::Status CheckNode(const Elementwise& elementwise) {
    TESSERA_RETURN_IF_ERROR(
        In("the operation", static_cast<int64_t>(elementwise.op), 0, kAluOps - 1));
    if (elementwise.uses_immediate) {
      constexpr int64_t kLimit = int64_t{1} << (kImmediateBits - 1);
      TESSERA_RETURN_IF_ERROR(In("the immediate", elementwise.immediate, -kLimit, kLimit - 1));
      if (elementwise.src != Place()) return Refuse("with an immediate there is no src");
    } else {
      TESSERA_RETURN_IF_ERROR(In("the immediate, which isn't used,", elementwise.immediate, 0, 0));
    }
    return CheckSteps(elementwise, {Memory::kAcc, Memory::kAcc, Memory::kWgt});
  }

  template <typename Steps>
  absl::Status CheckSteps(const Steps& steps, const std::array<Memory, 3>& memories) {
    constexpr std::array<const char*, 3> kNames = {"dst", "src", "wgt"};
    constexpr std::array<int64_t Loop::*, 3> kSteps = {&Loop::dst_step, &Loop::src_step,
                                                       &Loop::wgt_step};
    TESSERA_RETURN_IF_ERROR(
        In("the number of its loops", static_cast<int64_t>(steps.loops.size()), 0, kMaxStepLoops));
    for (size_t i = 0; i < steps.loops.size(); ++i) {
      const int64_t most = i < kInstructionLoops ? (int64_t{1} << kTurnBits) - 1 : kMaxMicroOps;
      TESSERA_RETURN_IF_ERROR(In("turns of its loop", steps.loops[i].turns, 1, most));
    }
    const std::vector<const Place*> places = UsedPlaces(steps);
    for (size_t i = 0; i < kNames.size(); ++i) {
      if (i >= places.size()) {
        for (const Loop& loop : steps.loops) {
          TESSERA_RETURN_IF_ERROR(In(absl::StrCat("the step of ", kNames[i], ", which isn't used,"),
                                     loop.*kSteps[i], 0, 0));
        }
        continue;
      }
      const int64_t depth = code_.config.Depth(memories[i]);
      Range used;
      for (size_t j = 0; j < steps.loops.size(); ++j) {
        if (steps.loops[j].turns == 1) continue;
        const int64_t step = steps.loops[j].*kSteps[i];
        TESSERA_RETURN_IF_ERROR(In(absl::StrCat("a step of ", kNames[i]), step,
                                   j < kInstructionLoops ? 0 : 1 - depth, depth - 1));
        (step < 0 ? used.low : used.high) += step * (steps.loops[j].turns - 1);
      }
      TESSERA_RETURN_IF_ERROR(CheckPlace(kNames[i], *places[i], memories[i], used));
    }
    TESSERA_RETURN_IF_ERROR(In("the number of its micro-ops", UopCount(steps.loops), 1,
                               code_.config.Depth(Memory::kUop)));
    uops_ += StoredUops(steps, turns_);
    return In("the number of micro-ops up to here", uops_, 0, kMaxMicroOps);
  }

  const Code& code_;
  const int buffers_;
  std::vector<int64_t> turns_;  // of the loops around
  int64_t visits_ = 1;          // their product
  int64_t nodes_ = 0;
  int64_t instructions_ = 0;
  int64_t uops_ = 0;
  bool failed_ = false;
};

int64_t StoredUops(const std::vector<Node>& body, std::vector<int64_t>& turns);

int64_t StoredUops(const Move&, std::vector<int64_t>&) { return 0; }

int64_t StoredUops(const Repeat& repeat, std::vector<int64_t>& turns) {
  turns.push_back(repeat.turns);
  const int64_t count = StoredUops(repeat.body, turns);
  turns.pop_back();
  return count;
}

int64_t StoredUops(const std::vector<Node>& body, std::vector<int64_t>& turns) {
  int64_t count = 0;
  for (const Node& node : body) {
    count += std::visit([&](const auto& what) { return StoredUops(what, turns); }, node.what);
  }
  return count;
}

}  // namespace

std::vector<const Place*> UsedPlaces(const Product& product) {
  if (product.resets) return {&product.dst};
  return {&product.dst, &product.src, &product.wgt};
}

std::vector<const Place*> UsedPlaces(const Elementwise& elementwise) {
  if (elementwise.uses_immediate) return {&elementwise.dst};
  return {&elementwise.dst, &elementwise.src};
}

absl::Status Check(const Code& code, int buffers) {
  return Annotate(Checker(code, buffers).Run(), "VTA program");
}

int64_t MostWords(const Code& code) {
  int64_t bytes = 0;
  for (const std::vector<uint8_t>& constant : code.constants) {
    bytes = (bytes + kConstantAlignment - 1) / kConstantAlignment * kConstantAlignment +
            static_cast<int64_t>(constant.size());
  }
  std::vector<int64_t> turns;
  return bytes / kWordBytes + StoredUops(code.body, turns);
}

}  // namespace tessera::vta
