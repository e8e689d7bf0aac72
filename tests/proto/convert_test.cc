#include "proto/convert.h"

#include <google/protobuf/stubs/logging.h>

#include <catch2/catch.hpp>

#include "base/rng.h"
#include "proto/limits.h"
#include "tests/proto/random_messages.h"

namespace tessera::proto {
namespace {

constexpr int kRounds = 200;

// Message → domain → message must be the identity on what domain → message made.
template <typename Domain>
void CheckRoundTrip(const Domain& domain) {
  const auto message = ToProto(domain);
  auto back = FromProto(message);
  INFO(message.DebugString());
  REQUIRE(back.status() == absl::OkStatus());
  CHECK(ToProto(*back).SerializeAsString() == message.SerializeAsString());
}

TEST_CASE("every message survives the way to a domain value and back", "[proto]") {
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    CheckRoundTrip(RandomTask(rng));
    CheckRoundTrip(RandomMeasurement(rng));
    CheckRoundTrip(RandomRecord(rng));
    db::Job job{.id = 7,
                .name = RandomName(rng),
                .state = db::JobState::kFailed,
                .message = RandomText(rng, 100),
                .options = {.extra_trials = static_cast<int>(rng.Between(0, 1)),
                            .seed = rng.Next(),
                            .max_seconds = rng.Uniform(),
                            .idempotency_key = RandomText(rng, 20),
                            .device_class = RandomText(rng, 20),
                            .scheduler = RandomName(rng),
                            .prior = RandomName(rng),
                            .pins = RandomText(rng, 50),
                            .allow = rng.Chance(0.5) ? "" : "openblas"},
                .tasks = {RandomTask(rng), RandomTask(rng)},
                .prior = rng.Chance(0.5) ? "" : RandomHex(rng, 64)};
    CheckRoundTrip(job);
    db::Device device{.id = RandomName(rng),
                      .worker = RandomName(rng),
                      .device_class = {RandomName(rng), RandomText(rng, 50)},
                      .target = RandomName(rng),
                      .runs = true,
                      .cores = 2,
                      .state = "online",
                      .peak_gflops_per_core = 100 * rng.Uniform(),
                      .exact_times = rng.Chance(0.5),
                      .pace = {0.5 + rng.Uniform(), static_cast<int>(rng.Below(32))}};
    CheckRoundTrip(device);
    const db::ModelInfo model = RandomModel(rng);
    CheckRoundTrip(model);
    CHECK(FromProto(ToProto(model)).value() == model);
    const db::Comparison comparison = RandomComparison(rng);
    CheckRoundTrip(comparison);
    CHECK(FromProto(ToProto(comparison)).value() == comparison);
    db::Selection selection{.id = 1, .name = RandomName(rng)};
    selection.items.push_back({.op = "C2",
                               .task = RandomTask(rng),
                               .trace = RandomText(rng, 99),
                               .record_id = 5,
                               .seconds = rng.Uniform(),
                               .device_class = RandomName(rng),
                               .device = RandomName(rng)});
    CheckRoundTrip(selection);
    CHECK(FromProto(ToProto(selection)).value().items == selection.items);
    selection.model = {RandomHex(rng, 64), {RandomHex(rng, 64), RandomHex(rng, 64)}};
    CheckRoundTrip(selection);
    CHECK(FromProto(ToProto(selection)).value().model == selection.model);
    CheckRoundTrip(db::RecordFilter{.task_key = RandomHex(rng, 64),
                                    .outcomes = {RandomOutcome(rng)},
                                    .limit = rng.Between(1, 1000),
                                    .newest_first = rng.Chance(0.5),
                                    .before_id = rng.Between(0, 1000)});

    BuildResult built{.fence = rng.Next() | 1,
                      .outcome = db::Outcome::kOk,
                      .artifact = RandomArtifact(rng),
                      .loop_hash = RandomHex(rng, 16),
                      .build_seconds = rng.Uniform(),
                      .tolerances = {{1e-3, 1e-4}},
                      .samples = {{0, 3, rng.Uniform()}}};
    CheckRoundTrip(built);
    CheckRoundTrip(BuildRequest{.fence = 3,
                                .workload = "w",
                                .target = RandomName(rng),
                                .trace = RandomText(rng, 99),
                                .seed = rng.Next()});
    CheckRoundTrip(ServerMessage(RandomPlan(rng)));
    CheckRoundTrip(ServerMessage(Cancel{5}));
    CheckRoundTrip(ServerMessage(Acknowledge{5}));
    CheckRoundTrip(ServerMessage(Drain{"host/cpu", true}));
    CheckRoundTrip(ServerMessage(Welcome{"0.1.0", 1, 5}));
    CheckRoundTrip(ServerMessage(LibraryRequest{9, "ops", selection, true}));
    device.worker = "w";
    CheckRoundTrip(WorkerMessage(Hello{
        .worker = "w", .instance = "i", .devices = {device}, .build_slots = 2, .held = {1, 2, 3}}));
    CheckRoundTrip(WorkerMessage(Heartbeat{{rng.Next(), rng.Next()}}));
    CheckRoundTrip(WorkerMessage(RandomRunResult(rng)));
    CheckRoundTrip(WorkerMessage(LibraryResult{4, "", {{"ops.h", RandomHex(rng, 64), 10}}}));
    JobProgress progress{.job_id = 1, .state = db::JobState::kRunning};
    progress.tasks.push_back({.name = "C2",
                              .task_key = RandomHex(rng, 64),
                              .trials_done = 3,
                              .weight = 4,
                              .failures = {{db::Outcome::kTimeout, 2}},
                              .done = true,
                              .promoted = rng.Between(0, 1000),
                              .end_reason = "little left to gain"});
    progress.runners.push_back({.device = RandomName(rng)});
    for (double& seconds : progress.runners[0].seconds) seconds = 100 * rng.Uniform();
    CheckRoundTrip(progress);
    CHECK(FromProto(ToProto(progress))->runners == progress.runners);
    progress.model = {.seconds = 1e-3, .default_seconds = rng.Uniform(), .trials = 7};
    CheckRoundTrip(progress);
    CHECK(FromProto(ToProto(progress))->model == progress.model);
  }
}

TEST_CASE("flipped bytes are refused or give bounded values, never a crash", "[proto]") {
  const google::protobuf::LogSilencer silencer;  // it reports every malformed string
  int accepted[3] = {};
  for (uint64_t seed = 0; seed < 20 * kRounds; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::string bytes;
    switch (seed % 3) {
      case 0:
        bytes = ToProto(ServerMessage(RandomPlan(rng))).SerializeAsString();
        break;
      case 1:
        bytes = ToProto(WorkerMessage(RandomRunResult(rng))).SerializeAsString();
        break;
      default:
        bytes = ToProto(RandomRecord(rng)).SerializeAsString();
    }
    for (int64_t flips = rng.Between(1, 8); flips > 0; --flips) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    if (seed % 3 == 0) {
      v1::ServerMessage message;
      if (!message.ParseFromString(bytes)) continue;
      const absl::StatusOr<ServerMessage> value = FromProto(message);
      if (!value.ok() || !std::holds_alternative<RunPlan>(*value)) continue;
      ++accepted[0];
      const RunPlan& plan = std::get<RunPlan>(*value);
      CHECK(plan.repeats >= 1);
      CHECK((plan.lease.trial == kNoTrial) == (plan.artifacts.size() > 1));
      CHECK(plan.artifacts.size() <= kMaxCompared);
      for (const Artifact& artifact : plan.artifacts) {
        CHECK(artifact.size <= kMaxArtifactBytes);
        CHECK(artifact.digest.size() == 64);
      }
    } else if (seed % 3 == 1) {
      v1::WorkerMessage message;
      if (!message.ParseFromString(bytes)) continue;
      const absl::StatusOr<WorkerMessage> value = FromProto(message);
      if (!value.ok() || !std::holds_alternative<RunResult>(*value)) continue;
      ++accepted[1];
      const RunResult& result = std::get<RunResult>(*value);
      CHECK(!result.measurements.empty());
      CHECK((result.lease.trial == kNoTrial || result.measurements.size() == 1));
      for (const db::Measurement& measurement : result.measurements) {
        for (double seconds : measurement.sample_seconds) CHECK(seconds > 0);
      }
    } else {
      v1::Record message;
      if (!message.ParseFromString(bytes)) continue;
      const absl::StatusOr<db::Record> value = FromProto(message);
      if (!value.ok()) continue;
      ++accepted[2];
      for (double seconds : value->measurement.sample_seconds) CHECK(seconds > 0);
    }
  }
  for (const int count : accepted) CHECK(count > 0);  // else the test looks at nothing
}

TEST_CASE("flipped bytes of models and comparisons are refused or give bounded values", "[proto]") {
  const google::protobuf::LogSilencer silencer;
  int models = 0, comparisons = 0;
  for (uint64_t seed = 0; seed < 20 * kRounds; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto flipped = [&](std::string bytes) {
      for (int64_t flips = rng.Between(1, 3); flips > 0; --flips) {
        bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
      }
      return bytes;
    };
    if (v1::ModelInfo message;
        message.ParseFromString(flipped(ToProto(RandomModel(rng)).SerializeAsString()))) {
      const absl::StatusOr<db::ModelInfo> model = FromProto(message);
      models += model.ok();
      if (model.ok()) CHECK((model->digest.size() == 64 && model->top1 <= 1 && model->tasks >= 0));
    }
    if (v1::Comparison message;
        message.ParseFromString(flipped(ToProto(RandomComparison(rng)).SerializeAsString()))) {
      const absl::StatusOr<db::Comparison> comparison = FromProto(message);
      comparisons += comparison.ok();
      if (!comparison.ok()) continue;
      for (const std::vector<double>& samples : comparison->sample_seconds) {
        for (const double seconds : samples) CHECK(seconds > 0);
      }
    }
  }
  CHECK(models > 0);
  CHECK(comparisons > 0);
}

TEST_CASE("clients that name no scheduler and no prior get what they had", "[proto]") {
  v1::JobOptions message = ToProto(db::JobOptions{});
  message.clear_scheduler();
  message.clear_prior();
  const db::JobOptions options = FromProto(message).value();
  CHECK(options.scheduler == "fair");
  CHECK(options.prior == "none");
  message.set_prior("two\nlines");
  CHECK(absl::IsInvalidArgument(FromProto(message).status()));
}

TEST_CASE("a program compared with itself is one", "[proto]") {
  Rng rng(1);
  db::Comparison same = RandomComparison(rng);
  while (same.purpose != db::ComparisonPurpose::kSame) same = RandomComparison(rng);
  v1::Comparison message = ToProto(same);
  REQUIRE(message.programs_size() == 2);
  message.mutable_programs(1)->set_record_id(message.programs(0).record_id() + 1);
  CHECK(absl::IsInvalidArgument(FromProto(message).status()));
}

TEST_CASE("an error names field, value and limit", "[proto]") {
  Rng rng(1);
  v1::Task task = ToProto(RandomTask(rng));
  task.set_threads(0);
  CHECK(FromProto(task).status() ==
        absl::InvalidArgumentError("task threads: 0 is outside 1 to 1024"));
  task = ToProto(RandomTask(rng));
  task.set_workload_hash("../../etc/passwd");
  CHECK(absl::IsInvalidArgument(FromProto(task).status()));
  task = ToProto(RandomTask(rng));
  task.set_workload(std::string(kMaxWorkloadBytes + 1, 'x'));
  CHECK(FromProto(task).status().message() ==
        "task workload: 1048577 bytes, at most 1048576 are allowed");
  task = ToProto(RandomTask(rng));
  task.set_name("two\nlines");
  CHECK(absl::IsInvalidArgument(FromProto(task).status()));
}

TEST_CASE("a job's extra trials are fewer than its tasks", "[proto]") {
  Rng rng(1);
  v1::CreateJobRequest request;
  request.set_name("job");
  *request.mutable_options() = ToProto(db::JobOptions());
  for (int t = 0; t < 3; ++t) *request.add_tasks() = ToProto(RandomTask(rng));
  request.mutable_options()->set_extra_trials(2);
  CHECK(FromProto(request).ok());
  request.mutable_options()->set_extra_trials(3);
  CHECK(FromProto(request).status().message() ==
        "options extra_trials: 3 for 3 tasks, fewer are needed");
  request.mutable_options()->set_extra_trials(-1);
  CHECK(absl::IsInvalidArgument(FromProto(request).status()));
}

}  // namespace
}  // namespace tessera::proto
