#include "compiler/passes/unroll_loops.h"

#include <catch2/catch.hpp>

namespace tessera::passes {
namespace {

// A store under `depth` unrolled loops of `extent`.
ir::Stmt UnrolledNest(int depth, int64_t extent) {
  const ir::Buffer out = ir::MakeBuffer("out", ir::Float(32), {1});
  ir::Stmt body = ir::MakeStore(out, {ir::Expr(0)}, ir::MakeFloat(ir::Float(32), 1));
  for (int i = 0; i < depth; ++i) {
    body = ir::MakeFor(ir::MakeVar("i"), 0, extent, body, ir::LoopKind::kUnrolled);
  }
  return body;
}

TEST_CASE("unrolling copies the body", "[passes]") {
  const auto unrolled = UnrollLoops(UnrolledNest(2, 3));
  REQUIRE(unrolled.ok());
  CHECK(CountUnrolledStores(*unrolled) == 9);
}

TEST_CASE("unrolling that passes 64 bits is refused, not wrapped around", "[passes]") {
  CHECK(absl::IsInvalidArgument(UnrollLoops(UnrolledNest(2, int64_t{1} << 32)).status()));
}

}  // namespace
}  // namespace tessera::passes
