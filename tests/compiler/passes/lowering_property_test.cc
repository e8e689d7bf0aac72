#include <catch2/catch.hpp>
#include <set>
#include <tuple>

#include "absl/strings/str_replace.h"
#include "base/view.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/instructions.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/random_dag.h"
#include "tests/support/random_trace.h"
#include "tests/support/random_workload.h"
#include "tests/support/reference_check.h"
#include "tests/support/workloads.h"

namespace tessera {
namespace {

absl::Status LowerAndCheck(const te::Workload& workload, const te::Expected& expected,
                           const schedule::Trace& trace) {
  TESSERA_ASSIGN_OR_RETURN(const te::Candidate candidate, passes::LowerTrace(workload, trace));
  TESSERA_RETURN_IF_ERROR(ir::Verify(candidate.program));
  if (candidate.preparation) TESSERA_RETURN_IF_ERROR(ir::Verify(*candidate.preparation));
  return te::CheckAgainst(workload, expected, candidate, ir::Evaluate);
}

TEST_CASE("default traces compute what the definitions say", "[passes]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CAPTURE(spec.name);
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 1);
    REQUIRE(expected.ok());
    for (int threads : {1, 2}) {
      ir::Target target = *ir::X86Target("avx2");
      target.max_threads = threads;
      const schedule::Trace trace = schedule::DefaultTrace(workload->dag, target).value();
      CAPTURE(schedule::Print(trace));
      CHECK(LowerAndCheck(*workload, *expected, trace) == absl::OkStatus());
    }
  }
}

TEST_CASE("outputs that lie on padding alone touch no other output", "[passes]") {
  const auto check = [](const te::OpSpec& spec, absl::string_view steps) {
    CAPTURE(te::ToText(spec), steps);
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 1);
    REQUIRE(expected.ok());
    const auto trace = schedule::ParseTrace(StdView(steps));
    REQUIRE(trace.ok());
    CHECK(LowerAndCheck(*workload, *expected, *trace) == absl::OkStatus());
  };
  // Rows 0 and 2 and columns 0 have no tap on the input: padding is as wide as the kernel.
  // The evaluator tells when an element of what relu reads is read before it is written.
  check({"padded",
         "conv2d",
         {{"ic", "2"},
          {"oc", "2"},
          {"h", "3"},
          {"w", "5"},
          {"k", "3"},
          {"pad", "3"},
          {"stride", "3"},
          {"relu", "true"}}},
        "trace 1\ninline pad\n");
  // A split that does not divide the rows, with its points unrolled: the test that ends it fixes
  // which rows are written.
  check({"padded",
         "depthwise_conv2d",
         {{"c", "2"},
          {"h", "6"},
          {"w", "6"},
          {"kh", "2"},
          {"kw", "5"},
          {"pad", "2"},
          {"stride", "3"},
          {"bias", "true"}}},
        "trace 1\ninline pad\ncache_write conv\nsplit conv.local oh 5 2\n"
        "reorder conv.local n oh.1 oh.2 c kw kh oh.0 ow\nunroll conv.local oh.2\n");
}

TEST_CASE("lanes of two vector loops go where the layout has them", "[passes]") {
  const auto workload = te::ParseWorkload(
      "workload mixed\ninput X: f32[2,8]\nstage P: f32[v:8, j:2] = X[j, v] * 2.0\n"
      "stage Z: f32[a:8, b:2] = P[a, b] + X[b, a]\noutput Z\n");
  REQUIRE(workload.ok());
  const auto expected = te::ComputeExpected(*workload, 1);
  REQUIRE(expected.ok());
  for (const char* layout : {"0 1", "0/2%2 0/4 0%2 1", "0%2 0/2 1"}) {
    CAPTURE(layout);
    const auto trace = schedule::ParseTrace(
        absl::StrCat("trace 1\nlayout P ", layout, "\nvectorize P v\nvectorize P j\n"));
    REQUIRE(trace.ok());
    CHECK(LowerAndCheck(*workload, *expected, *trace) == absl::OkStatus());
  }
}

