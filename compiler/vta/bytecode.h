#pragma once

#include <cstdint>
#include <vector>

#include "compiler/vta/code.h"

namespace tessera::vta {

// What compiler/runtime/vta.h expands. Requires that Check lets the program pass.
//
//   program      = 2 uop_limit uop_depth field*17 load_uop idle finish
//                  allocations allocation* constants constant* node*
//   field        = position bits                  in the order of FieldPlaces
//   load_uop, idle, finish, instruction = low high  a word whose fields to fill in are 0
//   allocation   = first_tile tiles copies
//   constant     = bytes word*                    eight bytes a word, the last filled up by zeros
//   node         = 0 turns words node*            a loop; `words` of nodes inside
//                | 1 engine move                  a load; by the load engine 0, by compute 1
//                | 2 move                         a store
//                | 3 instruction pattern loops (turns dst src wgt)* places place*
//   move         = instruction log_tile_bytes place buffer tile span span stride
//                                                 tile: value; spans: rows, columns
//                                                 buffer: below 0 of constants, −1 is the first
//   span         = first count limit              first: value
//   place        = allocation copy offset         copy, offset: values
//   value        = constant terms (loop divisor extent coefficient)*
//
// `idle` is a product of no steps, which only passes tokens on. A node 3 is a product or an
// operation on accumulators: `loops` are those that become micro-ops, `pattern` numbers their
// kinds, places are dst and, where they are used, src and wgt.
std::vector<int64_t> Assemble(const Code& code);

}  // namespace tessera::vta
