#include "tests/compiler/vta/random_code.h"

#include <algorithm>
#include <array>

#include "compiler/vta/ranges.h"

namespace tessera::vta {
namespace {

constexpr int kBuffers = 3;  // but for the last
constexpr int64_t kBufferBytes = 2048;
constexpr int64_t kConstantWords = 64;

class Maker {
 public:
  explicit Maker(Rng& rng) : rng_(rng) {}

  RandomProgram Make() {
    MakeConfig();
    MakeAllocations();
    MakeConstants();
    code_.body = Prologue();
    for (Node& node : Body(0)) code_.body.push_back(std::move(node));
    int64_t results = 0;
    AddEpilogue(results);
    RandomProgram made = {code_, {}};
    for (int i = 0; i < kBuffers; ++i) made.buffers.push_back(RandomBytes(kBufferBytes));
    made.buffers.push_back(RandomBytes(results * code_.config.TileBytes(Memory::kOut)));
    return made;
  }

 private:
  std::vector<uint8_t> RandomBytes(int64_t count) {
    std::vector<uint8_t> bytes(static_cast<size_t>(count));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng_.Below(256));
    return bytes;
  }

  void MakeConfig() {
    Config& config = code_.config;
    config.log_batch = static_cast<int>(rng_.Below(2));
    config.log_block = static_cast<int>(rng_.Between(1, 2));
    const auto bytes = [&](Memory memory) {
      const int log_depth = static_cast<int>(rng_.Chance(0.1) ? 0 : rng_.Between(2, 5));
      return config.LogTileBytes(memory) + log_depth;
    };
    config.log_uop_bytes = bytes(Memory::kUop);
    config.log_inp_bytes = bytes(Memory::kInp);
    config.log_wgt_bytes = bytes(Memory::kWgt);
    config.log_acc_bytes = bytes(Memory::kAcc);
  }

  void MakeAllocations() {
    for (const Memory memory : {Memory::kInp, Memory::kWgt, Memory::kAcc}) {
      const int64_t depth = code_.config.Depth(memory);
      const int64_t half = (depth + 1) / 2;
      for (int64_t first = 0; first < depth; first += half) {
        if (first > 0 && rng_.Chance(0.5)) continue;
        const int64_t copies = rng_.Between(1, std::min<int64_t>(3, half));
        code_.allocations.push_back({memory, first, rng_.Between(1, half / copies), copies});
      }
    }
  }

  void MakeConstants() {
    for (uint64_t count = rng_.Below(3); count > 0; --count) {
      code_.constants.push_back(RandomBytes(4 * rng_.Between(1, kConstantWords)));
    }
  }

  const Allocation& Of(int allocation) const {
    return code_.allocations[static_cast<size_t>(allocation)];
  }

  int Allocated(Memory memory) {
    for (;;) {
      const size_t one = rng_.Below(code_.allocations.size());
      if (code_.allocations[one].memory == memory) return static_cast<int>(one);
    }
  }

  // Always in [low, high].
  Value RandomValue(int64_t low, int64_t high) {
    Value value{.constant = rng_.Between(low, high)};
    while (!turns_.empty() && value.terms.size() < 3 && rng_.Chance(0.6)) {
      Value longer = value;
      longer.constant = 0;
      longer.terms.push_back({.loop = static_cast<int>(rng_.Below(turns_.size())),
                              .divisor = rng_.Between(1, 3),
                              .extent = rng_.Between(1, 5),
                              .coefficient = rng_.Between(-2, 3)});
      const Range range = RangeOf(longer, turns_);
      if (range.high - range.low > high - low) continue;
      value = std::move(longer);
      value.constant = rng_.Between(low - range.low, high - range.high);
    }
    return value;
  }

  Place RandomPlace(int allocation, Range used) {
    const Allocation& of = Of(allocation);
    return {.allocation = allocation,
            .copy = RandomValue(0, of.copies - 1),
            .offset = RandomValue(-used.low, of.tiles - 1 - used.high)};
  }

  Move RandomMove(bool is_store) {
    const int allocation = is_store || rng_.Chance(0.3)
                               ? Allocated(Memory::kAcc)
                               : Allocated(rng_.Chance(0.5) ? Memory::kInp : Memory::kWgt);
    const Memory memory = is_store ? Memory::kOut : Of(allocation).memory;
    const int64_t tiles = Of(allocation).tiles;
    Move move{.is_store = is_store, .buffer = static_cast<int>(rng_.Below(kBuffers))};
    move.rows.count = rng_.Between(1, std::min<int64_t>(3, tiles));
    move.columns.count = rng_.Between(1, std::min<int64_t>(3, tiles / move.rows.count));
    for (Span* span : {&move.rows, &move.columns}) {
      span->limit = rng_.Between(1, 5);
      span->first = is_store ? RandomValue(-span->count, span->limit + 1)
                             : RandomValue(1 - span->count, span->limit - 1);
    }
    move.stride = rng_.Chance(0.1) ? 0 : rng_.Between(move.columns.limit, move.columns.limit + 2);
    move.place = RandomPlace(allocation, {0, move.rows.count * move.columns.count - 1});
    const int64_t last = (move.rows.limit - 1) * move.stride + move.columns.limit - 1;
    const int64_t tile_bytes = code_.config.TileBytes(memory);
    move.tile = RandomValue(0, kBufferBytes / tile_bytes - 1 - last);
    if (is_store || code_.constants.empty() || rng_.Chance(0.7)) return move;
    const auto constant = static_cast<int>(rng_.Below(code_.constants.size()));
    const int64_t tiles_there = std::ssize(code_.constants[constant]) / tile_bytes;
    if (last >= tiles_there) return move;
    move.buffer = BufferOfConstant(constant);
    move.tile = RandomValue(0, tiles_there - 1 - last);
    return move;
  }