// `traces` random ones of every operator, from seed `first_seed` on.
void CheckRandomTraces(uint64_t first_seed, uint64_t traces) {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 1);
    REQUIRE(expected.ok());
    for (uint64_t seed = first_seed; seed < first_seed + traces; ++seed) {
      const schedule::Trace trace =
          schedule::RandomTrace(workload->dag, Rng(seed).Fork(spec.name)).Draw();
      CAPTURE(spec.name, seed, schedule::Print(trace));
      CHECK(LowerAndCheck(*workload, *expected, trace) == absl::OkStatus());
    }
  }
}

// `traces` random ones of `workload` that begin with the steps `first`.
void CheckTraces(const te::Workload& workload, uint64_t seed, uint64_t traces,
                 const schedule::Trace& first) {
  const auto expected = te::ComputeExpected(workload, seed);
  REQUIRE(expected.ok());
  for (uint64_t t = 0; t < traces; ++t) {
    const schedule::Trace trace =
        schedule::RandomTrace(workload.dag, Rng(seed).Fork(absl::StrCat("trace ", t)))
            .After(first)
            .Draw();
    CAPTURE(t, schedule::Print(trace));
    CHECK(LowerAndCheck(workload, *expected, trace) == absl::OkStatus());
  }
}

void CheckTraces(const te::OpSpec& spec, uint64_t seed, uint64_t traces,
                 const schedule::Trace& first) {
  CAPTURE(seed, te::ToText(spec));
  const auto workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  CheckTraces(*workload, seed, traces, first);
}

// `traces` random ones of each of `dags` random definitions.
void CheckRandomDags(uint64_t first_seed, uint64_t dags, uint64_t traces) {
  for (uint64_t seed = first_seed; seed < first_seed + dags; ++seed) {
    const te::Workload workload = te::RandomDag(Rng(seed).Fork("dag")).Draw();
    CAPTURE(seed, te::Print(workload));
    ir::Target target = *ir::X86Target("avx2");
    target.max_threads = 2;
    const auto expected = te::ComputeExpected(workload, seed);
    REQUIRE(expected.ok());
    const schedule::Trace trace = schedule::DefaultTrace(workload.dag, target).value();
    CHECK(LowerAndCheck(workload, *expected, trace) == absl::OkStatus());
    CheckTraces(workload, seed, traces, {});
  }
}

// `traces` random ones of each of `workloads` random workloads.
void CheckRandomWorkloads(uint64_t first_seed, uint64_t workloads, uint64_t traces) {
  for (uint64_t seed = first_seed; seed < first_seed + workloads; ++seed) {
    const te::OpSpec spec = te::RandomWorkload(Rng(seed)).Draw("random");
    CheckTraces(spec, seed, traces, {});
  }
}

