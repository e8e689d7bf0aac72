#include "costmodel/vta_row.h"

#include <algorithm>
#include <string_view>

#include "base/view.h"

namespace tessera::costmodel {
namespace {

// 0 where there is nothing to divide by.
double Quotient(double a, double b) { return b > 0 ? a / b : 0; }

double Repeats(const VtaTransfer& transfer) {
  return std::min(64.0, Quotient(transfer.bytes, transfer.tensor_bytes));
}

void WriteTarget(const ir::Target& target, RowWriter& row) {
  row.SetGroup("target");
  row.Count(target.tile_rows, "rows of a tile of inputs and results", "target.tile_rows");
  row.Count(target.tile_block, "columns of these, rows and columns of a tile of weights",
            "target.tile_block");
  row.Bytes(static_cast<double>(target.uop_bytes), "memory of micro-ops", "target.uop_bytes");
  row.Bytes(static_cast<double>(target.inp_bytes), "of inputs", "target.inp_bytes");
  row.Bytes(static_cast<double>(target.wgt_bytes), "of weights", "target.wgt_bytes");
  row.Bytes(static_cast<double>(target.acc_bytes), "of accumulators", "target.acc_bytes");
  row.Count(target.pipeline_steps, "steps until an accumulator may be added to again",
            "target.pipeline_steps");
}

void WriteSteps(const VtaProfile& profile, RowWriter& row) {
  row.SetGroup("steps");
  const VtaSteps &products = profile.products, &operations = profile.operations;
  row.Count(products.steps, "products of tiles", "vta.steps");
  row.Count(products.instructions, "instructions that multiply", "vta.products");
  row.Count(products.turns, "turns of their loops around micro-ops", "vta.turns");
  row.Count(Quotient(products.steps, products.turns), "steps of a turn: its micro-ops",
            "vta.turn_steps");
  row.Count(Quotient(products.steps, products.instructions), "steps of an instruction",
            "vta.product_steps");
  row.Ratio(Quotient(products.steps, products.cycles), "steps to the cycles that they take",
            "vta.product_speed");
  row.Count(profile.resets.steps, "tiles of accumulators that are set to 0", "vta.resets");
  const VtaSteps& windows = profile.windows;
  row.Count(operations.steps + windows.steps, "steps of the ALU", "vta.alu_steps");
  row.Count(operations.instructions + windows.instructions, "instructions of it",
            "vta.alu_instructions");
  row.Count(windows.steps, "steps of it that find the largest of windows", "vta.window_steps");
  row.Count(profile.instructions, "instructions of all kinds", "vta.instructions");
  row.SetGroup("micro-ops");
  row.Count(profile.held_uops, "micro-ops that differ, at all places that they begin at",
            "vta.uops");
  row.Count(profile.uop_loads, "loads of them", "vta.uop_loads");
  row.Count(profile.uop_cycles, "cycles of these loads", "vta.uop_cycles");
}

void WriteTransfer(std::string_view name, const VtaTransfer& transfer, RowWriter& row) {
  const auto n = AbslView(name);
  row.Count(transfer.runs, "how often a part is moved", n, ".runs");
  row.Count(transfer.instructions, "instructions for that", n, ".instructions");
  row.Count(transfer.rows, "rows that are requested one after the other", n, ".rows");
  row.Bytes(Quotient(transfer.bytes, transfer.rows), "of a row", n, ".row_bytes");
  row.Bytes(transfer.bytes, "of all rows", n, ".bytes");
  row.Count(transfer.cycles, "cycles until all is moved", n, ".cycles");
}

void WriteOverlap(const VtaProfile& profile, RowWriter& row) {
  row.SetGroup("overlap");
  row.Count(profile.tiles, "parts of the results that are computed one after the other",
            "vta.tiles");
  row.Count(profile.virtual_threads, "virtual threads, each of which has one at a time",
            "vta.virtual_threads");
  row.Flag(profile.inputs.is_doubled, "whether loads of inputs go to two copies by turns",
           "inp.doubled");
  row.Flag(profile.weights.is_doubled, "of weights", "wgt.doubled");
  row.Count(profile.inputs.contexts, "virtual threads that have inputs of their own",
            "inp.contexts");
  row.Count(profile.weights.contexts, "weights of their own", "wgt.contexts");
  row.Count(profile.inputs.waited_cycles, "cycles of loads of inputs that products wait for",
            "inp.waited_cycles");
  row.Count(profile.weights.waited_cycles, "of weights", "wgt.waited_cycles");
}

void WriteMemory(const ir::Target& target, const VtaProfile& profile, RowWriter& row) {
  row.SetGroup("memory");
  const double rows = target.tile_rows, block = target.tile_block;
  constexpr double kUopBytes = 4, kAccumulatorBytes = 4;
  const auto use = [&](double bytes, int64_t memory) {
    return std::min(16.0, Quotient(bytes, static_cast<double>(memory)));
  };
  row.Ratio(use(profile.held_uops * kUopBytes, target.uop_bytes),
            "micro-ops that differ to those that there is memory for, at most 16", "uop.use");
  row.Ratio(use((profile.inputs.tiles + profile.residuals.tiles) * rows * block, target.inp_bytes),
            "memory of inputs that is taken", "inp.use");
  row.Ratio(use(profile.weights.tiles * block * block, target.wgt_bytes), "of weights", "wgt.use");
  row.Ratio(use((profile.results.tiles + profile.added.tiles + profile.window_tiles) * rows *
                    block * kAccumulatorBytes,
                target.acc_bytes),
            "of accumulators", "acc.use");
}

void WriteEngines(const VtaProfile& profile, RowWriter& row) {
  row.SetGroup("engines");
  row.Count(profile.fetch_cycles, "cycles of fetching instructions, if it never waited",
            "vta.fetch_cycles");
  row.Count(profile.load_cycles, "of the loads of inputs and weights", "vta.load_cycles");
  row.Count(profile.compute_cycles, "of what computes, with what it loads itself",
            "vta.compute_cycles");
  row.Count(profile.store_cycles, "of the stores", "vta.store_cycles");
  row.Count(profile.bus_waits, "cycles that its own loads wait for rows of the others on the bus",
            "vta.bus_waits");
  row.Ratio(std::min(64.0, Quotient(profile.load_cycles, profile.compute_cycles)),
            "loads to what computes, at most 64", "vta.load_share");
  row.Number(profile.kernels, "kernels, one after the other", "vta.kernels");
  row.Count(profile.cycles, "cycles that all of that is likely to take", "vta.cycles");
}

}  // namespace

void WriteVta(const ir::Target& target, const VtaProfile& profile, RowWriter& row) {
  WriteTarget(target, row);
  WriteSteps(profile, row);
  row.SetGroup("transfers");
  WriteTransfer("inp", profile.inputs, row);
  row.Count(profile.inputs.zeros, "tiles of padding", "inp.zeros");
  row.Ratio(Repeats(profile.inputs), "bytes of inputs to those of the tensor, at most 64",
            "inp.repeats");
  WriteTransfer("wgt", profile.weights, row);
  row.Ratio(Repeats(profile.weights), "bytes of weights to those of the tensor, at most 64",
            "wgt.repeats");
  WriteTransfer("residual", profile.residuals, row);
  WriteTransfer("added", profile.added, row);
  WriteTransfer("out", profile.results, row);
  WriteOverlap(profile, row);
  WriteMemory(target, profile, row);
  WriteEngines(profile, row);
}

}  // namespace tessera::costmodel
