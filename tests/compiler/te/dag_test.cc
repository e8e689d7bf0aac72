#include "compiler/te/dag.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/rng.h"
#include "compiler/ir/verify.h"
#include "compiler/te/dag_builder.h"
#include "compiler/te/reference.h"
#include "tests/compiler/te/plain_loops.h"
#include "tests/compiler/te/run.h"
#include "tests/support/workloads.h"

namespace tessera::te {
namespace {

Workload Parsed(const std::string& text) {
  absl::StatusOr<Workload> workload = ParseWorkload(text);
  CAPTURE(text);
  INFO(workload.status().ToString());
  REQUIRE(workload.ok());
  return *std::move(workload);
}

void CheckRefused(const std::string& text, const std::string& reason) {
  const auto workload = ParseWorkload(text);
  CAPTURE(text);
  INFO(workload.status().ToString());
  CHECK_FALSE(workload.ok());
  CHECK(workload.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(workload.status().ToString().find(reason) != std::string::npos);
}

const char* const kSum =
    "workload rows\n"
    "input X: f32[4,8]\n"
    "stage total: f32[m:4] = sum[n:8] (X[m, n])\n"
    "output total\n";

std::string With(const std::string& from, const std::string& to) {
  const std::string text = absl::StrReplaceAll(kSum, {{from, to}});
  REQUIRE(text != kSum);
  return text;
}

std::string Mutated(std::string text, Rng& rng) {
  static constexpr std::string_view kAlphabet = "[](),:;=<>%/*+-!.\"\\ \n09a_Xnf";
  for (int64_t i = rng.Between(1, 3); i > 0 && !text.empty(); --i) {
    const size_t at = rng.Below(text.size());
    switch (rng.Below(12)) {
      case 0:
        text.erase(at, 1 + rng.Below(3));
        break;
      case 1:
        text.insert(at, 1, kAlphabet[rng.Below(kAlphabet.size())]);
        break;
      case 2:
        text[at] = kAlphabet[rng.Below(kAlphabet.size())];
        break;
      case 3:
        text[at] = static_cast<char>(rng.Below(256));
        break;
      case 4:
        text.insert(at, text.substr(rng.Below(text.size()), rng.Below(40)));
        break;
      case 5:
        text.insert(at, std::to_string(rng.Next() >> rng.Below(64)));
        break;
      default: {  // another number or operator, which may mean something
        const size_t next = text.find_first_of("0123456789+-*<%", at);
        if (next != std::string::npos) text[next] = "0123456789+-*<%"[rng.Below(15)];
      }
    }
  }
  return text;
}

}  // namespace

TEST_CASE("every operator's workload passes the verifiers", "[te]") {
  for (const OpSpec& spec : TestWorkloads()) {
    CAPTURE(spec.name);
    const Workload workload = Make(spec);
    const absl::Status status = Verify(workload.dag);
    INFO(status.ToString());
    CHECK(status.ok());
  }
}

TEST_CASE("printed workloads read back to the same workload", "[te]") {
  for (const OpSpec& spec : TestWorkloads()) {
    const Workload workload = Make(spec);
    const std::string text = Print(workload);
    const Workload back = Parsed(text);
    CHECK(Print(back) == text);
    CHECK(back.name == workload.name);
    CHECK(StructuralHash(back.dag) == StructuralHash(workload.dag));
    CHECK(ExecutedOperations(back.dag) == ExecutedOperations(workload.dag));
    CHECK(MinimumTrafficBytes(back.dag) == MinimumTrafficBytes(workload.dag));
    for (size_t i = 0; i < back.dag.stages.size(); ++i) {
      CHECK(back.dag.stages[i].output()->scope == workload.dag.stages[i].output()->scope);
    }
  }
}

TEST_CASE("the text of a workload has one definition a line", "[te]") {
  const Workload workload = Make({"C12",
                                  "conv2d",
                                  {{"ic", "8"},
                                   {"oc", "16"},
                                   {"size", "7"},
                                   {"k", "3"},
                                   {"pad", "1"},
                                   {"relu", "true"},
                                   {"layout", "any"}}});
  CHECK(Print(workload) ==
        "workload c12\n"
        "input X: f32[1,8,7,7] blocked(1)\n"
        "const W: f32[16,8,3,3] free\n"
        "stage pad: f32[n:1, c:8, h:9, w:9] = select(1 <= h && h < 8 && 1 <= w && w < 8, "
        "X[n, c, h - 1, w - 1], 0.0)\n"
        "stage conv: f32[n:1, oc:16, oh:7, ow:7] = sum[ic:8, kh:3, kw:3] "
        "(pad[n, ic, oh + kh, ow + kw] * W[oc, ic, kh, kw])\n"
        "stage relu: f32[n:1, oc:16, oh:7, ow:7] blocked(1) = max(conv[n, oc, oh, ow], 0.0)\n"
        "output relu\n");
}

TEST_CASE("a direct sum says so in the text and in the identity", "[te]") {
  const OpSpec any{"c", "conv2d", {{"ic", "8"}, {"oc", "8"}, {"size", "9"}, {"k", "3"}}};
  OpSpec direct = any;
  direct.attributes["algorithm"] = "direct";
  const std::string text = Print(Make(direct));
  CHECK(text.find(" = direct sum[ic:8,") != std::string::npos);
  CHECK(Print(Make(any)).find("direct") == std::string::npos);
  CHECK(Parsed(text).dag.stages.back().direct);
  CHECK(Print(Parsed(text)) == text);
  CHECK(StructuralHash(Make(direct).dag) != StructuralHash(Make(any).dag));
  const Workload tensor = Parsed(
      "workload t\ninput direct: f32[4]\nstage twice: f32[m:4] = direct[m] + direct[m]\n"
      "output twice\n");
  CHECK_FALSE(tensor.dag.stages[0].direct);
  CHECK(ParseWorkload("workload t\ninput X: f32[4,4]\n"
                      "stage most: f32[m:4] = direct max[k:4] (X[m, k])\noutput most\n")
            .status()
            .message() == "stage most is direct; only sums can be");
}

TEST_CASE("identity ignores names and nothing else", "[te]") {
  const uint64_t hash = StructuralHash(Parsed(kSum).dag);
  CHECK(StructuralHash(Parsed(With("rows", "other")).dag) == hash);
  CHECK(StructuralHash(Parsed(With("total", "result")).dag) == hash);
  CHECK(StructuralHash(Parsed(With("X", "Data")).dag) == hash);
  CHECK(StructuralHash(Parsed(With("[m", "[row")).dag) == hash);
  std::set<uint64_t> hashes{hash};
  for (const std::string& text :
       {With("sum[", "max["), With("8", "9"), With("input", "const"), With("f32", "f64"),
        With("[4,8]", "[4,8] layout(1 0)"), With("[4,8]", "[4,8] blocked(1)"),
        With("[m:4]", "[m:4] blocked(0)"), With("X[m, n]", "X[m, n] * X[m, n]")}) {
    CHECK(hashes.insert(StructuralHash(Parsed(text).dag)).second);
  }
  for (const OpSpec& spec : TestWorkloads()) {
    CAPTURE(spec.name);
    CHECK(hashes.insert(StructuralHash(Make(spec).dag)).second);
  }
}

TEST_CASE("malformed workloads are refused with line and column", "[te]") {
  CheckRefused("", "output line is missing");
  CheckRefused("stage x", "line 1, column 1: expected \"workload\"");
  CheckRefused(With("rows", "Rows"), "line 1, column 10");
  CheckRefused(With("X: f32", "X: f31"), "line 2, column 10");
  CheckRefused(With("[4,8]", "[4,0]"), "line 2, column 17: extent 0");
  CheckRefused(With("[4,8]", "[4,99999999999999999999]"), "line 2, column 16: expected a whole");
  CheckRefused(With("[4,8]", "[1099511627776,8]"), "has more than 2^40 elements");
  CheckRefused(With("n:8", "n:8, k:1099511627776, l:1099511627776"), "more than 2^56 points");
  CheckRefused(With("(X", "(Y"), "line 3, column 36: buffer \"Y\"");
  CheckRefused(With("X[m, n]", "X[m, n] +"), "line 3");
  CheckRefused(With("X[m, n]", "X[m]"), "stage total reads X with 1 indices; it has 2");
  CheckRefused(With("X[m, n]", "X[m, n], X[m, n]"), "2 bodies; sum takes 1");
  CheckRefused(With("X[m, n]", "X[m, n + 1]"), "");
  CheckRefused(With("X[m, n]", "total[m]"), "line 3");
  CheckRefused(With("sum[n:8]", "sum[m:8]"), "axis m appears twice");
  CheckRefused(With("n:8] (X[m, n])", "X:4] (X[m, 0])"), "axis X is named like a tensor");
  CheckRefused(With("output total", "output totals"), "line 4, column 14: no stage totals");
  CheckRefused(With("output total", "output X"), "output X is not a stage's");
  CheckRefused(With("output total\n", "output total\ninput Y: f32[1]\n"), "has to be the last");
  CheckRefused(With("[4,8]", "[4,8] free"), "free layout is for constants");
  CheckRefused(With("[4,8]", "[4,8] blocked(2)"), "blocked axis 2 is not one of 2");
  CheckRefused(With("[4,8]", "[4,8] layout(0)"), "line 2, column 19: layout");
  CheckRefused(With("output", "stage extra: f32[m:4] = total[m]\noutput"),
               "neither an output nor read");
  CheckRefused(With("f32[m:4]", "i32[m:4]"), "stage total of i32 has a body of f32");
}

TEST_CASE("more stages than the limit are refused", "[te]") {
  const auto chain = [](int count) {
    std::string text = "workload chain\ninput s0: f32[8]\n";
    for (int i = 1; i <= count; ++i) {
      absl::StrAppend(&text, "stage s", i, ": f32[x:8] = s", i - 1, "[x] + 1.0\n");
    }
    return absl::StrCat(text, "output s", count, "\n");
  };
  CHECK(Parsed(chain(512)).dag.stages.size() == 512);
  CheckRefused(chain(513), "more than 512 stages");
}

TEST_CASE("expressions of any depth are refused or handled, never a crash", "[te]") {
  for (const char* piece : {"(", "-", "!", "X[m, n] + ", "X[m, X[m, ", "select(", "n + "}) {
    for (const int count : {100, 5000, 200000}) {
      std::string body;
      for (int i = 0; i < count; ++i) body += piece;
      const auto workload = ParseWorkload(With("X[m, n]", body + "X[m, n]"));
      if (workload.ok()) ExecutedOperations(workload->dag);
    }
  }
}

TEST_CASE("mutated workload texts never crash, and what is accepted is consistent", "[te][fuzz]") {
  std::vector<std::string> texts;
  for (const OpSpec& spec : TestWorkloads()) texts.push_back(Print(Make(spec)));
  const uint64_t seed = 20240611;
  CAPTURE(seed);
  Rng rng(seed);
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = Mutated(texts[rng.Below(texts.size())], rng);
    const auto workload = ParseWorkload(text);
    if (!workload.ok()) continue;
    ++accepted;
    CAPTURE(i, text);
    REQUIRE(ExecutedOperations(workload->dag) >= 0);
    MinimumTrafficBytes(workload->dag);
    OutputTolerance(workload->dag, 0);
    (void)SampleReference(*workload, seed, 2, /*max_operations=*/20'000);
    const auto back = ParseWorkload(Print(*workload));
    INFO(back.status().ToString());
    REQUIRE(back.ok());
    REQUIRE(StructuralHash(back->dag) == StructuralHash(workload->dag));
  }
  CAPTURE(accepted);
  CHECK(accepted > 1000);
}

TEST_CASE("executed operations are those of plain loops that skip padding", "[te]") {
  for (const OpSpec& spec : TestWorkloads()) {
    CAPTURE(spec.name);
    const Workload workload = Make(spec);
    const Run run = RunReference(workload, 3);
    CHECK(ExecutedOperations(workload.dag) == PlainLoops(spec, run.inputs).operations);
  }
}

TEST_CASE("executed operations of random convolutions are those of plain loops", "[te]") {
  const uint64_t seed = 99;
  Rng rng(seed);
  for (int i = 0; i < 200; ++i) {
    const int64_t k = rng.Between(1, 5);
    const auto text = [&rng](int64_t low, int64_t high) {
      return std::to_string(rng.Between(low, high));
    };
    const OpSpec spec{"random",
                      "conv2d",
                      {{"ic", text(1, 2)},
                       {"oc", text(1, 2)},
                       {"h", text(4, 9)},
                       {"w", text(4, 9)},
                       {"kh", std::to_string(k)},
                       {"kw", text(1, 4)},
                       {"stride", text(1, 3)},
                       {"pad", text(0, 4)},
                       {"dilation", text(1, 2)}}};
    const auto workload = MakeWorkload(spec);
    if (!workload.ok()) continue;
    CAPTURE(seed, i, Print(*workload));
    const std::vector<Tensor> inputs(2, Tensor(2000, 1.0));
    REQUIRE(ExecutedOperations(workload->dag) == PlainLoops(spec, inputs).operations);
  }
}

TEST_CASE("executed operations of random transposed convolutions are those of plain loops",
          "[te]") {
  const uint64_t seed = 77;
  Rng rng(seed);
  int built = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string k = std::to_string(rng.Between(1, 6));
    const OpSpec spec{"random",
                      "t2d",
                      {{"ic", std::to_string(rng.Between(1, 2))},
                       {"oc", std::to_string(rng.Between(1, 2))},
                       {"h", std::to_string(rng.Between(1, 9))},
                       {"w", std::to_string(rng.Between(1, 9))},
                       {"k", k},
                       {"stride", std::to_string(rng.Between(1, 4))},
                       {"pad", std::to_string(rng.Between(0, 3))}}};
    const auto workload = MakeWorkload(spec);
    if (!workload.ok()) continue;
    ++built;
    CAPTURE(seed, i, Print(*workload));
    const std::vector<Tensor> inputs(2, Tensor(2000, 1.0));
    REQUIRE(ExecutedOperations(workload->dag) == PlainLoops(spec, inputs).operations);
  }
  CHECK(built > 100);
}

TEST_CASE("executed operations of ResNet-18's C12 count 19 x 19 taps", "[te]") {
  const Workload workload = Make({"C12",
                                  "conv2d",
                                  {{"ic", "512"},
                                   {"oc", "512"},
                                   {"size", "7"},
                                   {"k", "3"},
                                   {"pad", "1"},
                                   {"bias", "true"},
                                   {"relu", "true"},
                                   {"layout", "any"}}});
  CHECK(ExecutedOperations(workload.dag) ==
        int64_t{2} * 512 * 512 * 19 * 19 + int64_t{2} * 512 * 7 * 7);
  CHECK(MinimumTrafficBytes(workload.dag) ==
        int64_t{4} * (512 * 49 + 512 * 512 * 9 + 512 + 512 * 49));
}

TEST_CASE("executed operations of huge shapes are found at once", "[te]") {
  const Workload line =
      Make({"line",
            "conv1d",
            {{"ic", "1"}, {"oc", "1"}, {"w", "1000000000"}, {"k", "3"}, {"pad", "1"}}});
  CHECK(ExecutedOperations(line.dag) == 2 * (int64_t{3} * 1'000'000'000 - 2));
  const Workload square =
      Make({"square", "matmul", {{"m", "262144"}, {"n", "262144"}, {"k", "262144"}}});
  CHECK(ExecutedOperations(square.dag) == int64_t{2} << 54);
}

TEST_CASE("executed operations of a long chain of selections are found at once", "[te]") {
  // Of 64 parts of three elements each, every other of which is doubled.
  DagBuilder builder;
  const ir::Buffer x = builder.Input("x", ir::Float(32), {{"n", 192}});
  const ir::Buffer y =
      builder.Compute("y", ir::Float(32), {{"n", 192}}, [&](const std::vector<ir::Expr>& axes) {
        ir::Expr value = ir::MakeLoad(x, axes);
        for (int64_t part = 64; part-- > 0;) {
          const ir::Expr load = ir::MakeLoad(x, axes);
          value = ir::MakeSelect(ir::Lt(axes[0], ir::Expr(3 * (part + 1))),
                                 part % 2 == 0 ? load + load : load, value);
        }
        return value;
      });
  const auto workload = std::move(builder).Finish({y});
  REQUIRE(workload.ok());
  CHECK(ExecutedOperations(workload->dag) == 32 * 3);
}

TEST_CASE("combined tuples keep the earlier index of equal values", "[te]") {
  const Workload workload = Parsed(
      "workload first\n"
      "input X: i8[1,6]\n"
      "stage value: i8[m:1], index: i32 = argmax[n:6] (X[m, n] / 100:i8, cast(i32, n))\n"
      "output index, value\n");
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const Run run = RunReference(workload, seed);
    const Tensor& x = run.inputs[0];
    const auto first = std::find_if(x.begin(), x.end(), [](double v) { return v >= 0; });
    const double expected = first == x.end() ? 0 : static_cast<double>(first - x.begin());
    CHECK(run.outputs[0][0] == expected);
  }
}

}  // namespace tessera::te
