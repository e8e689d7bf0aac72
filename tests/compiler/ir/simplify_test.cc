#include "compiler/ir/simplify.h"

#include <catch2/catch.hpp>

#include "compiler/ir/evaluate.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "compiler/ir/structural_hash.h"
#include "random_program.h"

namespace tessera::ir {
namespace {

// Variables by name with ranges; u has none.
struct Fixture {
  ParseScope scope;
  Ranges ranges;

  Fixture() {
    Add("oc_o", 0, 7);
    Add("oc_i", 0, 63);
    Add("oh", 0, 55);
    Add("ow", 0, 55);
    Add("kh", 0, 2);
    Add("kw", 0, 2);
    Add("one", 1, 1);
    Add("f", 0, 447);
    Add("s", -8, 7);
    scope.vars["u"] = MakeVar("u");
    scope.buffers["A"] = MakeBuffer("A", Float(32), {1 << 20});
    scope.buffers["I"] = MakeBuffer("I", Int(64), {1 << 20});
  }
  void Add(const std::string& name, int64_t min, int64_t max) {
    const VarRef var = MakeVar(name);
    scope.vars[name] = var;
    ranges[var.get()] = {min, max};
  }
  Expr Read(const std::string& text) {
    auto e = ParseExpr(text, scope);
    INFO(text);
    REQUIRE(e.status() == absl::OkStatus());
    return *e;
  }
  std::string operator()(const std::string& text) { return Print(Simplify(Read(text), ranges)); }
};

TEST_CASE("sums join like terms in one order", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("oh + oh * 3 - oh") == "oh * 3");
  CHECK(simplify("kw + kh") == simplify("kh + kw"));
  CHECK(simplify("(oh + 3) * 4 - 12") == "oh * 4");
  CHECK(simplify("kw + oh * 64 + 2 + ow * 8 - 2") == "oh * 64 + ow * 8 + kw");
  CHECK(simplify("5 - oh") == "5 - oh");
  CHECK(simplify("oh - oh") == "0");
  CHECK(simplify("one * 7 + oh * one") == "oh + 7");
  CHECK(simplify("u * 3 + u - u * 4") == "0");
}

TEST_CASE("floor division and modulo resolve where ranges allow", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("(oc_o * 64 + oc_i) / 16") == "oc_o * 4 + oc_i / 16");
  CHECK(simplify("(oc_o * 64 + oc_i) % 16") == "oc_i % 16");
  CHECK(simplify("(oc_o * 64 + oc_i) / 64") == "oc_o");
  CHECK(simplify("(oc_o * 64 + oc_i) % 64") == "oc_i");
  CHECK(simplify("oc_i / 64") == "0");
  CHECK(simplify("oc_i % 64") == "oc_i");
  CHECK(simplify("(oh * 16 + kh + 16) / 16") == "oh + 1");
  CHECK(simplify("(oh * 16 + kh - 16) % 16") == "kh");
  CHECK(simplify("s / 16") == "s / 16");
  CHECK(simplify("(s + 8) / 16") == "0");
  CHECK(simplify("(s + 8) % 16") == "s + 8");
  CHECK(simplify("(oh * 6 + 1) / 4") == "oh + oh / 2");
  CHECK(simplify("(oh * 8) % 12") == "oh * 2 % 3 * 4");
  CHECK(simplify("oc_i / 4 / 8") == "oc_i / 32");
  CHECK(simplify("f % 32 % 8") == "f % 8");
  CHECK(simplify("f % 32 / 8") == "f / 8 % 4");
}

TEST_CASE("quotients leave out what stays within one multiple", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("(f * 64 + oc_i) / 128") == "f / 2");
  CHECK(simplify("(f * 64 + oc_i) % 128") == "f % 2 * 64 + oc_i");
  CHECK(simplify("(f * 128 + oh * 64 + oc_i + 128) / 192") == simplify("(f * 2 + oh + 2) / 3"));
  CHECK(simplify("(f * 32 + oc_i) / 128") == "(f * 32 + oc_i) / 128");
}