  // With places of these memories.
  template <typename Steps>
  void FillSteps(Steps& steps, const std::vector<std::pair<Place*, Memory>>& places) {
    constexpr std::array<int64_t Loop::*, 3> kSteps = {&Loop::dst_step, &Loop::src_step,
                                                       &Loop::wgt_step};
    std::vector<int> allocations;
    for (const auto& [place, memory] : places) allocations.push_back(Allocated(memory));
    std::vector<Range> used(places.size());
    int64_t uops = 1;
    for (uint64_t tries = rng_.Below(6); tries > 0; --tries) {
      const bool is_uop = steps.loops.size() >= 2;
      Loop loop{.turns = rng_.Between(1, 3)};
      std::vector<Range> longer = used;
      bool fits = !is_uop || uops * loop.turns <= code_.config.Depth(Memory::kUop);
      for (size_t i = 0; i < places.size(); ++i) {
        const int64_t step = rng_.Between(is_uop ? -1 : 0, 2);
        loop.*kSteps[i] = step;
        (step < 0 ? longer[i].low : longer[i].high) += step * (loop.turns - 1);
        fits &= longer[i].high - longer[i].low < Of(allocations[i]).tiles;
      }
      if (!fits) continue;
      used = longer;
      if (is_uop) uops *= loop.turns;
      steps.loops.push_back(loop);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      *places[i].first = RandomPlace(allocations[i], used[i]);
    }
  }

  Node RandomLeaf() {
    if (rng_.Chance(0.5)) return {RandomMove(rng_.Chance(0.3))};
    if (rng_.Chance(0.6)) {
      Product product{.resets = rng_.Chance(0.2)};
      std::vector<std::pair<Place*, Memory>> places = {{&product.dst, Memory::kAcc}};
      if (!product.resets) {
        places.push_back({&product.src, Memory::kInp});
        places.push_back({&product.wgt, Memory::kWgt});
      }
      FillSteps(product, places);
      return {product};
    }
    Elementwise elementwise{.op = static_cast<AluOp>(rng_.Below(kAluOps)),
                            .uses_immediate = rng_.Chance(0.5)};
    std::vector<std::pair<Place*, Memory>> places = {{&elementwise.dst, Memory::kAcc}};
    if (elementwise.uses_immediate) {
      elementwise.immediate = rng_.Between(-40, 40);
    } else {
      places.push_back({&elementwise.src, Memory::kAcc});
    }
    FillSteps(elementwise, places);
    return {elementwise};
  }

  std::vector<Node> Body(int depth) {
    std::vector<Node> body;
    for (int64_t count = rng_.Between(1, 5); count > 0; --count) {
      if (depth == 3 || rng_.Chance(0.6)) {
        body.push_back(RandomLeaf());
        continue;
      }
      Repeat repeat{.turns = rng_.Between(1, 4)};
      turns_.push_back(repeat.turns);
      repeat.body = Body(depth + 1);
      turns_.pop_back();
      body.push_back({std::move(repeat)});
    }
    return body;
  }

  // Each copy of the allocation.
  static Place EachCopy(int allocation, int64_t copies) {
    return {.allocation = allocation, .copy = {.terms = {{.loop = 0, .extent = copies}}}};
  }

  std::vector<Node> Prologue() {
    std::vector<Node> body;
    for (int i = 0; i < static_cast<int>(code_.allocations.size()); ++i) {
      const Allocation& one = Of(i);
      const Place place = EachCopy(i, one.copies);
      Node node = {Move{.place = place,
                        .buffer = static_cast<int>(rng_.Below(kBuffers)),
                        .columns = {.count = one.tiles, .limit = one.tiles}}};
      if (one.memory == Memory::kAcc) {
        node = {
            Product{.resets = true, .dst = place, .loops = {{.turns = one.tiles, .dst_step = 1}}}};
      }
      body.push_back({Repeat{.turns = one.copies, .body = {node}}});
    }
    return body;
  }

  // Stores all bytes of the accumulators, one after the other.
  void AddEpilogue(int64_t& results) {
    for (int i = 0; i < static_cast<int>(code_.allocations.size()); ++i) {
      const Allocation& one = Of(i);
      if (one.memory != Memory::kAcc) continue;
      const Place place = EachCopy(i, one.copies);
      for (int byte = 0; byte < 4; ++byte) {
        const Move store = {
            .is_store = true,
            .place = place,
            .buffer = kBuffers,
            .tile = {.constant = results},
            .rows = {.first = {.terms = {{.loop = 0, .extent = one.copies}}}, .limit = one.copies},
            .columns = {.count = one.tiles, .limit = one.tiles},
            .stride = one.tiles};
        const Elementwise shift = {.op = AluOp::kShr,
                                   .uses_immediate = true,
                                   .immediate = 8,
                                   .dst = place,
                                   .loops = {{.turns = one.tiles, .dst_step = 1}}};
        code_.body.push_back({Repeat{.turns = one.copies, .body = {{store}, {shift}}}});
        results += one.tiles * one.copies;
      }
    }
  }

  Rng& rng_;
  Code code_;
  std::vector<int64_t> turns_;
};

}  // namespace

RandomProgram MakeRandomProgram(Rng& rng) { return Maker(rng).Make(); }

}  // namespace tessera::vta
