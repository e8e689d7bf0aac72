#include "compiler/vta/memories.h"

namespace tessera::vta {

Memories::Memories(const Config& config) {
  const auto bytes = [&](Memory memory) {
    return static_cast<size_t>(config.Depth(memory) * config.TileBytes(memory));
  };
  uop.resize(bytes(Memory::kUop) / sizeof(uint32_t));
  inp.resize(bytes(Memory::kInp));
  wgt.resize(bytes(Memory::kWgt));
  out.resize(bytes(Memory::kOut));
  acc.resize(bytes(Memory::kAcc) / sizeof(int32_t));
  for (int i = 0; i < kMemories; ++i) {
    known_tiles[static_cast<size_t>(i)] = TileSet(config.Depth(static_cast<Memory>(i)));
  }
}

}  // namespace tessera::vta
