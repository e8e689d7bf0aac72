#include "compiler/vta/order.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera::vta {
namespace {

size_t Index(Engine engine) { return static_cast<size_t>(engine); }

}  // namespace

Order::Order(const Config& config) {
  for (size_t i = 0; i < kMemories; ++i) {
    tiles_[i].resize(static_cast<size_t>(config.Depth(static_cast<Memory>(i))));
  }
}

void Order::Start(Engine engine, int64_t instruction, absl::Span<const Clock> tokens) {
  Clock& own = clocks_[Index(engine)];
  for (const Clock& token : tokens) {
    for (size_t i = 0; i < kEngines; ++i) own[i] = std::max(own[i], token[i]);
  }
  current_[Index(engine)] = {++own[Index(engine)], instruction};
}

std::optional<Order::Conflict> Order::Find(Engine engine, const LastUses& uses) const {
  for (size_t other = 0; other < kEngines; ++other) {
    if (other == Index(engine) || uses[other].clock <= clocks_[Index(engine)][other]) continue;
    return Conflict{"", static_cast<Engine>(other), uses[other].instruction};
  }
  return std::nullopt;
}

Order::LastUses Order::UsesOf(const std::array<Ranges, kEngines>& ranges, const DramRange& range) {
  LastUses latest;
  for (size_t i = 0; i < kEngines; ++i) {
    auto found = ranges[i].upper_bound(range.begin);
    if (found != ranges[i].begin() && std::prev(found)->second.end > range.begin) --found;
    for (; found != ranges[i].end() && found->first < range.end; ++found) {
      if (found->second.use.clock > latest[i].clock) latest[i] = found->second.use;
    }
  }
  return latest;
}

void Order::Assign(Ranges& ranges, const DramRange& range, LastUse use) {
  auto found = ranges.upper_bound(range.begin);
  if (found != ranges.begin() && std::prev(found)->second.end > range.begin) --found;
  while (found != ranges.end() && found->first < range.end) {
    const auto [begin, old] = *found;
    found = ranges.erase(found);
    if (begin < range.begin) ranges[begin] = {range.begin, old.use};
    if (old.end > range.end) ranges[range.end] = old;
  }
  ranges[range.begin] = {range.end, use};
}

std::optional<Order::Conflict> Order::Use(Engine engine, const Footprint& footprint) {
  const LastUse current = current_[Index(engine)];
  std::optional<Conflict> conflict;
  const auto check = [&](const LastUses& uses, const auto& what) {
    if (conflict) return;
    conflict = Find(engine, uses);
    if (conflict) conflict->what = what();
  };
  for (size_t i = 0; i < kMemories; ++i) {
    const auto name = [&](int64_t number) {
      return absl::StrCat("tile ", number, " of ", AbslView(MemoryName(static_cast<Memory>(i))));
    };
    footprint.reads[i].ForEach([&](int64_t number) {
      Tile& tile = tiles_[i][static_cast<size_t>(number)];
      check(tile.writes, [&] { return name(number); });
      tile.reads[Index(engine)] = current;
    });
    footprint.writes[i].ForEach([&](int64_t number) {
      Tile& tile = tiles_[i][static_cast<size_t>(number)];
      check(tile.writes, [&] { return name(number); });
      check(tile.reads, [&] { return name(number); });
      tile.writes[Index(engine)] = current;
    });
  }
  const auto name = [](const DramRange& range) {
    return absl::StrCat("some of bytes ", range.begin, " to ", range.end - 1, " of DRAM");
  };
  for (const DramRange& range : footprint.dram_reads) {
    check(UsesOf(dram_writes_, range), [&] { return name(range); });
    Assign(dram_reads_[Index(engine)], range, current);
  }
  for (const DramRange& range : footprint.dram_writes) {
    check(UsesOf(dram_writes_, range), [&] { return name(range); });
    check(UsesOf(dram_reads_, range), [&] { return name(range); });
    Assign(dram_writes_[Index(engine)], range, current);
  }
  return conflict;
}

}  // namespace tessera::vta
