#include "costmodel/vta_cycles.h"

#include <algorithm>

namespace tessera::costmodel {
namespace {

constexpr double kInstructionBytes = 16;

// Of each virtual thread that has its own; else of all.
double RunsOf(const VtaTransfer& loads) { return loads.runs / loads.contexts; }

// How many cycles of one load of an operand the products wait for, which take `turn` cycles in a
// turn of the loop around the inner one of both operands' loads. The engine loads in order, each as
// soon as what it overwrites is no longer needed.
double Waited(const VtaTransfer& loads, const VtaTransfer& others, bool are_first, double turn) {
  const double runs = RunsOf(loads), other_runs = RunsOf(others);
  const double cycles = loads.cycles / runs;
  if (!loads.is_doubled && loads.contexts == 1) return cycles;
  // Behind the last load of the other, which is for the last turn.
  if (runs < other_runs) {
    return loads.is_doubled ? std::max(0.0, cycles - turn) : cycles - std::min(cycles, turn) / 2;
  }
  const bool others_wait = !others.is_doubled && others.contexts == 1;
  // Behind what waits for products itself, and so does the first load of each turn around.
  if (runs > other_runs) return others_wait ? cycles * other_runs / runs : 0;
  if (!loads.is_doubled) return others_wait || are_first ? cycles / 2 : 0;
  return are_first || others.is_doubled ? 0 : cycles;
}

// Of stores what the next products wait for, whose accumulators are the same. One virtual thread
// stores while the next one narrows its results or sets new ones to 0.
double UnhiddenStores(const VtaProfile& p) {
  const double threads = p.virtual_threads, runs = p.tiles * threads;
  if (threads == 1) return p.store_cycles;
  const double store = p.store_cycles / runs, reset = p.resets.cycles / runs;
  const double steps = std::max(1.0, p.operations.instructions);
  const double narrow = p.operations.cycles / steps;
  return p.tiles * (std::max(0.0, store - narrow) + (threads - 1) * std::max(0.0, store - reset));
}

// What loads of the engine that computes wait for rows of the other on the bus, in a program of so
// many cycles.
double BusWaits(const VtaProfile& p, double bus_bytes, double cycles) {
  double bus = 0, squares = 0;
  for (const VtaTransfer* transfer : {&p.inputs, &p.weights, &p.residuals}) {
    const double row_cycles = transfer->bytes / bus_bytes;
    bus += row_cycles;
    if (transfer->rows > 0) squares += row_cycles * row_cycles / transfer->rows;
  }
  if (bus == 0) return 0;
  return (p.added.rows + p.uop_loads) * std::min(1.0, bus / cycles) * squares / bus;
}

void SetCycles(VtaSteps& steps, int64_t depth, int64_t turn_cycles, int64_t interval,
               int64_t immediate_interval) {
  steps.cycles = steps.instructions * static_cast<double>(depth) +
                 (steps.turns - steps.instructions) * static_cast<double>(turn_cycles) +
                 (steps.steps - steps.immediate_steps) * static_cast<double>(interval) +
                 steps.immediate_steps * static_cast<double>(immediate_interval);
}

}  // namespace

VtaProfile WithTiming(VtaProfile p, const vta::Timing& timing) {
  constexpr vta::Timing kCounted;
  for (VtaSteps* steps : {&p.products, &p.resets}) {
    SetCycles(*steps, timing.gemm_depth, timing.turn_cycles, timing.gemm_interval,
              timing.gemm_interval);
  }
  for (VtaSteps* steps : {&p.operations, &p.windows}) {
    SetCycles(*steps, timing.alu_depth, timing.turn_cycles, timing.alu_interval,
              timing.alu_immediate_interval);
  }
  const auto latency = static_cast<double>(timing.row_latency);
  const auto bus_bytes = static_cast<double>(timing.bus_bytes);
  for (VtaTransfer* moved : {&p.inputs, &p.weights, &p.residuals, &p.added, &p.results}) {
    moved->cycles = moved->rows * latency + moved->bytes / bus_bytes + moved->zeros;
  }
  const double uop_bytes =
      (p.uop_cycles - p.uop_loads * static_cast<double>(kCounted.row_latency)) *
      static_cast<double>(kCounted.bus_bytes);
  p.uop_cycles = p.uop_loads * latency + uop_bytes / bus_bytes;
  return WithCycles(p, timing);
}

VtaProfile WithCycles(VtaProfile p, const vta::Timing& timing) {
  const double finishes = 1;
  p.instructions = finishes + p.inputs.instructions + p.weights.instructions +
                   p.residuals.instructions + p.added.instructions + p.results.instructions +
                   p.products.instructions + p.resets.instructions + p.operations.instructions +
                   p.windows.instructions + p.uop_loads;
  const auto bus_bytes = static_cast<double>(timing.bus_bytes);
  p.fetch_cycles = p.instructions * (kInstructionBytes / bus_bytes + 1);
  p.load_cycles = p.inputs.cycles + p.weights.cycles + p.residuals.cycles;
  p.compute_cycles = p.products.cycles + p.resets.cycles + p.operations.cycles + p.windows.cycles +
                     p.added.cycles + p.uop_cycles;
  p.store_cycles = p.results.cycles;

  const double a_runs = RunsOf(p.inputs), b_runs = RunsOf(p.weights);
  const double turn = (p.products.cycles + p.windows.cycles) / std::max(a_runs, b_runs);
  p.inputs.waited_cycles = a_runs * Waited(p.inputs, p.weights, p.loads_inputs_first, turn);
  p.weights.waited_cycles = b_runs * Waited(p.weights, p.inputs, !p.loads_inputs_first, turn);
  // Behind the results before that the last one was added to, unless another virtual thread works.
  p.residuals.waited_cycles = p.residuals.contexts > 1 ? 0 : p.residuals.cycles;
  const double stored = UnhiddenStores(p);
  // The first loads of a tile of results go on while the one before is finished.
  const double first = p.inputs.waited_cycles / std::max(a_runs, p.tiles) +
                       p.weights.waited_cycles / std::max(b_runs, p.tiles);
  const double finish = (p.resets.cycles + p.operations.cycles + stored) / p.tiles;
  const double serial = p.compute_cycles + stored + p.inputs.waited_cycles +
                        p.weights.waited_cycles + p.residuals.waited_cycles -
                        p.tiles * std::min(first, finish);
  const auto at_least = [&](double cycles) {
    return std::max({p.fetch_cycles, p.load_cycles, p.store_cycles, cycles});
  };
  p.bus_waits = BusWaits(p, bus_bytes, at_least(serial));
  // No more than if nothing went on at the same time.
  p.cycles = at_least(std::min(serial + p.bus_waits, p.compute_cycles + p.load_cycles + stored));
  return p;
}

}  // namespace tessera::costmodel
