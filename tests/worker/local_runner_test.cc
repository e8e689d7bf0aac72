#include "worker/local_runner.h"

#include <catch2/catch.hpp>
#include <functional>

namespace tessera {
namespace {

// Keeps the plan and answers as told.
class RecordingRunner final : public runner::Runner {
 public:
  std::string_view kind() const override { return "recording"; }
  absl::StatusOr<std::vector<db::Measurement>> Measure(const runner::MeasurePlan& plan) override {
    plans.push_back(plan);
    if (meanwhile) meanwhile();
    was_cancelled = plan.IsCancelled();
    return answer;
  }
  std::vector<runner::MeasurePlan> plans;
  std::function<void()> meanwhile;
  bool was_cancelled = false;
  absl::StatusOr<std::vector<db::Measurement>> answer = std::vector<db::Measurement>(1);
};

proto::RunPlan Plan() {
  proto::RunPlan plan;
  plan.lease.fence = 42;
  plan.workload_hash = "0123456789abcdef";
  plan.seed = 7;
  plan.threads = 2;
  plan.repeats = 5;
  plan.best_seconds = 0.001;
  plan.contender_repeats = 9;
  plan.screen_seconds = 0.002;
  proto::Artifact artifact;
  artifact.digest = "candidate";
  artifact.symbol = "kernel";
  artifact.private_workspace_bytes = 64;
  artifact.buffers = {
      {.name = "X", .type = "f32", .shape = {4, 8}, .layout = {{1, 1, 8}, {0, 1, 4}}},
      {.name = "Y", .type = "i8", .shape = {4}, .is_output = true}};
  plan.artifacts = {artifact};
  plan.reference = artifact;
  plan.reference.digest = "reference";
  plan.reference.buffers[0].layout.clear();
  plan.tolerances = {{1e-3, 1e-4}};
  plan.samples = {{0, 3, 1.5}};
  return plan;
}

TEST_CASE("a plan of the protocol reaches the runner whole", "[worker]") {
  RecordingRunner recorder;
  recorder.answer->front().outcome = db::Outcome::kTimeout;
  LocalRunner local(recorder);
  const auto measured = local.Run(Plan(), {"bytes"}, "reference bytes", {2, 3});
  REQUIRE(measured.size() == 1);
  CHECK(measured[0].outcome == db::Outcome::kTimeout);
  REQUIRE(recorder.plans.size() == 1);
  const runner::MeasurePlan& plan = recorder.plans[0];
  CHECK(plan.workload_hash == "0123456789abcdef");
  CHECK(plan.seed == 7);
  CHECK(plan.cores == std::vector<int>{2, 3});
  CHECK(plan.threads == 2);
  CHECK(plan.timing.repeats == 5);
  CHECK(plan.timing.contender_repeats == 9);
  CHECK(plan.timing.screen_seconds == 0.002);
  CHECK(plan.timing.best_seconds == 0.001);
  REQUIRE(plan.buffers.size() == 2);
  CHECK(plan.buffers[0].type == runner::ElementType::kF32);
  CHECK(plan.buffers[1].is_output);
  REQUIRE(plan.candidates.size() == 1);
  CHECK(plan.candidates[0].bytes == "bytes");
  CHECK(plan.candidates[0].private_workspace_bytes == 64);
  CHECK(plan.candidates[0].layouts[0] == std::vector<runner::LayoutDim>{{1, 1, 8}, {0, 1, 4}});
  CHECK(plan.expectation.reference.bytes == "reference bytes");
  CHECK(plan.expectation.reference.layouts[0].empty());
  CHECK(plan.expectation.samples[0].value == 1.5);
  CHECK(plan.tolerances[0].absolute == 1e-3);
}

TEST_CASE("cancelling reaches the plan that runs, and no later one", "[worker]") {
  RecordingRunner recorder;
  LocalRunner local(recorder);
  recorder.meanwhile = [&] { local.Cancel(41); };
  local.Run(Plan(), {"a"}, "b", {0, 1});
  CHECK_FALSE(recorder.was_cancelled);
  recorder.meanwhile = [&] { local.Cancel(42); };
  local.Run(Plan(), {"a"}, "b", {0, 1});
  CHECK(recorder.was_cancelled);
  local.Cancel(42);
  recorder.meanwhile = nullptr;
  local.Run(Plan(), {"a"}, "b", {0, 1});
  CHECK_FALSE(recorder.was_cancelled);
}

TEST_CASE("all programs of a comparison are measured in one plan, or none is", "[worker]") {
  RecordingRunner recorder;
  recorder.answer = std::vector<db::Measurement>(3);
  LocalRunner local(recorder);
  proto::RunPlan plan = Plan();
  plan.artifacts.resize(3, plan.artifacts[0]);
  plan.artifacts[1].digest = "rival";
  CHECK(local.Run(plan, {"a", "b", "c"}, "r", {0, 1}).size() == 3);
  REQUIRE(recorder.plans.size() == 1);
  REQUIRE(recorder.plans[0].candidates.size() == 3);
  CHECK(recorder.plans[0].candidates[1].name == "rival");
  CHECK(recorder.plans[0].candidates[2].bytes == "c");

  recorder.answer = std::vector<db::Measurement>(2);
  for (const db::Measurement& measurement : local.Run(plan, {"a", "b", "c"}, "r", {0, 1})) {
    CHECK(measurement.outcome == db::Outcome::kInfrastructure);
    CHECK(measurement.reason == "the runner returned 2 measurements for 3 programs");
  }
  plan.artifacts[2].buffers[0].shape = {8, 4};
  const auto mismatch = local.Run(plan, {"a", "b", "c"}, "r", {0, 1});
  REQUIRE(mismatch.size() == 3);
  CHECK(mismatch[0].reason == "candidate and reference have different buffers");
}

TEST_CASE("what hinders the measurement is not the candidate's fault", "[worker]") {
  RecordingRunner recorder;
  LocalRunner local(recorder);
  proto::RunPlan plan = Plan();
  plan.artifacts[0].buffers[0].type = "complex";
  plan.reference.buffers[0].type = "complex";
  CHECK(local.Run(plan, {"a"}, "b", {0, 1}).at(0).outcome == db::Outcome::kInfrastructure);
  plan = Plan();
  plan.reference.buffers[0].shape = {8, 4};
  const db::Measurement mismatch = local.Run(plan, {"a"}, "b", {0, 1}).at(0);
  CHECK(mismatch.outcome == db::Outcome::kInfrastructure);
  CHECK(mismatch.reason == "candidate and reference have different buffers");
  CHECK(recorder.plans.empty());
  recorder.answer = absl::FailedPreconditionError("the reference is wrong");
  const db::Measurement failed = local.Run(Plan(), {"a"}, "b", {0, 1}).at(0);
  CHECK(failed.outcome == db::Outcome::kInfrastructure);
  CHECK(failed.reason == "the reference is wrong");
}

}  // namespace
}  // namespace tessera
