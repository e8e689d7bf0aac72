#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "compiler/ir/structural_hash.h"
#include "compiler/ir/verify.h"
#include "random_program.h"

namespace tessera::ir {
namespace {

TEST_CASE("the text of a program is read back to the same text", "[ir][print]") {
  const std::string text =
      R"(program matmul(A: f32[64, 32] through constant, B: f32[32, 64] through image free layout "1/16 0 1%16", C: f32[64, 64] blocked(1)) {
  for i in [0, 64) parallel {
    allocate acc: f32[16] local {
      for j in [0, 4) thread(block.x) {
        for v in [0, 16) vectorized {
          acc[v] = 0.0
        }
        for k in [0, 32) {
          acc[ramp(0, 1, 16)] = acc[ramp(0, 1, 16)] + broadcast(A[i, k], 16) * B[k, ramp(j * 16, 1, 16)]
        }
        if 0 <= j * 16 - i && !(i == 3) {
          stream C[i, ramp(j * 16, 1, 16); ramp(j, 1, 16) < broadcast(9, 16)] = acc[ramp(0, 1, 16)]
        } else {
          eval call(i32, "prefetch", A[i, 0])
          acc[0] = call(f32, "reduce_max", A[ramp(0, 1, 16), i])
        }
      }
    }
  }
}
)";
  const auto program = ParseProgram(text);
  REQUIRE(program.status() == absl::OkStatus());
  CHECK(Print(*program) == text);
}

TEST_CASE("random programs survive print and parse", "[ir][print]") {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    const Program program = testing::RandomProgram(seed);
    const std::string text = Print(program);
    CAPTURE(text);
    const auto read = ParseProgram(text);
    REQUIRE(read.status() == absl::OkStatus());
    REQUIRE(StructuralHash(*read) == StructuralHash(program));
    REQUIRE(StructurallyEqual(*read, program));
    REQUIRE(Print(*read) == text);
  }
}

TEST_CASE("float constants survive print and parse bit for bit", "[ir][print]") {
  Rng rng(17);
  for (const Type type : {Float(16), Float(32), Float(64), BFloat16()}) {
    for (int i = 0; i < 2000; ++i) {
      double value;
      const uint64_t bits = rng.Next();
      std::memcpy(&value, &bits, sizeof(value));
      if (rng.Chance(0.5))
        value = std::ldexp(rng.Uniform() - 0.5, static_cast<int>(rng.Between(-150, 130)));
      const Expr e = MakeFloat(type, value);
      CAPTURE(Print(e));
      const auto read = ParseExpr(Print(e), {});
      REQUIRE(read.status() == absl::OkStatus());
      const double a = e.As<FloatImm>()->value, b = read->As<FloatImm>()->value;
      REQUIRE(std::memcmp(&a, &b, sizeof(a)) == 0);
      REQUIRE(read->type() == type);
    }
  }
}

TEST_CASE("equal names of different nodes get suffixes", "[ir][print]") {
  const VarRef a = MakeVar("i"), b = MakeVar("i"), c = MakeVar("i_1");
  CHECK(Print(Expr(a) + Expr(b) + Expr(c) + Expr(a)) == "i + i_1 + i_1_1 + i");
}

TEST_CASE("parentheses stand only where they are needed", "[ir][print]") {
  const VarRef x = MakeVar("x"), y = MakeVar("y");
  CHECK(Print((Expr(x) + 1) * y) == "(x + 1) * y");
  CHECK(Print(Expr(x) + Expr(1) * y) == "x + 1 * y");
  CHECK(Print(Expr(x) - (Expr(y) - 1)) == "x - (y - 1)");
  CHECK(Print(Expr(x) - Expr(y) - 1) == "x - y - 1");
  CHECK(Print(Expr(x) - Expr(-3)) == "x - -3");
  CHECK(Print(And(Or(Lt(x, y), Eq(x, y)), Le(x, 4))) == "(x < y || x == y) && x <= 4");
}

struct BadText {
  const char* text;
  const char* message;
};

