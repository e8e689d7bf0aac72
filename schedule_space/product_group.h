#pragma once

#include <memory>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// Sums of products, each in the register tiles of MakeTileGroup, and stages that go along rows
// (MakeRowGroup) over their results: attention scores, recurrent cells.
struct ProductSpec {
  const schedule::Schedule* base = nullptr;  // after the structural steps; outlives the group
  struct Product {
    int reduce = -1;          // its accumulators, which
    int store = -1;           // this stage copies
    std::vector<int> copies;  // of operands
  };
  std::vector<Product> products;  // before all of the rows, in topological order
  std::vector<int> rows;          // the other stages
  // Of RowBlockAxis: everything is computed for one iteration of that axis's loop at a time. -1:
  // products are at the root.
  int block_axis = -1;
  int threads = 1;
};

std::unique_ptr<Group> MakeProductGroup(const ProductSpec& spec, const ir::Target& target);

}  // namespace tessera::space