TEST_CASE("what a split took apart is joined again", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("f / 56 * 56 + f % 56") == "f");
  CHECK(simplify("f / 56 * 112 + f % 56 * 2") == "f * 2");
  CHECK(simplify("f / 8 % 4 * 8 + f % 8") == "f % 32");
  CHECK(simplify("f / 32 * 32 + (f / 8 % 4 * 8 + f % 8)") == "f");
}

TEST_CASE("nothing is assumed of a sum that may wrap", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("(u * 16 + kh) / 16") == "(u * 16 + kh) / 16");
  CHECK(simplify("u * 16 / 16") == "u * 16 / 16");
  CHECK(simplify("u < u + 1") == "u < u + 1");
  CHECK(simplify("(u * 16 + kh) % 16") == "kh % 16");
}

TEST_CASE("comparisons take one form and are decided by ranges", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("oh < 56") == "true");
  CHECK(simplify("56 <= oh") == "false");
  CHECK(simplify("0 <= oh * 2 + kh - 1") == "1 <= oh * 2 + kh");
  CHECK(simplify("0 <= oh * 2 + kh - 1") == simplify("1 < oh * 2 + kh + 1"));
  CHECK(simplify("oh * 2 + kh - 1 < 56") == "oh * 2 + kh < 57");
  CHECK(simplify("!(oh * 2 + kh < 57)") == "57 <= oh * 2 + kh");
  CHECK(simplify("oh * 4 < 18") == "oh < 5");
  CHECK(simplify("oh < ow") == simplify("oh + 1 <= ow"));
  CHECK(simplify("oh * 2 == 7") == "false");
  CHECK(simplify("oh * 2 == ow * 2") == "oh - ow == 0");
  CHECK(simplify("u == u") == "true");
}

TEST_CASE("conditions inform what they guard", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("select(oh < 16, oh / 16, 7)") == "select(oh < 16, 0, 7)");
  CHECK(simplify("select(1 <= oh * 2 + kh, max(oh * 2 + kh - 1, 0), 0)") ==
        "select(1 <= oh * 2 + kh, oh * 2 + kh - 1, 0)");
  CHECK(simplify("oh < 16 && oh < 20") == "oh < 16");
  CHECK(simplify("oh < 20 && oh < 16") == "oh < 16");
  CHECK(simplify("oh < 16 && 16 <= oh") == "false");
  CHECK(simplify("oh < 16 || 16 <= oh") == "true");
  CHECK(simplify("oh * 2 + kh < 20 && (3 <= oh * 2 + kh && oh * 2 + kh < 20)") ==
        "oh * 2 + kh < 20 && 3 <= oh * 2 + kh");
  CHECK(simplify("select(f / 56 < 2, f / 112, 5)") == "select(f / 56 < 2, 0, 5)");
}

TEST_CASE("minima and maxima are decided by ranges", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("min(oh, 100)") == "oh");
  CHECK(simplify("max(oh, oh + kh)") == "kh + oh");
  CHECK(simplify("min(min(oh, 20), 10)") == "min(oh, 10)");
  CHECK(simplify("min(10, oh)") == "min(oh, 10)");
}

TEST_CASE("vector index arithmetic stays a ramp", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("ramp(oh, 1, 16) + broadcast(ow, 16)") == "ramp(oh + ow, 1, 16)");
  CHECK(simplify("ramp(oh, 1, 16) * broadcast(4, 16)") == "ramp(oh * 4, 4, 16)");
  CHECK(simplify("broadcast(oh, 8) * broadcast(2, 8)") == "broadcast(oh * 2, 8)");
  CHECK(simplify("ramp(oc_o * 64, 1, 16) / broadcast(16, 16)") == "broadcast(oc_o * 4, 16)");
  CHECK(simplify("ramp(oc_o * 64 + 16, 1, 16) % broadcast(64, 16)") == "ramp(16, 1, 16)");
  CHECK(simplify("ramp(oh * 16, 1, 16) / broadcast(32, 16)") == "broadcast(oh / 2, 16)");
  CHECK(simplify("ramp(oh * 16, 1, 16) % broadcast(32, 16)") == "ramp(oh % 2 * 16, 1, 16)");
  CHECK(simplify("ramp(oh * 8 + 3, 2, 3) / broadcast(24, 3)") == "broadcast(oh / 3, 3)");
  CHECK(simplify("ramp(oh * 8 + 3, 2, 4) / broadcast(24, 4)") ==
        "ramp(oh * 4 + 1, 1, 4) / broadcast(12, 4)");
  CHECK(simplify("ramp(oh * 16, 1, 16) - ramp(0, 1, 16)") == "broadcast(oh * 16, 16)");
  CHECK(simplify("ramp(oh, 1, 4) < broadcast(100, 4)") == "broadcast(true, 4)");
  CHECK(simplify("ramp(oh, 2, 4) < broadcast(21, 4)") == "ramp(oh, 2, 4) < broadcast(21, 4)");
  CHECK(simplify("broadcast(oh, 4) < broadcast(21, 4)") == "broadcast(oh < 21, 4)");
  CHECK(simplify("broadcast(A[oh], 4) + broadcast(1.0, 4)") == "broadcast(A[oh] + 1.0, 4)");
}

