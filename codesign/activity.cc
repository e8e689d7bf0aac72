#include "codesign/activity.h"

#include <cmath>
#include <variant>

#include "codesign/resources.h"

namespace tessera::codesign {
namespace {

using vta::Memory;

// In picojoules. Source: M. Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9, of
// 45 nm at 0.9 V: integer operations by bits, 64 bits of a cache of 8 KiB (10), and of DRAM at
// least (1300).
constexpr double kMultiply8 = 0.2, kAdd16 = 0.05, kAdd32 = 0.1;
constexpr double kDramByte = 1300.0 / 8;
// A block RAM of 18 Kb has 2 KiB and gives 16 bits of that: a quarter of the width and, energy
// going by the root of the size as that figure's 8, 32 and 1024 KiB do, half of the lines.
constexpr double kBlockRam = 10.0 / 4 / 2;

constexpr size_t Index(Memory memory) { return static_cast<size_t>(memory); }

double Steps(const vta::Loop& outer, const vta::Loop& inner, int64_t uops) {
  return static_cast<double>(outer.turns * inner.turns * uops);
}

}  // namespace

void Activity::Add(const Activity& other, double times) {
  cycles += times * other.cycles;
  products += times * other.products;
  resets += times * other.resets;
  operations += times * other.operations;
  second_reads += times * other.second_reads;
  for (size_t i = 0; i < tiles_moved.size(); ++i) tiles_moved[i] += times * other.tiles_moved[i];
  dram_bytes += times * other.dram_bytes;
}

Activity ActivityOf(absl::Span<const vta::Instruction> program) {
  Activity activity;
  for (const vta::Instruction& instruction : program) {
    if (const auto* move = std::get_if<vta::Transfer>(&instruction.operation)) {
      const int64_t rows = move->y_pad_before + move->y_size + move->y_pad_after;
      const int64_t columns = move->x_pad_before + move->x_size + move->x_pad_after;
      activity.tiles_moved[Index(move->memory)] += static_cast<double>(rows * columns);
    } else if (const auto* gemm = std::get_if<vta::Gemm>(&instruction.operation)) {
      (gemm->resets ? activity.resets : activity.products) +=
          Steps(gemm->outer, gemm->inner, gemm->uop_end - gemm->uop_begin);
    } else if (const auto* alu = std::get_if<vta::Alu>(&instruction.operation)) {
      const double steps = Steps(alu->outer, alu->inner, alu->uop_end - alu->uop_begin);
      activity.operations += steps;
      if (!alu->uses_immediate) activity.second_reads += steps;
    }
  }
  return activity;
}

Activity EstimatedActivity(const costmodel::VtaProfile& profile, const vta::Config& config) {
  Activity activity;
  activity.cycles = profile.cycles;
  activity.products = profile.products.steps;
  activity.resets = profile.resets.steps;
  activity.operations = profile.operations.steps;
  const auto move = [&](const costmodel::VtaTransfer& moved, Memory memory) {
    activity.tiles_moved[Index(memory)] +=
        moved.bytes / static_cast<double>(config.TileBytes(memory)) + moved.zeros;
    activity.dram_bytes += moved.bytes;
  };
  move(profile.inputs, Memory::kInp);
  move(profile.weights, Memory::kWgt);
  move(profile.added, Memory::kAcc);
  move(profile.results, Memory::kOut);
  activity.tiles_moved[Index(Memory::kUop)] = profile.held_uops;
  constexpr double kInstructionBytes = 16, kUopBytes = 4;
  activity.dram_bytes += profile.instructions * kInstructionBytes + profile.held_uops * kUopBytes;
  return activity;
}

double Picojoules(const Activity& a, const vta::Config& config) {
  const double results = static_cast<double>(config.batch()) * config.block();
  const double steps = a.products + a.resets + a.operations;
  // Of tiles: each step reads a micro-op and writes accumulators with the results beside them.
  std::array<double, vta::kMemories> uses = a.tiles_moved;
  uses[Index(Memory::kUop)] += steps;
  uses[Index(Memory::kAcc)] += steps + a.products + a.operations + a.second_reads;
  uses[Index(Memory::kOut)] += steps;
  uses[Index(Memory::kInp)] += a.products;
  uses[Index(Memory::kWgt)] += a.products;
  double energy = a.products * results * (config.block() * (kMultiply8 + kAdd16) + kAdd32) +
                  a.operations * results * kAdd32 + a.dram_bytes * kDramByte;
  for (int memory = 0; memory < vta::kMemories; ++memory) {
    // All of a memory's RAMs give their part of a tile.
    energy += uses[static_cast<size_t>(memory)] * kBlockRam *
              static_cast<double>(MemoryBram18s(config, static_cast<Memory>(memory)));
  }
  return energy;
}

}  // namespace tessera::codesign