TEST_CASE("faults in text are told with line and column", "[ir][parse]") {
  const BadText cases[] = {
      {"", "line 1, column 1: expected \"program\", found the end"},
      {"program p() {\n  A[0] = 1.0\n}", "line 2, column 4: buffer \"A\" is not known here"},
      {"program p(A: f32[4]) {\n  A[i] = 1.0\n}", "variable \"i\" is not bound here"},
      {"program p(A: f32[4]) {\n  A[0] = 1\n}",
       "a value of type i64 is stored where f32 is wanted"},
      {"program p(A: f33[4]) {}", "type \"f33\" is unknown"},
      {"program p(A: f32[0]) {}", "extent 0"},
      {"program p(A: f32[9999999999, 9999999999]) {}", "2^40"},
      {"program p(A: f32[4], A: f32[4]) {}", "exists here already"},
      {"program p(A: f32[4] through plain) {}", "expected \"constant\" or \"image\""},
      {"program p(A: f32[4] layout \"0/3 0%2\") {}", "axis 0"},
      {"program p() { for i in [0, 4) { for i in [0, 4) {} } }", "bound here already"},
      {"program p() { for i in [4, 0) {} }", "has no extent"},
      {"program p() { for i in [0, 4) warped {} }", "expected \"{\", found \"warped\""},
      {"program p() { if 1 {} }", "a condition of type i64"},
      {"program p() { allocate a: f32[4] {} }", "needs a scope other than global"},
      {"program p() { async_wait(t) }", "no asynchronous copy before makes token"},
      {"program p(A: i8[4]) { A[0] = 300:i8 }", "does not fit i8"},
      {"program p(A: f32[4]) { A[0] = 1.0 + 1 }", "do not suit +"},
      {"program p(A: f32[4]) { A[0; 1] = 1.0 }", "a predicate of type i64"},
      {"program p() {} x", "expected the end"},
  };
  for (const BadText& bad : cases) {
    CAPTURE(bad.text);
    const auto program = ParseProgram(bad.text);
    REQUIRE(!program.ok());
    CHECK(program.status().code() == absl::StatusCode::kInvalidArgument);
    const std::string message(program.status().message());
    CAPTURE(message);
    CHECK(message.find(bad.message) != std::string::npos);
    CHECK(message.find("line ") == 0);
  }
}

TEST_CASE("deep nesting, long chains and long texts are refused", "[ir][parse]") {
  const auto refused = [](const std::string& text, const std::string& why) {
    const auto program = ParseProgram(text);
    REQUIRE(!program.ok());
    CHECK(std::string(program.status().message()).find(why) != std::string::npos);
  };
  const std::string head = "program p(A: i64[4]) { A[0] = ";
  refused(head + std::string(100000, '('), "nesting is deeper than 200");
  refused("program p() {" + std::string(100000, '{'), "expected a statement");
  std::string bangs = "program p(A: u1[4]) { A[0] = " + std::string(100000, '!');
  refused(bangs, "nesting is deeper than 200");
  std::string loops = "program p() {", chain = head + "A[0]";
  for (int i = 0; i < 5000; ++i) {
    loops += " if A[0] < 1 {";
    chain += " + A[0]";
  }
  refused("program p(A: i64[4]) {" + loops.substr(13), "nesting is deeper than 200");
  refused(chain, "higher than 1000 operations");
  refused(std::string((size_t{16} << 20) + 1, ' '), "over the limit of 16777216");
}

TEST_CASE("an expression is read in its scope", "[ir][parse]") {
  ParseScope scope;
  scope.vars["i"] = MakeVar("i");
  scope.buffers["A"] = MakeBuffer("A", Float(16), {8});
  const auto e = ParseExpr("exp(A[i * 2]) + 1.5:f16", scope);
  REQUIRE(e.status() == absl::OkStatus());
  CHECK(e->type() == Float(16));
  CHECK(Print(*e) == "exp(A[i * 2]) + 1.5:f16");
  CHECK(!ParseExpr("A[j]", scope).ok());
}

// Texts damaged in every way that comes cheap must come back as an error or a program, never as a
// crash, and what is accepted must print and be read again.
TEST_CASE("damaged texts do not crash the parser", "[ir][parse][fuzz]") {
  const uint64_t seed = 20240229;
  CAPTURE(seed);
  Rng rng(seed);
  std::vector<std::string> texts;
  for (uint64_t i = 0; i < 200; ++i) texts.push_back(Print(testing::RandomProgram(i)));
  const std::string_view pieces[] = {
      "(",   ")",   "[",          "]",           "{",
      "}",   "-",   "!",          "999",         "1.5",
      "x4",  "f32", "i1x4",       "0",           ";",
      ",",   "if ", "for ",       "else ",       "ramp(",
      "nan", "/ 0", ":",          "cast(",       "-9223372036854775808",
      "\"",  "\\",  "broadcast(", "shift_left(", "async_wait(",
      "\xff"};
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = texts[rng.Below(texts.size())];
    const int edits = static_cast<int>(rng.Between(1, 4));
    for (int edit = 0; edit < edits && !text.empty(); ++edit) {
      const size_t at = rng.Below(text.size());
      const size_t length = rng.Below(std::min<size_t>(text.size() - at, 30)) + 1;
      switch (rng.Below(6)) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, text.substr(rng.Below(text.size()), length));
          break;
        case 2:
          text[at] = static_cast<char>(rng.Below(256));
          break;
        case 3:
          text.resize(at);
          break;
        case 4:
          text.replace(at, 1, pieces[rng.Below(std::size(pieces))]);
          break;
        default: {
          const std::string& other = texts[rng.Below(texts.size())];
          text.insert(at, other.substr(rng.Below(other.size()), length));
        }
      }
    }
    const auto program = ParseProgram(text);
    if (!program.ok()) continue;
    ++accepted;
    CAPTURE(text);
    (void)Verify(*program);
    const auto again = ParseProgram(Print(*program));
    REQUIRE(again.status() == absl::OkStatus());
    REQUIRE(StructurallyEqual(*again, *program));
  }
  CHECK(accepted > 100);
}

}  // namespace
}  // namespace tessera::ir