TEST_CASE("floats change only where every value stays", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("A[oh] * 1.0") == "A[oh]");
  CHECK(simplify("A[oh] / 1.0") == "A[oh]");
  CHECK(simplify("A[oh] - 0.0") == "A[oh]");
  CHECK(simplify("A[oh] + 0.0") == "A[oh] + 0.0");
  CHECK(simplify("A[oh] * 0.0") == "A[oh] * 0.0");
  CHECK(simplify("A[oh] == A[oh]") == "A[oh] == A[oh]");
}

TEST_CASE("a read that is predicated off is zero", "[ir][simplify]") {
  Fixture simplify;
  CHECK(simplify("A[oh; 56 <= oh]") == "0.0");
  CHECK(simplify("A[oh; oh < 56]") == "A[oh]");
  CHECK(simplify("A[oh / 16; oh < 16]") == "A[0; oh < 16]");
}

std::string SimplifyBody(const std::string& body) {
  const auto program = ParseProgram("program p(A: f32[64], B: f32[64]) {" + body + "}");
  REQUIRE(program.status() == absl::OkStatus());
  return Print(Simplify(program->body));
}

TEST_CASE("statements lose dead branches, empty loops and loops of one", "[ir][simplify]") {
  CHECK(SimplifyBody("for i in [0, 4) { if i < 4 { A[i] = 1.0 } else { A[0] = 2.0 } }") ==
        "for i in [0, 4) {\n  A[i] = 1.0\n}\n");
  CHECK(SimplifyBody("for i in [0, 0) { A[i] = 1.0 }") == "");
  CHECK(SimplifyBody("for i in [3, 4) { A[i * 2] = 1.0 }") == "A[6] = 1.0\n");
  CHECK(SimplifyBody("for i in [0, 1) parallel { A[i] = 1.0 }") ==
        "for i in [0, 1) parallel {\n  A[0] = 1.0\n}\n");
  CHECK(SimplifyBody("for i in [0, 4) { if 9 < i { A[i] = 1.0 } }") == "");
  CHECK(SimplifyBody("for i in [0, 4) { if i < 2 { if i < 3 { A[i / 2] = 1.0 } } }") ==
        "for i in [0, 4) {\n  if i < 2 {\n    A[0] = 1.0\n  }\n}\n");
  CHECK(SimplifyBody("for i in [0, 4) { if i < 2 { } else { A[i] = 1.0 } }") ==
        "for i in [0, 4) {\n  if 2 <= i {\n    A[i] = 1.0\n  }\n}\n");
  CHECK(SimplifyBody("for i in [0, 4) { A[i; 9 <= i] = 1.0 B[i; i < 9] = 1.0 }") ==
        "for i in [0, 4) {\n  B[i] = 1.0\n}\n");
}

TEST_CASE("a simplified statement is the same node when nothing changed", "[ir][simplify]") {
  const auto program = ParseProgram(
      "program p(A: f32[64]) { for i in [0, 4) { for j in [0, 16) { A[i * 16 + j] = A[j] * 2.0 } } "
      "}");
  REQUIRE(program.ok());
  CHECK(Simplify(program->body).Same(program->body));
}