// A random convolution that Winograd's algorithm fits: of one to three dimensions, grouped, of
// capsules, strided or dilated.
te::OpSpec RandomConvolution(Rng& rng) {
  const auto one_of = [&](int64_t from, int64_t to) { return absl::StrCat(rng.Between(from, to)); };
  te::OpSpec spec{"winograd",
                  "conv2d",
                  {{"n", one_of(1, 2)},
                   {"ic", one_of(1, 5)},
                   {"oc", one_of(1, 5)},
                   {"k", "3"},
                   {"pad", one_of(0, 2)},
                   {"bias", rng.Chance(0.5) ? "true" : "false"},
                   {"relu", rng.Chance(0.5) ? "true" : "false"}}};
  auto& attributes = spec.attributes;
  const int64_t kind = rng.Between(0, 8);
  const int64_t least = kind >= 4 ? 5 : 3;
  const int64_t most = kind == 0 ? 11 : 8;
  attributes["h"] = absl::StrCat(rng.Between(least, most));
  attributes["w"] = absl::StrCat(rng.Between(least, most));
  if (kind != 3) attributes["layout"] = rng.Chance(0.5) ? "any" : "nchw";
  if (kind == 1) {
    spec.op = "conv1d";
    attributes.erase("h");
    attributes["k"] = absl::StrCat(rng.Between(2, 3));
  } else if (kind == 2) {
    spec.op = "conv3d";
    attributes["d"] = absl::StrCat(rng.Between(3, 4));
    attributes["ic"] = absl::StrCat(rng.Between(1, 2));
  } else if (kind == 3) {
    spec.op = "capsule_conv2d";
    attributes["capsule"] = "2";
    attributes["ic"] = attributes["oc"] = absl::StrCat(rng.Between(1, 2));
  } else if (kind == 4) {
    attributes["groups"] = "2";
    attributes["ic"] = "4", attributes["oc"] = absl::StrCat(2 * rng.Between(1, 3));
  } else if (kind == 5) {
    attributes["dilation"] = absl::StrCat(rng.Between(2, 3));
    attributes["pad"] = "2";
  } else if (kind == 6) {
    const int64_t stride = rng.Between(2, 3);
    attributes["stride"] = absl::StrCat(stride);
    attributes["k"] = absl::StrCat(stride + rng.Between(1, 2));
    attributes["ic"] = absl::StrCat(rng.Between(1, 3));
  } else if (kind == 8) {
    spec.op = "t2d";
    const int64_t stride = rng.Between(2, 3);
    attributes["stride"] = absl::StrCat(stride);
    attributes["k"] = absl::StrCat(stride * rng.Between(2, stride == 3 ? 2 : 3));
    attributes["h"] = absl::StrCat(rng.Between(1, 4));
    attributes["w"] = absl::StrCat(rng.Between(3, 5));
  } else if (kind == 7) {
    attributes["kh"] = absl::StrCat(rng.Between(1, 4));
    attributes["kw"] = absl::StrCat(rng.Between(2, 5));
    attributes.erase("k");
  }
  return spec;
}

// `traces` random ones, after the algorithm was rewritten, of each of `workloads` random
// convolutions.
void CheckWinograd(uint64_t first_seed, uint64_t workloads, uint64_t traces) {
  for (uint64_t seed = first_seed; seed < first_seed + workloads; ++seed) {
    Rng rng(seed);
    const te::OpSpec spec = te::DrawDefined([&] { return RandomConvolution(rng); });
    const int64_t m = rng.Between(2, 4);
    CheckTraces(spec, seed, traces, {{schedule::Primitive::kWinograd, "conv", {}, {m}, {}}});
  }
}

// `traces` random ones, after sums of products were prepared for an instruction, of each of
// `workloads` random products and convolutions.
void CheckTensorized(uint64_t first_seed, uint64_t workloads, uint64_t traces) {
  for (uint64_t seed = first_seed; seed < first_seed + workloads; ++seed) {
    Rng rng(seed);
    const auto one_of = [&](int64_t from, int64_t to) {
      return absl::StrCat(rng.Between(from, to));
    };
    const bool is_product = rng.Chance(0.5), is_bf16 = rng.Chance(0.3);
    te::OpSpec spec;
    if (is_product) {
      spec = {"product",
              "matmul",
              {{"m", one_of(1, 6)},
               {"n", one_of(1, 40)},
               {"k", one_of(2, 20)},
               {"b", rng.Chance(0.5) ? "const" : "input"}}};
    } else {
      spec = {"convolution",
              "conv2d",
              {{"n", one_of(1, 2)},
               {"ic", one_of(2, 9)},
               {"oc", one_of(1, 20)},
               {"h", one_of(3, 7)},
               {"w", one_of(3, 7)},
               {"k", one_of(1, 3)},
               {"stride", one_of(1, 2)},
               {"pad", one_of(0, 1)},
               {"layout", rng.Chance(0.5) ? "any" : "nchw"}}};
    }
    spec.attributes["dtype"] = is_bf16 ? "bf16" : "i8";
    spec.attributes["bias"] = rng.Chance(0.5) ? "true" : "false";
    spec.attributes["relu"] = rng.Chance(0.5) ? "true" : "false";
    constexpr std::string_view kIntegers[] = {"vpdpbusd_512", "vpmaddwd_256", "sdot_128"};
    const std::string instruction(is_bf16 ? "vdpbf16ps_512" : kIntegers[rng.Below(3)]);
    const std::string sum = is_product ? "matmul" : "conv";
    CheckTraces(spec, seed, traces,
                {{schedule::Primitive::kTensorize, sum, {instruction}, {}, {}}});
  }
}

