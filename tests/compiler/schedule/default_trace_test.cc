#include "compiler/schedule/default_trace.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/inlined_size.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/operators.h"

namespace tessera::schedule {
namespace {

// `count` stages, each of which reads the one before as `body` says ('@' stands for its name).
te::Workload Chain(int count, const std::string& body) {
  std::string text = "workload chain\ninput s0: f32[8]\n";
  for (int i = 1; i <= count; ++i) {
    absl::StrAppend(&text, "stage s", i, ": f32[x:8] = ");
    for (char c : body) text += c == '@' ? absl::StrCat("s", i - 1) : std::string(1, c);
    text += '\n';
  }
  absl::StrAppend(&text, "output s", count, "\n");
  auto workload = te::ParseWorkload(text);
  INFO(workload.status().message());
  REQUIRE(workload.ok());
  return *std::move(workload);
}

TEST_CASE("bodies that double with every inlined stage stay below the limit", "[schedule]") {
  const auto target = ir::ParseTarget("x86/avx2 threads=2");
  REQUIRE(target.ok());
  for (const char* body : {"@[x] + @[x]", "@[7 - x] * @[x]", "@[(x * x + x) % 8]"}) {
    CAPTURE(body);
    const te::Workload workload = Chain(200, body);
    const auto trace = DefaultTrace(workload.dag, *target);
    REQUIRE(trace.ok());
    const auto schedule = ApplyTrace(workload.dag, *trace);
    REQUIRE(schedule.ok());
    CHECK(InferBounds(*schedule).ok());
  }
}

TEST_CASE("vectors go along the channels of a block, and what lies between is stored so",
          "[schedule]") {
  const te::Workload workload = *te::MakeWorkload(
      {"dw",
       "depthwise_conv2d",
       {{"c", "32"}, {"size", "8"}, {"k", "3"}, {"bias", "true"}, {"layout", "nchwc16"}}});
  const std::string trace = Print(*DefaultTrace(workload.dag, *ir::X86Target("avx512")));
  INFO(trace);
  for (const char* step :
       {"layout conv 0 1/16 2 3 1%16", "vectorize conv c.1", "vectorize bias c.1"}) {
    CHECK(trace.find(step) != std::string::npos);
  }
}

TEST_CASE("a block of weights stays while everything else passes, packed as it is read",
          "[schedule]") {
  const auto workload = te::MakeWorkload(
      {"conv", "conv2d", {{"ic", "8"}, {"oc", "64"}, {"size", "14"}, {"k", "3"}, {"pad", "1"}}});
  REQUIRE(workload.ok());
  const auto trace = DefaultTrace(workload->dag, *ir::X86Target("avx512"));
  REQUIRE(trace.ok());
  const std::string steps = Print(*trace);
  CAPTURE(steps);
  for (const char* step : {"layout W 0/32 1 2 3 0%32", "split conv oc 2 16", "split conv ow 7",
                           "reorder conv oc.0 n oh ow.0 ic kh kw ow.1 oc.1 oc.2",
                           "unroll conv ow.1", "unroll conv oc.1", "vectorize conv oc.2"}) {
    CHECK(steps.find(step) != std::string::npos);
  }
}

TEST_CASE("threads share what takes longer than they need to begin", "[schedule]") {
  const ir::Target target = ir::ParseTarget("x86/avx2 threads=2").value();
  for (const auto& [rows, is_shared] : {std::pair{"1", false}, std::pair{"64", true}}) {
    const auto workload = te::MakeWorkload({"add", "add", {{"m", rows}, {"n", "256"}}});
    INFO(workload.status().message());
    REQUIRE(workload.ok());
    const std::string trace = Print(*DefaultTrace(workload->dag, target));
    CAPTURE(trace);
    CHECK((trace.find("parallel") != std::string::npos) == is_shared);
  }
}

TEST_CASE("a workload that a step doesn't apply to is refused, not asserted", "[schedule]") {
  // No verifier lets two stages of one name through; steps would find the first for both.
  te::Dag dag = Chain(1, "@[x] + 1.0").dag;
  te::Dag other =
      te::ParseWorkload("workload w\ninput a: f32[64]\nstage s1: f32[y:64] = a[y]\noutput s1\n")
          .value()
          .dag;
  dag.inputs.push_back(other.inputs[0]);
  dag.stages.push_back(other.stages[0]);
  dag.outputs.push_back(other.outputs[0]);
  const auto trace = DefaultTrace(dag, *ir::X86Target("avx2"));
  CHECK(absl::IsInvalidArgument(trace.status()));
  CHECK(std::string(trace.status().message()).find("default schedule: ") == 0);
}

TEST_CASE("inlining names the size that is too large", "[schedule]") {
  const te::Workload workload = Chain(20, "@[x] + @[x]");
  Schedule schedule(workload.dag);
  absl::Status status;
  for (int i = 1; i < 20 && status.ok(); ++i) {
    status = schedule.Apply(Step{Primitive::kInline, absl::StrCat("s", i), {}, {}, {}});
  }
  CHECK(absl::IsInvalidArgument(status));
  CHECK(std::string(status.message()).find("would have more than 1000 nodes") != std::string::npos);
}

TEST_CASE("the size after inlining is foretold", "[schedule]") {
  const te::Workload workload = Chain(2, "@[x] + @[x]");
  // +(+(load x, load x), +(load x, load x))
  CHECK(InlinedSize(workload.dag.stages[0], workload.dag.stages[1]) == 11);
}

}  // namespace
}  // namespace tessera::schedule
