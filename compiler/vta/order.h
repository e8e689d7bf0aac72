#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/vta/engine.h"
#include "compiler/vta/execute.h"

namespace tessera::vta {

// For each engine how many of its instructions are known to have ended.
using Clock = std::array<int64_t, kEngines>;

// Which instructions tokens put in order, however long each takes: an instruction comes after those
// before it in its own engine, after what pushed the tokens that it pops, and after all that these
// come after. Two that are not in order must not use the same tile, or byte of DRAM, where one of
// them writes it.
class Order {
 public:
  explicit Order(const Config& config);

  // An instruction starts that has popped these tokens; number `instruction` of the program.
  void Start(Engine engine, int64_t instruction, absl::Span<const Clock> tokens);
  // What the tokens say that the engine's last instruction pushes when it has ended.
  const Clock& TokenOf(Engine engine) const { return clocks_[static_cast<size_t>(engine)]; }

  // Takes down what the engine's last instruction uses. Something of it that an instruction uses
  // which it is not in order with, if there is any.
  struct Conflict {
    std::string what;  // "tile 3 of inp"
    Engine engine;
    int64_t instruction;
  };
  std::optional<Conflict> Use(Engine engine, const Footprint& footprint);

 private:
  // Of one engine the last that used something; the engine's clock is 0 where none did.
  struct LastUse {
    int64_t clock = 0;
    int64_t instruction = 0;
  };
  using LastUses = std::array<LastUse, kEngines>;
  struct Tile {
    LastUses reads, writes;
  };
  // By the first byte; ranges don't overlap.
  struct Bytes {
    int64_t end;
    LastUse use;
  };
  using Ranges = std::map<int64_t, Bytes>;

  // With an empty `what`.
  std::optional<Conflict> Find(Engine engine, const LastUses& uses) const;
  static LastUses UsesOf(const std::array<Ranges, kEngines>& ranges, const DramRange& range);
  static void Assign(Ranges& ranges, const DramRange& range, LastUse use);

  std::array<Clock, kEngines> clocks_ = {};
  std::array<LastUse, kEngines> current_;
  std::array<std::vector<Tile>, kMemories> tiles_;
  std::array<Ranges, kEngines> dram_reads_, dram_writes_;
};

}  // namespace tessera::vta
