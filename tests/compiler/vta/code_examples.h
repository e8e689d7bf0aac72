#pragma once

#include "compiler/vta/code.h"

namespace tessera::vta {

// A term that counts a loop's turns: turn % extent.
inline Term TurnOf(int loop, int64_t extent, int64_t coefficient = 1, int64_t divisor = 1) {
  return {.loop = loop, .divisor = divisor, .extent = extent, .coefficient = coefficient};
}

// Results of rows × columns tiles, each the sum of `depth` products of tiles, shifted and clipped.
// Buffers: inputs [rows, depth], weights [columns, depth], results [rows, columns]. Weights of a
// column are loaded at once, inputs row by row; all are held `copies` times, in turns.
inline Code ProductCode(int64_t rows, int64_t columns, int64_t depth, int64_t copies) {
  Code code;
  code.allocations = {
      {Memory::kInp, 0, depth, copies}, {Memory::kWgt, 0, depth, 1}, {Memory::kAcc, 0, 1, copies}};
  const Value turn = {.terms = {TurnOf(1, copies)}};
  const Place inputs = {.allocation = 0, .copy = turn}, weights = {.allocation = 1},
              sums = {.allocation = 2, .copy = turn};
  const Move load_weights = {.place = weights,
                             .buffer = 1,
                             .rows = {.first = {.terms = {TurnOf(0, columns)}}, .limit = columns},
                             .columns = {.count = depth, .limit = depth},
                             .stride = depth};
  const Move load_inputs = {.place = inputs,
                            .buffer = 0,
                            .rows = {.first = {.terms = {TurnOf(1, rows)}}, .limit = rows},
                            .columns = {.count = depth, .limit = depth},
                            .stride = depth};
  const Product reset = {.resets = true, .dst = sums};
  const Product product = {.dst = sums,
                           .src = inputs,
                           .wgt = weights,
                           .loops = {{.turns = depth, .src_step = 1, .wgt_step = 1}}};
  const auto with = [&](AluOp op, int64_t immediate) {
    return Node{Elementwise{.op = op, .uses_immediate = true, .immediate = immediate, .dst = sums}};
  };
  const Move store = {.is_store = true,
                      .place = sums,
                      .buffer = 2,
                      .rows = {.first = {.terms = {TurnOf(1, rows)}}, .limit = rows},
                      .columns = {.first = {.terms = {TurnOf(0, columns)}}, .limit = columns},
                      .stride = columns};
  const Repeat over_rows = {.turns = rows,
                            .body = {{load_inputs},
                                     {reset},
                                     {product},
                                     with(AluOp::kShr, 4),
                                     with(AluOp::kMax, -128),
                                     with(AluOp::kMin, 127),
                                     {store}}};
  code.body = {{Repeat{.turns = columns, .body = {{load_weights}, {over_rows}}}}};
  return code;
}

}  // namespace tessera::vta
