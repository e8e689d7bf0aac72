#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "compiler/vta/config.h"

namespace tessera::vta {

// Tiles of one memory.
class TileSet {
 public:
  explicit TileSet(int64_t depth = 0) : words_(static_cast<size_t>((depth + 63) / 64)) {}

  void Add(int64_t tile) { words_[Word(tile)] |= Bit(tile); }
  bool Has(int64_t tile) const { return (words_[Word(tile)] & Bit(tile)) != 0; }
  template <typename Function>
  void ForEach(const Function& function) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1) {
        function(static_cast<int64_t>(i) * 64 + std::countr_zero(rest));
      }
    }
  }

 private:
  static size_t Word(int64_t tile) { return static_cast<size_t>(tile / 64); }
  static uint64_t Bit(int64_t tile) { return uint64_t{1} << (tile % 64); }

  std::vector<uint64_t> words_;
};

// What lies in the accelerator, and which tiles anything was ever put into.
struct Memories {
  explicit Memories(const Config& config);

  TileSet& known(Memory memory) { return known_tiles[static_cast<size_t>(memory)]; }

  std::vector<uint32_t> uop;
  std::vector<int8_t> inp, wgt, out;
  std::vector<int32_t> acc;
  std::array<TileSet, kMemories> known_tiles;
};

}  // namespace tessera::vta
