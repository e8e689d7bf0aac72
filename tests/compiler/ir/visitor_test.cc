#include "compiler/ir/visitor.h"

#include <catch2/catch.hpp>

namespace tessera::ir {
namespace {

TEST_CASE("each occurrence of a kind of node is met, outer ones first", "[ir]") {
  const Buffer table = MakeBuffer("table", Float(32), {8});
  const Buffer index = MakeBuffer("index", Index(), {8});
  const Buffer out = MakeBuffer("out", Float(32), {8});
  const VarRef i = MakeVar("i");
  const Expr gathered = MakeLoad(table, {MakeLoad(index, {i})});
  const Stmt loop = MakeFor(i, 0, 8, MakeStore(out, {i}, gathered * gathered));

  std::vector<std::string> loads;
  ForEach<Load>(loop, [&](const Load& load) { loads.push_back(load.buffer->name); });
  CHECK(loads == std::vector<std::string>{"table", "index", "table", "index"});
  int stores = 0, allocations = 0;
  ForEach<Store>(loop, [&](const Store&) { ++stores; });
  ForEach<Allocate>(loop, [&](const Allocate&) { ++allocations; });
  CHECK(stores == 1);
  CHECK(allocations == 0);
  int variables = 0;
  ForEach<Var>(gathered, [&](const Var& var) { variables += &var == i.get() ? 1 : 0; });
  CHECK(variables == 1);
}

}  // namespace
}  // namespace tessera::ir