TEST_CASE("linear forms collect and write back", "[ir][simplify]") {
  Fixture fixture;
  const auto form = AsLinear(fixture.Read("(oh * 2 + kh - 1) * 8 + oh - kh * 8"));
  REQUIRE(form.has_value());
  CHECK(form->constant == -8);
  REQUIRE(form->terms.size() == 1);
  CHECK(form->terms[0].first->name == "oh");
  CHECK(form->terms[0].second == 17);
  CHECK(Print(FromLinear(*form)) == "oh * 17 + -8");
  CHECK(!AsLinear(fixture.Read("oh * kh")).has_value());
  CHECK(!AsLinear(fixture.Read("oh / 2")).has_value());
}

TEST_CASE("comparisons with a quotient multiply out", "[ir][simplify]") {
  const uint64_t seed = 11;
  Rng rng(seed);
  const VarRef x = MakeVar("x"), y = MakeVar("y");
  for (int i = 0; i < 300; ++i) {
    const int64_t divisor = rng.Between(1, 5), sign = rng.Chance(0.5) ? 1 : -1;
    const Expr quotient =
        (Expr(x) * Expr(rng.Between(1, 3)) + Expr(rng.Between(-4, 4))) / Expr(divisor) * Expr(sign);
    const Expr rest = Expr(y) * Expr(rng.Between(-3, 3)) + Expr(rng.Between(-5, 5));
    const Expr left = rng.Chance(0.5) ? quotient : rest, right = left.Same(rest) ? quotient : rest;
    const Expr condition = rng.Chance(0.5) ? Lt(left, right) : Le(left, right);
    CAPTURE(seed, i, Print(condition));
    const auto form = AsNonNegative(condition);
    REQUIRE(form.has_value());
    for (int64_t a = -7; a <= 7; ++a) {
      for (int64_t b = -3; b <= 3; ++b) {
        const Ranges at{{x.get(), {a, a}}, {y.get(), {b, b}}};
        const Expr holds = Simplify(condition, at);
        const Expr value = Simplify(FromLinear(*form), at);
        REQUIRE(AsConstInt(holds) != nullptr);
        REQUIRE(AsConstInt(value) != nullptr);
        REQUIRE((*AsConstInt(holds) != 0) == (*AsConstInt(value) >= 0));
      }
    }
  }
  CHECK(!AsNonNegative(Lt(Expr(x) / Expr(2), Expr(y) / Expr(2))).has_value());
  CHECK(!AsNonNegative(Lt(Expr(x) / Expr(2) * Expr(3), Expr(y))).has_value());
  CHECK(!AsNonNegative(Eq(Expr(x), Expr(y))).has_value());
}

TEST_CASE("Bound knows what it can't know", "[ir][simplify]") {
  Fixture fixture;
  const auto bound = [&](const std::string& text) {
    return Bound(fixture.Read(text), fixture.ranges);
  };
  CHECK(bound("oh * 2 + kh - 1") == Interval{-1, 111});
  CHECK(bound("oh - oh + 3") == Interval{3, 3});
  CHECK(bound("f / 56") == Interval{0, 7});
  CHECK(bound("f % 56") == Interval{0, 55});
  CHECK(bound("s % 4") == Interval{0, 3});
  CHECK(bound("ramp(oh, 2, 4)") == Interval{0, 61});
  CHECK(!bound("u").has_value());
  CHECK(!bound("I[0] + 1").has_value());
  CHECK(!bound("oh * 9223372036854775807").has_value());
}

// --- Properties.

double ElementOf(const std::vector<std::byte>& bytes, size_t i) {
  return ReadElement(Int(64), absl::MakeConstSpan(bytes), static_cast<int64_t>(i));
}

struct Compared {
  std::vector<std::byte> before, after;
};