TEST_CASE("random traces of groups of products compute the same", "[passes]") {
  CheckTensorized(0, 150, 4);
}

TEST_CASE("many more traces of groups of products compute the same", "[.nightly]") {
  CheckTensorized(1'000'000, 3000, 5);
}

// An accumulator of one axis whose tiles lie apart: the vector of one tile ends in the next one's.
TEST_CASE("vectors that end beyond their tile read nothing of another", "[passes]") {
  const auto workload =
      te::MakeWorkload({"product",
                        "matmul",
                        {{"b", "const"}, {"dtype", "bf16"}, {"k", "15"}, {"m", "4"}, {"n", "8"}}});
  REQUIRE(workload.ok());
  const auto expected = te::ComputeExpected(*workload, 1);
  REQUIRE(expected.ok());
  const auto trace = schedule::ParseTrace(
      "trace 1\ntensorize matmul vdpbf16ps_512\ninline matmul.a\ninline matmul\n"
      "cache_write narrow\nsplit narrow.local m 1\ncompute_at matmul.dot narrow.local m.0\n"
      "split matmul.dot n 4 4\nreorder matmul.dot m n.2 n.0 k n.1 k_g\n"
      "vectorize matmul.dot k_g\nvectorize matmul.dot n.1\n");
  REQUIRE(trace.ok());
  CHECK(LowerAndCheck(*workload, *expected, *trace) == absl::OkStatus());
}

// Two vectors of 16 for a row of 24, or one for 14: what has a mask, or is written and read in
// vectors of different lengths, is memory and no register.
TEST_CASE("accumulators of a tile that ends beyond its axis are vectors without masks",
          "[passes]") {
  for (const auto& [n, vectors, expected_lanes] :
       {std::tuple("24", "2", 16), std::tuple("14", "1", 14)}) {
    CAPTURE(n);
    const auto workload =
        te::MakeWorkload({"product", "matmul", {{"m", "5"}, {"n", n}, {"k", "7"}}});
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 1);
    REQUIRE(expected.ok());
    const auto trace = schedule::ParseTrace(absl::StrReplaceAll(
        "trace 1\ncache_write matmul\nsplit matmul m 2\nsplit matmul n V 16\n"
        "vectorize matmul n.2\ncompute_at matmul.local matmul m.0\nsplit matmul.local n V 16\n"
        "reorder matmul.local n.0 k m n.1 n.2\nunroll matmul.local m\nunroll matmul.local n.1\n"
        "vectorize matmul.local n.2\n",
        {{"V", vectors}}));
    REQUIRE(trace.ok());
    const auto candidate = passes::LowerTrace(*workload, *trace);
    REQUIRE(candidate.ok());
    CHECK(te::CheckAgainst(*workload, *expected, *candidate, ir::Evaluate) == absl::OkStatus());
    CAPTURE(ir::Print(candidate->program));
    std::set<int> lanes;
    ir::ForEach<ir::Store>(candidate->program.body, [&](const ir::Store& store) {
      if (store.buffer->scope != ir::Scope::kLocal) return;
      lanes.insert(store.value.type().lanes);
      CHECK_FALSE(store.predicate);
    });
    CHECK(lanes == std::set<int>{expected_lanes});
  }
}

// Of an update that instructions know, of each point alone.
bool SumsPointByPoint(const ir::Stmt& body) {
  bool found = false;
  ir::ForEach<ir::Call>(
      body, [&](const ir::Call& call) { found |= ir::IsReduceOf(call) && !call.type.is_vector(); });
  return found;
}

