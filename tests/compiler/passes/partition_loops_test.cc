#include "compiler/passes/partition_loops.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"

namespace tessera::passes {
namespace {

// for i in [0, 16): a padded element, and `others` stores without tests.
ir::Stmt Loop(int64_t others) {
  const ir::Buffer in = ir::MakeBuffer("in", ir::Float(32), {15});
  const ir::Buffer out = ir::MakeBuffer("out", ir::Float(32), {1 + others});
  const ir::VarRef i = ir::MakeVar("i");
  std::vector<ir::Stmt> stores = {ir::MakeStore(
      out, {ir::Expr(0)},
      ir::MakeSelect(ir::Lt(ir::Expr(0), i), ir::MakeLoad(in, {ir::Expr(i) - ir::Expr(1)}),
                     ir::Zero(ir::Float(32))))};
  const ir::VarRef j = ir::MakeVar("j");
  stores.push_back(
      ir::MakeFor(j, 0, others,
                  ir::MakeStore(out, {ir::Expr(j) + ir::Expr(1)}, ir::MakeFloat(ir::Float(32), 1)),
                  ir::LoopKind::kUnrolled));
  return ir::Simplify(ir::MakeFor(i, 0, 16, ir::MakeBlock(std::move(stores))),
                      ir::IndexFacts::kLoops);
}

int CountSelects(const ir::Stmt& root) {
  class Counter final : public ir::Visitor {
   public:
    int count = 0;

   private:
    void VisitSelect(const ir::Select& node) override {
      ++count;
      ir::Visitor::VisitSelect(node);
    }
  };
  Counter counter;
  counter.Visit(root);
  return counter.count;
}

TEST_CASE("a loop is cut where a test of its variable becomes certain", "[passes]") {
  REQUIRE(CountSelects(Loop(3)) == 1);
  CHECK(CountSelects(PartitionLoops(Loop(3))) == 0);
}

TEST_CASE("a large body is not copied for the sake of a test in a small part of it", "[passes]") {
  CHECK(CountSelects(PartitionLoops(Loop(40))) == 1);
}

}  // namespace
}  // namespace tessera::passes
