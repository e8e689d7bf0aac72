#include "compiler/ir/structural_hash.h"

#include <catch2/catch.hpp>

#include "base/hash.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/visitor.h"

namespace tessera::ir {
namespace {

Program Read(const std::string& text) {
  const auto program = ParseProgram(text);
  INFO(text);
  REQUIRE(program.status() == absl::OkStatus());
  return *program;
}

constexpr char kBase[] =
    "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }";

TEST_CASE("names of variables and buffers do not count", "[ir][hash]") {
  const Program a = Read(kBase);
  const Program b =
      Read("program p(X: f32[8], Y: f32[8]) { for n in [0, 8) { Y[n] = X[n] + 1.0 } }");
  CHECK(StructuralHash(a) == StructuralHash(b));
  CHECK(StructurallyEqual(a, b));
}

TEST_CASE("everything else counts", "[ir][hash]") {
  const char* others[] = {
      "program q(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { A[i] = O[i] + 1.0 } }",
      "program p(A: f32[9], O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8] free, O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8] through constant, O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8] through image, O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8] blocked(0), O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8] shared, O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } }",
      R"(program p(A: f32[8] layout "0/4 0%4", O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } })",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 7) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [1, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i: i32 in [0, 8) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) unrolled { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) thread(block.x) { O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 2.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = A[i] - 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = 1.0 + A[i] } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i; i < 4] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { stream O[i] = A[i] + 1.0 } }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { O[i] = A[i] + 1.0 } barrier(shared) }",
      "program p(A: f32[8], O: f32[8]) { for i in [0, 8) { if i < 4 { O[i] = A[i] + 1.0 } } }",
  };
  const Program base = Read(kBase);
  std::vector<uint64_t> hashes = {StructuralHash(base)};
  for (const char* text : others) {
    CAPTURE(text);
    const Program other = Read(text);
    CHECK(!StructurallyEqual(base, other));
    for (const uint64_t hash : hashes) CHECK(StructuralHash(other) != hash);
    hashes.push_back(StructuralHash(other));
  }
}

TEST_CASE("the structural hash is the same in every release", "[ir][hash]") {
  CHECK(HashToHex(StructuralHash(Read(kBase))) == "c7e4063c82338058");
}

TEST_CASE("a mutator that changes nothing returns the same nodes", "[ir][visitor]") {
  const Program program = Read(kBase);
  class Idle final : public Mutator {};
  CHECK(Idle().Mutate(program.body).Same(program.body));
}

TEST_CASE("substitution replaces a variable everywhere and folds", "[ir][visitor]") {
  const VarRef i = MakeVar("i");
  const Expr e = Expr(i) * 3 + i;
  CHECK(Uses(e, i));
  const Expr five = Substitute(e, {i}, {Expr(5)});
  REQUIRE(AsConstInt(five) != nullptr);
  CHECK(*AsConstInt(five) == 20);
  CHECK(!Uses(five, i));
}

TEST_CASE("a buffer is replaced in every kind of access", "[ir][visitor]") {
  const Program program =
      Read("program p(A: f32[8]) { A[0] = A[1] async_copy(t, A[0], A[4], 2) eval prefetch(A[3]) }");
  const Buffer other = MakeBuffer("other", Float(32), {8});
  const Stmt replaced = ReplaceBuffer(program.body, program.params[0], other);
  CHECK(StructuralHash({"p", {other}, replaced}) == StructuralHash(program));
}

}  // namespace
}  // namespace tessera::ir