TEST_CASE("groups at the end of an axis are summed in vectors", "[passes]") {
  constexpr std::pair<const char*, const char*> kPlaces[] = {
      {"at the root", "split matmul.dot n 2 L\n"},
      {"for a vector of results", "compute_at matmul.dot matmul n.0\nsplit matmul.dot n 1 L\n"},
      {"beside other rows",
       "split matmul m 2\ncompute_at matmul.dot matmul m.0\nsplit matmul.dot n 2 L\n"},
      {"in unrolled loops",
       "compute_at matmul.dot matmul m\nsplit matmul.dot n 2 L\nunroll matmul.dot n.1\n"}};
  for (const te::Instruction& instruction : te::Instructions()) {
    const auto lanes = static_cast<int64_t>(instruction.lanes);
    const bool is_bf16 = instruction.operand_type(0).is_float();
    for (const int64_t beyond : {int64_t{2}, lanes - 1}) {
      for (const auto& [place, compute_at] : kPlaces) {
        const te::OpSpec spec = {"product",
                                 "matmul",
                                 {{"m", "3"},
                                  {"n", absl::StrCat(2 * lanes + beyond)},
                                  {"k", "11"},
                                  {"b", beyond == 2 ? "input" : "const"},
                                  {"dtype", is_bf16 ? "bf16" : "i8"}}};
        const std::string text = absl::StrReplaceAll(
            absl::StrCat("trace 1\ntensorize matmul I\nlayout matmul.b 1/L 0/G 1%L 0%G\n"
                         "split matmul n L\n",
                         compute_at,
                         "reorder matmul.dot m n.0 k n.1 n.2 k_g\n"
                         "vectorize matmul.dot k_g\nvectorize matmul.dot n.2\n"),
            {{"I", AbslView(instruction.name)},
             {"L", absl::StrCat(lanes)},
             {"G", absl::StrCat(instruction.group)}});
        CAPTURE(te::ToText(spec), place, text);
        const auto workload = te::MakeWorkload(spec);
        REQUIRE(workload.ok());
        const auto trace = schedule::ParseTrace(text);
        INFO(trace.status());
        REQUIRE(trace.ok());
        const auto lowered = passes::LowerTrace(*workload, *trace);
        INFO(lowered.status());
        REQUIRE(lowered.ok());
        CAPTURE(ir::Print(lowered->program));
        CHECK(!SumsPointByPoint(lowered->program.body));
        const auto expected = te::ComputeExpected(*workload, 1);
        REQUIRE(expected.ok());
        CHECK(LowerAndCheck(*workload, *expected, *trace) == absl::OkStatus());
      }
    }
  }
}

TEST_CASE("random traces of convolutions by Winograd's algorithm compute the same", "[passes]") {
  CheckWinograd(0, 64, 3);
}

TEST_CASE("convolutions are drawn until they have outputs", "[passes]") {
  CheckWinograd(1'000'253, 1, 4);  // at first of a height of 0
}

TEST_CASE("many more traces by Winograd's algorithm compute the same", "[.nightly]") {
  CheckWinograd(1'000'000, 1500, 4);
}

TEST_CASE("random traces of random workloads compute what the definitions say", "[passes]") {
  CheckRandomWorkloads(0, 300, 5);
}

TEST_CASE("vectors that overshoot a row leave the next one alone", "[passes]") {
  // Faults of past searches: masked lanes read what was not written yet.
  for (const uint64_t seed : {1002073, 1002347, 1003308}) CheckRandomWorkloads(seed, 1, 5);
}

TEST_CASE("many more traces of random workloads compute what the definitions say", "[.nightly]") {
  CheckRandomWorkloads(1'000'000, 6000, 5);
}

TEST_CASE("random traces of random definitions compute what those say", "[passes]") {
  CheckRandomDags(0, 400, 3);
}

TEST_CASE("many more traces of random definitions compute what those say", "[.nightly]") {
  CheckRandomDags(1'000'000, 4000, 5);
}

TEST_CASE("random traces of every operator compute what the definitions say", "[passes]") {
  CheckRandomTraces(0, 40);
}

TEST_CASE("many more random traces compute what the definitions say", "[.nightly]") {
  CheckRandomTraces(1'000'000, 400);
}

}  // namespace
}  // namespace tessera
