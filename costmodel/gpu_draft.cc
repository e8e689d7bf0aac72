#include "costmodel/gpu_draft.h"

#include <algorithm>
#include <cmath>

#include "costmodel/features.h"
#include "costmodel/gpu_row.h"

namespace tessera::costmodel {
namespace {

// A device of middling size, in round numbers; of no particular maker, and fitted to none.
constexpr double kHertz = 1.5e9;
constexpr double kUnits = 32;
constexpr double kOperationsPerCycle = 128;  // of a unit
constexpr double kMatrixSpeed = 16;          // operations in the time of one, by matrices
constexpr double kBodyOperations = 4;        // of a body's loop and addresses
constexpr double kUnitBytesPerCycle = 32;    // of global memory, a unit's share
constexpr double kBusyWaves = 16;            // that hide how long one waits
constexpr double kBarrierCycles = 30;
constexpr double kKernelCycles = 5000;  // until one begins

struct Columns {
  size_t work, matrix_share, bodies, wave, blocks, threads, fill, occupancy, barriers, kernels,
      loads, stores, shared;
};

const Columns& ColumnsOfRow() {
  static const Columns kColumns = [] {
    const auto of = [](std::string_view name) { return ColumnOf(ir::TargetKind::kOpenCl, name); };
    return Columns{.work = of("work"),
                   .matrix_share = of("gpu.matrix_share"),
                   .bodies = of("stages.bodies"),
                   .wave = of("target.wave_threads"),
                   .blocks = of("gpu.blocks"),
                   .threads = of("gpu.block_threads"),
                   .fill = of("gpu.wave_fill"),
                   .occupancy = of("gpu.occupancy"),
                   .barriers = of("gpu.barriers"),
                   .kernels = of("gpu.kernels"),
                   .loads = of("gpu.load_bytes"),
                   .stores = of("gpu.store_bytes"),
                   .shared = of("gpu.shared_cycles")};
  }();
  return kColumns;
}

}  // namespace

double GpuDraftSeconds(absl::Span<const float> row) {
  const Columns& at = ColumnsOfRow();
  const auto count = [&](size_t column) { return std::exp2(double{row[column]}) - 1; };

  const double fill = std::clamp(double{row[at.fill]}, 1e-3, 1.0);
  const double matrices = std::clamp(double{row[at.matrix_share]}, 0.0, 1.0);
  const double slowness = 1 - matrices + matrices / kMatrixSpeed;
  const double cycles = (count(at.work) + kBodyOperations * count(at.bodies)) * slowness /
                            (kOperationsPerCycle * fill) +
                        count(at.shared) +
                        (count(at.loads) + count(at.stores)) / kUnitBytesPerCycle;
  // Blocks go round among the units, each of which has some of its share at a time.
  const double blocks = std::max(1.0, count(at.blocks));
  const double share = std::ceil(std::round(blocks) / kUnits);
  const double room = std::max(1.0, count(at.threads)) / fill;
  const double resident = std::max(1.0, std::round(row[at.occupancy] * kUnitThreads / room));
  const double waves = std::min(resident, share) * room / std::max(1.0, count(at.wave));
  const double waiting = std::max(1.0, kBusyWaves / waves);
  return (cycles * share / blocks * waiting +
          kBarrierCycles * count(at.barriers) * std::ceil(share / resident) +
          kKernelCycles * std::max(1.0, double{row[at.kernels]})) /
         kHertz;
}

}  // namespace tessera::costmodel
