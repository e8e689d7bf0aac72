#include "compiler/passes/unroll_loops.h"

#include <limits>

#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/lowering_limits.h"

namespace tessera::passes {
namespace {

// Stores after unrolling.
class StoreCounter final : public ir::Visitor {
 public:
  int64_t count = 0;

 private:
  void VisitFor(const ir::For& loop) override {
    const int64_t before = count;
    ir::Visitor::VisitFor(loop);
    if (loop.loop_kind == ir::LoopKind::kUnrolled) {
      int64_t copies = 0;
      const bool huge = __builtin_mul_overflow(count - before, loop.extent, &copies) ||
                        __builtin_add_overflow(before, copies, &count);
      if (huge) count = std::numeric_limits<int64_t>::max();
    }
  }
  void VisitStore(const ir::Store&) override {
    if (count < std::numeric_limits<int64_t>::max()) ++count;
  }
};

class Unroller final : public ir::Mutator {
 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    if (loop.loop_kind != ir::LoopKind::kUnrolled) return ir::Mutator::MutateFor(loop, self);
    const ir::Stmt body = Mutate(loop.body);
    std::vector<ir::Stmt> copies;
    for (int64_t i = 0; i < loop.extent; ++i) {
      copies.push_back(ir::Substitute(body, loop.var, ir::Expr(loop.min + i)));
    }
    return ir::MakeBlock(std::move(copies));
  }
};

}  // namespace

int64_t CountUnrolledStores(const ir::Stmt& root) {
  StoreCounter counter;
  counter.Visit(root);
  return counter.count;
}

absl::StatusOr<ir::Stmt> UnrollLoops(const ir::Stmt& root) {
  const int64_t count = CountUnrolledStores(root);
  if (count > schedule::kMaxUnrolledStores) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unrolling gives ", count, " stores; the limit is ", schedule::kMaxUnrolledStores));
  }
  return Unroller().Mutate(root);
}

}  // namespace tessera::passes
