#include "compiler/ir/verify.h"

#include <catch2/catch.hpp>

#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "random_program.h"

namespace tessera::ir {
namespace {

absl::Status VerifyBody(const std::string& body) {
  const auto program =
      ParseProgram("program p(A: f32[64], M: f32[8, 8], I: i64[4], O: f32[64]) {" + body + "}");
  INFO(body);
  REQUIRE(program.status() == absl::OkStatus());
  return Verify(*program);
}

TEST_CASE("accesses that conditions keep inside are accepted", "[ir][verify]") {
  const char* bodies[] = {
      "for i in [0, 64) { O[i] = A[63 - i] }",
      "for i in [0, 5) { for j in [0, 16) { if i * 16 + j < 64 { O[i * 16 + j] = 1.0 } } }",
      "for i in [0, 8) { for k in [0, 3) { O[i] = select(1 <= i + k && i + k < 9, M[i + k - 1, k], "
      "0.0) } }",
      "for i in [0, 5) { O[ramp(i * 15, 1, 16); ramp(i * 15, 1, 16) < broadcast(64, 16)] = "
      "broadcast(1.0, 16) }",
      "for f in [0, 100) { if f / 8 < 8 { M[f / 8, f % 8] = 1.0 } }",
      "for f in [0, 100) { if f / 8 < 8 { O[f] = 1.0 } }",
      "for i in [0, 80) { if i < 70 { } else { } if 64 <= i { } else { O[i] = 1.0 } }",
      "for i in [0, 4) { O[I[i]] = 1.0 }",
      "for i in [0, 4) { for j in [0, 8) { M[i * 2, j] = 1.0 } }",
      "for i in [0, 8) { if 100 < i { O[i + 100] = 1.0 } }",
      "for i in [0, 4) { O[i] = 1.0 } for i in [0, 4) { O[i] = 1.0 }",
  };
  for (const char* body : bodies) {
    CAPTURE(body);
    CHECK(VerifyBody(body) == absl::OkStatus());
  }
}

struct Faulty {
  const char* body;
  const char* message;
};

TEST_CASE("accesses that leave their buffer are refused with the place", "[ir][verify]") {
  const Faulty cases[] = {
      {"for i in [0, 65) { O[i] = 1.0 }", "index i of O leaves 0..63 at i=64"},
      {"for i in [0, 8) { O[i - 1] = 1.0 }", "at i=0, where it is -1"},
      {"for i in [0, 5) { for j in [0, 16) { if i * 16 + j < 66 { O[i * 16 + j] = 1.0 } } }",
       "at i=4, j=0, where it is 64"},
      {"for i in [0, 9) { O[0] = M[i, 0] }", "index i of M leaves 0..7"},
      {"O[0] = select(true, A[64], A[0])", "index 64 of A leaves 0..63"},
      {"for i in [0, 5) { O[ramp(i * 15, 1, 16); ramp(i * 15, 1, 16) < broadcast(65, 16)] = "
       "broadcast(1.0, 16) }",
       "lane 4, where it is 64"},
      {"O[1, 2] = 1.0", "1 dimensions has 2 indices"},
      {"for i in [0, 0) { O[i] = 1.0 }", "extent 0 is not positive"},
      {"O[0] = cast(f32, I[0] / 0)", "division by the constant 0"},
      {"O[0] = call(f32, \"reduce_add\", A[0])", "it combines the lanes of one vector"},
      {"O[0] = call(f32, \"reduce_max\", I[ramp(0, 1, 4)])", "of that element type"},
      {"O[ramp(0, 1, 6)] = call(f32x6, \"interleave\", A[ramp(0, 1, 2)], A[ramp(2, 1, 2)], "
       "A[ramp(4, 1, 2)])",
       "two or four values of one type"},
      {"async_copy(t, O[60], A[0], 5)", "index 60 of O leaves 0..59"},
  };
  for (const Faulty& faulty : cases) {
    CAPTURE(faulty.body);
    const absl::Status status = VerifyBody(faulty.body);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    const std::string message(status.message());
    CAPTURE(message);
    CHECK(message.find(faulty.message) != std::string::npos);
  }
}

TEST_CASE("variables and buffers out of scope are refused", "[ir][verify]") {
  const Buffer out = MakeBuffer("O", Float(32), {8}),
               local = MakeBuffer("t", Float(32), {8}, Scope::kLocal);
  const VarRef i = MakeVar("i");
  const auto verify = [&](const Stmt& body) {
    return std::string(Verify({"p", {out}, body}).message());
  };
  const Expr one = MakeFloat(Float(32), 1);
  CHECK(verify(MakeStore(out, {Expr(i)}, one)).find("variable i is not bound here") !=
        std::string::npos);
  CHECK(verify(MakeStore(local, {Expr(0)}, one)).find("neither a parameter nor allocated") !=
        std::string::npos);
  const Stmt store = MakeStore(out, {Expr(i)}, one);
  CHECK(verify(MakeFor(i, 0, 2, MakeFor(i, 0, 2, store))).find("bound again") != std::string::npos);
  CHECK(verify(MakeBlock({MakeAllocate(local, MakeStore(local, {Expr(0)}, one)),
                          MakeStore(local, {Expr(0)}, one)}))
            .find("buffer t is neither") != std::string::npos);
  CHECK(verify(MakeBlock({MakeFor(i, 0, 2, store), MakeFor(i, 0, 2, store)})).empty());
}

TEST_CASE("random programs that run verify", "[ir][verify][property]") {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    const Program program = testing::RandomProgram(seed);
    CAPTURE(Print(program));
    REQUIRE(Verify(program) == absl::OkStatus());
  }
}

}  // namespace
}  // namespace tessera::ir
