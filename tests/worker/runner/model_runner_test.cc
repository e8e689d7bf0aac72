#include "worker/runner/model_runner.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/test_data.h"

namespace tessera::runner {
namespace {

using db::Outcome;

std::string ReadLibrary(const std::string& name) {
  std::ifstream file(std::string(TESSERA_TEST_KERNELS) + "/" + name + ".so", std::ios::binary);
  REQUIRE(file.good());
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

sandbox::Spawner& Spawner() {
  static const std::unique_ptr<sandbox::Sandbox> sandbox = sandbox::Sandbox::Create().value();
  return *sandbox;
}

ModelPlan PlanOf(const std::vector<std::string>& libraries) {
  ModelPlan plan;
  plan.name = plan.bucket = "net";
  for (const std::string& name : libraries) plan.libraries.push_back(ReadLibrary(name));
  plan.buffers = {{"x", ElementType::kF32, {16}}, {"y", ElementType::kF32, {16}, true}};
  plan.steps = 2;
  plan.seed = 9;
  for (const int64_t i : {0, 15}) plan.samples.push_back({0, i, 2 * TestValue(plan.seed, 0, i)});
  plan.tolerances = {{1e-6, 0}};
  plan.turns = 3;
  plan.min_turn_seconds = 0.005;
  return plan;
}

}  // namespace

TEST_CASE("models are timed as a whole and by steps", "[runner]") {
  const auto timings = MeasureModels(Spawner(), PlanOf({"model_good", "model_slow"}));
  INFO(timings.status());
  REQUIRE(timings.ok());
  REQUIRE(timings->size() == 2);
  for (const ModelTiming& timing : *timings) {
    INFO(timing.measurement.reason);
    REQUIRE(timing.measurement.outcome == Outcome::kOk);
    CHECK(timing.measurement.sample_seconds.size() == 3);
    CHECK(timing.measurement.sample_calls.size() == 3);
    REQUIRE(timing.step_seconds.size() == 2);
    CHECK(timing.step_seconds[1] >= 2e-4);
    CHECK(timing.measurement.environment.peak_memory_bytes > 0);
  }
  // Times of loops that wait for the clock, which nothing can make shorter.
  CHECK((*timings)[0].step_seconds[0] >= 1e-4);
  CHECK((*timings)[1].step_seconds[0] >= 3e-4);
  CHECK((*timings)[0].measurement.CostSeconds() >= 3e-4);
  CHECK((*timings)[1].measurement.CostSeconds() >= 5e-4);
}

TEST_CASE("libraries of models are as large as their weights", "[runner]") {
  ModelPlan plan = PlanOf({"model_good", "model_good"});
  plan.turns = 1;
  plan.libraries[1].resize(200 << 20);  // what is behind its sections is of no meaning
  const auto timings = MeasureModels(Spawner(), plan);
  INFO(timings.status());
  REQUIRE(timings.ok());
  INFO((*timings)[1].measurement.reason);
  CHECK((*timings)[1].measurement.outcome == Outcome::kOk);
}

TEST_CASE("libraries that misbehave are told from those that don't", "[runner]") {
  const auto timings =
      MeasureModels(Spawner(), PlanOf({"model_good", "model_wrong", "model_crashing", "model_lying",
                                       "model_failing", "good", "model_calling"}));
  INFO(timings.status());
  REQUIRE(timings.ok());
  const auto outcome = [&](size_t i) { return (*timings)[i].measurement.outcome; };
  const auto reason = [&](size_t i) { return (*timings)[i].measurement.reason; };
  CHECK(outcome(0) == Outcome::kOk);
  CHECK(outcome(1) == Outcome::kWrongAnswer);
  CHECK_THAT(reason(1), Catch::Contains("y"));
  CHECK(outcome(2) == Outcome::kRunError);
  CHECK_THAT(reason(2), Catch::Contains("SIGABRT"));
  CHECK(outcome(3) == Outcome::kRunError);
  CHECK_THAT(reason(3), Catch::Contains("impossible seconds of steps"));
  CHECK(outcome(4) == Outcome::kRunError);
  CHECK_THAT(reason(4), Catch::Contains("creating the model failed with code 3"));
  CHECK(outcome(5) == Outcome::kRunError);
  CHECK_THAT(reason(5), Catch::Contains("the library has no function tessera_net_set_threads"));
  CHECK(outcome(6) == Outcome::kRunError);
  CHECK_THAT(reason(6), Catch::Contains("the artifact calls openblas, of Debian's") &&
                            Catch::Contains("start the worker with --allow openblas or tune"));
  for (size_t i = 1; i < timings->size(); ++i) CHECK((*timings)[i].step_seconds.empty());
}

TEST_CASE("outputs are not checked without samples", "[runner]") {
  ModelPlan plan = PlanOf({"model_good", "model_wrong"});
  plan.samples.clear();
  plan.tolerances.clear();
  const auto timings = MeasureModels(Spawner(), plan);
  REQUIRE(timings.ok());
  CHECK((*timings)[1].measurement.outcome == Outcome::kOk);
}

TEST_CASE("a plan of models that nobody wants ends", "[runner]") {
  ModelPlan plan = PlanOf({"model_good", "model_slow"});
  plan.turns = 1000;
  plan.min_turn_seconds = 10;
  std::atomic<bool> cancelled = false;
  plan.cancelled = &cancelled;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancelled = true;
  });
  const auto timings = MeasureModels(Spawner(), plan);
  canceller.join();
  CHECK(absl::IsCancelled(timings.status()));
}

TEST_CASE("plans of models that contradict themselves are refused", "[runner]") {
  const auto refused = [](auto change) {
    ModelPlan plan = PlanOf({"model_good", "model_good"});
    change(plan);
    return absl::IsInvalidArgument(MeasureModels(Spawner(), plan).status());
  };
  CHECK(refused([](ModelPlan& plan) { plan.libraries.pop_back(); }));
  CHECK(refused([](ModelPlan& plan) { plan.buffers.pop_back(); }));
  CHECK(refused([](ModelPlan& plan) { std::swap(plan.buffers[0], plan.buffers[1]); }));
  CHECK(refused([](ModelPlan& plan) { plan.name.assign(65, 'n'); }));
  CHECK(refused([](ModelPlan& plan) { plan.bucket.clear(); }));
  CHECK(refused([](ModelPlan& plan) { plan.steps = 0; }));
  CHECK(refused([](ModelPlan& plan) { plan.tolerances.clear(); }));
  CHECK(refused([](ModelPlan& plan) { plan.buffers[0].shape = {int64_t{1} << 40}; }));
  CHECK(refused([](ModelPlan& plan) { plan.cores = {0, 1}; }));
}

}  // namespace tessera::runner