// Both expressions at every point of the loops, lane by lane.
Compared EvaluateBoth(const std::vector<testing::RangedVar>& vars, const Expr& a, const Expr& b) {
  const int lanes = a.type().lanes;
  int64_t count = 1;
  Expr position(0);
  for (const auto& v : vars) {
    position = position * Expr(v.extent) + (Expr(v.var) - Expr(v.min));
    count *= v.extent;
  }
  const Buffer before = MakeBuffer("before", Int(64), {count * lanes});
  const Buffer after = MakeBuffer("after", Int(64), {count * lanes});
  const Expr index = lanes == 1 ? position : MakeRamp(position * Expr(lanes), 1, lanes);
  const auto as_index = [&](const Expr& e) { return MakeCast(Index().WithLanes(lanes), e); };
  Stmt body =
      MakeBlock({MakeStore(before, {index}, as_index(a)), MakeStore(after, {index}, as_index(b))});
  for (size_t i = vars.size(); i > 0; --i) {
    body = MakeFor(vars[i - 1].var, vars[i - 1].min, vars[i - 1].extent, body);
  }
  Compared result{std::vector<std::byte>(before->StoredBytes()),
                  std::vector<std::byte>(after->StoredBytes())};
  const absl::Span<std::byte> spans[] = {absl::MakeSpan(result.before),
                                         absl::MakeSpan(result.after)};
  REQUIRE(Evaluate({"both", {before, after}, body}, spans) == absl::OkStatus());
  return result;
}

TEST_CASE("random index expressions keep their values, and bounds hold them",
          "[ir][simplify][property]") {
  for (uint64_t seed = 0; seed < 8000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<testing::RangedVar> vars;
    Ranges ranges;
    const char* names[] = {"x", "y", "z"};
    for (const char* name : names) {
      const int64_t mins[] = {0, 0, 0, -5, 3};
      const int64_t extents[] = {1, 2, 3, 4, 8, 12};
      vars.push_back({MakeVar(name), mins[rng.Below(5)], extents[rng.Below(6)]});
      ranges[vars.back().var.get()] = {vars.back().min, vars.back().min + vars.back().extent - 1};
    }
    const int lanes = rng.Chance(0.4) ? 4 : 1;
    const Expr e = rng.Chance(0.25) ? testing::RandomCondition(rng, vars, 4, lanes)
                                    : testing::RandomIndex(rng, vars, 4, lanes);
    CAPTURE(Print(e));
    const Expr simple = Simplify(e, ranges);
    CAPTURE(Print(simple));
    REQUIRE(simple.type() == e.type());
    const Compared values = EvaluateBoth(vars, e, simple);
    REQUIRE(values.before == values.after);
    const Expr again = Simplify(simple, ranges);
    CAPTURE(Print(again));
    CHECK(Print(again) == Print(simple));
    for (const Expr& bounded : {e, simple}) {
      const auto bound = Bound(bounded, ranges);
      if (!bound) continue;
      for (size_t i = 0; i < values.before.size() / 8; ++i) {
        REQUIRE(ElementOf(values.before, i) >= static_cast<double>(bound->min));
        REQUIRE(ElementOf(values.before, i) <= static_cast<double>(bound->max));
      }
    }
  }
}

TEST_CASE("random programs compute the same after simplification", "[ir][simplify][property]") {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    const Program program = testing::RandomProgram(seed);
    const Program simple{program.name, program.params, Simplify(program.body)};
    CAPTURE(Print(program), Print(simple));
    std::vector<std::vector<std::byte>> a, b;
    for (const Buffer& param : program.params) {
      a.emplace_back(param->StoredBytes());
      for (int64_t i = 0; i < param->StoredElementCount(); ++i) {
        WriteElement(param->type, absl::MakeSpan(a.back()), i, static_cast<double>(i % 5) - 1);
      }
    }
    b = a;
    std::vector<absl::Span<std::byte>> first, second;
    for (auto& bytes : a) first.push_back(absl::MakeSpan(bytes));
    for (auto& bytes : b) second.push_back(absl::MakeSpan(bytes));
    REQUIRE(Evaluate(program, first) == absl::OkStatus());
    REQUIRE(Evaluate(simple, second) == absl::OkStatus());
    for (size_t p = 0; p < a.size(); ++p) {
      const BufferNode& param = *program.params[p];
      for (int64_t i = 0; i < param.StoredElementCount(); ++i) {
        const double x = ReadElement(param.type, a[p], i), y = ReadElement(param.type, b[p], i);
        if (x != y) REQUIRE((x != x && y != y));
      }
    }
  }
}

}  // namespace
}  // namespace tessera::ir
