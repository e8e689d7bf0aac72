#include "proto/convert.h"

#include <google/protobuf/stubs/logging.h>

#include <catch2/catch.hpp>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "proto/checks.h"
#include "proto/limits.h"

namespace tessera::proto {
namespace {

constexpr int kRounds = 200;

std::string RandomText(Rng& rng, int max_length) {
  std::string text;
  for (int64_t i = rng.Between(0, max_length); i > 0; --i) {
    text.push_back(static_cast<char>(rng.Between(0x20, 0x7e)));
  }
  return text;
}

std::string RandomName(Rng& rng) { return absl::StrCat("n", RandomText(rng, 20)); }

std::string RandomHex(Rng& rng, int digits) {
  std::string hex;
  for (int i = 0; i < digits; ++i) hex.push_back("0123456789abcdef"[rng.Below(16)]);
  return hex;
}

db::Outcome RandomOutcome(Rng& rng) { return static_cast<db::Outcome>(rng.Below(8)); }

db::Task RandomTask(Rng& rng) {
  return {.name = RandomName(rng),
          .workload_hash = RandomHex(rng, 16),
          .workload = absl::StrCat("workload ", RandomText(rng, 200)),
          .target = RandomName(rng),
          .threads = static_cast<int>(rng.Between(1, 64)),
          .cache_mode = static_cast<db::CacheMode>(rng.Below(2)),
          .weight = rng.Uniform()};
}

db::Measurement RandomMeasurement(Rng& rng) {
  db::Measurement m;
  m.outcome = RandomOutcome(rng);
  m.reason = RandomText(rng, 100);
  for (int64_t i = rng.Between(1, 10); i > 0; --i) {
    m.sample_seconds.push_back(rng.Uniform() + 1e-9);
    m.sample_calls.push_back(rng.Between(1, 1000));
  }
  m.build_seconds = rng.Uniform();
  m.run_seconds = rng.Uniform();
  m.environment.cpu_mhz = rng.Uniform() * 4000;
  m.environment.peak_memory_bytes = rng.Between(-1, 1 << 30);
  m.environment.runtime_version = RandomName(rng);
  return m;
}

db::Record RandomRecord(Rng& rng) {
  return {.id = rng.Between(0, 1 << 30),
          .task_key = RandomHex(rng, 64),
          .job_id = rng.Between(0, 1000),
          .trial = rng.Between(0, 1000),
          .attempt_key = RandomName(rng),
          .trace = RandomText(rng, 500),
          .config = RandomText(rng, 50),
          .loop_hash = RandomHex(rng, 16),
          .artifact = rng.Chance(0.5) ? "" : RandomHex(rng, 64),
          .device = RandomName(rng),
          .device_class = RandomName(rng),
          .explorer = RandomName(rng),
          .seed = rng.Next(),
          .measurement = RandomMeasurement(rng),
          .stale = rng.Chance(0.5),
          .tessera_version = RandomName(rng),
          .created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50)),
          .pace = 0.5 + rng.Uniform()};
}

db::ModelInfo RandomModel(Rng& rng) {
  return {.name = absl::StrCat("m-", RandomHex(rng, 8)),
          .digest = RandomHex(rng, 64),
          .cost_model = RandomName(rng),
          .feature_version = static_cast<int>(rng.Below(9)),
          .device_classes = {RandomName(rng), RandomName(rng)},
          .tasks = rng.Between(0, 1000),
          .records = rng.Between(0, 1 << 30),
          .origin = RandomText(rng, 200),
          .pairwise_accuracy = rng.Uniform(),
          .top1 = rng.Chance(0.5) ? -1 : rng.Uniform(),
          .top5 = rng.Uniform(),
          .created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50))};
}

db::Comparison RandomComparison(Rng& rng) {
  db::Comparison comparison;
  comparison.id = rng.Between(0, 1 << 30);
  comparison.job_id = rng.Between(0, 1000);
  comparison.task_key = RandomHex(rng, 64);
  comparison.device = RandomName(rng);
  comparison.device_class = RandomName(rng);
  comparison.purpose = static_cast<db::ComparisonPurpose>(rng.Below(3));
  const bool is_same = comparison.purpose == db::ComparisonPurpose::kSame;
  const int64_t lists = is_same ? 2 : rng.Between(2, 5);
  for (int64_t i = 0; i < lists; ++i) {
    if (i == 0 || !is_same) comparison.record_ids.push_back(rng.Between(1, 1 << 30));
    comparison.sample_seconds.push_back({rng.Uniform() + 1e-9, rng.Uniform() + 1e-9});
  }
  comparison.promoted = comparison.record_ids.back();
  comparison.ratio_low = rng.Uniform();
  comparison.ratio = 1 + rng.Uniform();
  comparison.ratio_high = 2 + rng.Uniform();
  comparison.tessera_version = RandomName(rng);
  comparison.created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50));
  return comparison;
}

Artifact RandomArtifact(Rng& rng) {
  Artifact artifact;
  artifact.digest = RandomHex(rng, 64);
  artifact.size = rng.Between(1, 1 << 20);
  artifact.symbol = absl::StrCat("kernel_", RandomHex(rng, 8));
  artifact.shared_workspace_bytes = rng.Between(0, 1 << 20);
  artifact.private_workspace_bytes = rng.Between(0, 1 << 20);
  const int64_t inputs = rng.Between(0, 3);
  for (int64_t i = 0; i < inputs + 1; ++i) {
    BufferSpec buffer{.name = RandomName(rng), .type = "f32", .is_output = i == inputs};
    int axis = 0;
    for (int64_t d = rng.Between(1, 5); d > 0; --d) {
      buffer.shape.push_back(rng.Between(1, 64));
      buffer.layout.push_back({axis++, 1, buffer.shape.back()});
    }
    artifact.buffers.push_back(std::move(buffer));
  }
  if (rng.Chance(0.5)) {
    artifact.prepare_symbol = "prepare";
    artifact.prepared_bytes = {rng.Between(1, 1 << 20), 64};
  }
  if (rng.Chance(0.5)) artifact.tolerances = {{rng.Uniform(), rng.Uniform()}};
  return artifact;
}

RunPlan RandomPlan(Rng& rng) {
  RunPlan plan;
  const bool compares = rng.Chance(0.5);
  plan.lease = {rng.Between(0, 99), static_cast<int>(rng.Between(0, 99)),
                compares ? kNoTrial : rng.Between(0, 99), static_cast<int>(rng.Between(0, 9)),
                rng.Next() | 1};
  plan.device = RandomName(rng);
  plan.workload_hash = RandomHex(rng, 16);
  for (int64_t i = compares ? rng.Between(2, 5) : 1; i > 0; --i) {
    plan.artifacts.push_back(RandomArtifact(rng));
  }
  plan.reference = RandomArtifact(rng);
  plan.tolerances = {{rng.Uniform(), rng.Uniform()}};
  plan.samples = {{0, rng.Between(0, 100), rng.Uniform() - 0.5}};
  plan.seed = rng.Next();
  plan.threads = static_cast<int>(rng.Between(1, 64));
  plan.cache_mode = static_cast<db::CacheMode>(rng.Below(2));
  plan.repeats = static_cast<int>(rng.Between(1, 50));
  plan.contender_repeats = static_cast<int>(rng.Between(1, 50));
  plan.screen_seconds = rng.Uniform();
  plan.best_seconds = rng.Uniform();
  return plan;
}

ModelPlan RandomModelPlan(Rng& rng) {
  ModelPlan plan;
  plan.fence = rng.Next() | 1;
  plan.device = RandomName(rng);
  plan.name = "net";
  plan.bucket = "net_rows_4";
  for (int64_t i = rng.Between(2, 4); i > 0; --i) {
    plan.libraries.push_back({"libnet.so", RandomHex(rng, 64), rng.Between(1, 1 << 20)});
  }
  plan.buffers = {{.name = "x", .type = "f32", .shape = {1, rng.Between(1, 99)}},
                  {.name = "y", .type = "i8", .shape = {4}, .is_output = true}};
  plan.steps = static_cast<int>(rng.Between(1, 99));
  plan.tolerances = {{rng.Uniform(), rng.Uniform()}};
  plan.samples = {{0, rng.Between(0, 3), rng.Uniform()}};
  plan.seed = rng.Next();
  plan.threads = static_cast<int>(rng.Between(1, 8));
  plan.turns = static_cast<int>(rng.Between(1, 9));
  plan.min_turn_seconds = rng.Uniform();
  return plan;
}

ModelResult RandomModelResult(Rng& rng) {
  ModelResult result{.fence = rng.Next() | 1, .device = RandomName(rng)};
  for (int64_t i = rng.Between(2, 4); i > 0; --i) {
    result.timings.push_back({RandomMeasurement(rng), {rng.Uniform(), rng.Uniform()}});
  }
  return result;
}

RunResult RandomRunResult(Rng& rng) {
  const RunPlan plan = RandomPlan(rng);
  RunResult result{.lease = plan.lease, .device = plan.device};
  for (size_t i = 0; i < plan.artifacts.size(); ++i) {
    result.measurements.push_back(RandomMeasurement(rng));
  }
  return result;
}

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
                               .device_class = RandomName(rng)});
    CheckRoundTrip(selection);
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

TEST_CASE("plans and results of models come back as they were sent", "[proto]") {
  const uint64_t seed = 71;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 200; ++i) {
    const ModelPlan plan = RandomModelPlan(rng);
    const auto sent = FromProto(ToProto(ServerMessage(plan)));
    INFO(sent.status());
    REQUIRE(sent.ok());
    CHECK(std::get<ModelPlan>(*sent) == plan);
    const ModelResult result = RandomModelResult(rng);
    const auto answered = FromProto(ToProto(WorkerMessage(result)));
    INFO(answered.status());
    REQUIRE(answered.ok());
    const auto& back = std::get<ModelResult>(*answered);
    CHECK(back.fence == result.fence);
    CHECK(back.device == result.device);
    REQUIRE(back.timings.size() == result.timings.size());
    for (size_t t = 0; t < back.timings.size(); ++t) {
      CHECK(back.timings[t].measurement == result.timings[t].measurement);
      CHECK(back.timings[t].step_seconds == result.timings[t].step_seconds);
    }
  }
}

TEST_CASE("hostile plans and results of models are refused", "[proto]") {
  Rng rng(72);
  const auto refused = [](const auto& message) {
    return absl::IsInvalidArgument(FromProto(ToProto(message)).status());
  };
  const ModelPlan good = RandomModelPlan(rng);
  const auto with = [&](auto change) {
    ModelPlan plan = good;
    change(plan);
    return ServerMessage(plan);
  };
  CHECK_FALSE(refused(with([](ModelPlan&) {})));
  CHECK(refused(with([](ModelPlan& plan) { plan.fence = 0; })));
  CHECK(refused(with([](ModelPlan& plan) { plan.name = "net; rm"; })));
  CHECK(refused(with([](ModelPlan& plan) { plan.bucket.clear(); })));
  CHECK(refused(with([](ModelPlan& plan) { plan.libraries.resize(1); })));
  CHECK(refused(with([](ModelPlan& plan) { plan.libraries[0].name = "../net.so"; })));
  CHECK(refused(with([](ModelPlan& plan) { plan.steps = kMaxSteps + 1; })));
  CHECK(refused(with([](ModelPlan& plan) { plan.buffers.pop_back(), plan.buffers.pop_back(); })));
  CHECK(refused(with([](ModelPlan& plan) { std::swap(plan.buffers[0], plan.buffers[1]); })));
  CHECK(refused(with([](ModelPlan& plan) { plan.turns = 0; })));
  ModelResult result = RandomModelResult(rng);
  result.timings[0].step_seconds[0] = -1;
  CHECK(refused(WorkerMessage(result)));
  result.timings[0].step_seconds[0] = std::numeric_limits<double>::quiet_NaN();
  CHECK(refused(WorkerMessage(result)));
}

TEST_CASE("an artifact has as many buffers as a runner passes, prepared ones included", "[proto]") {
  Rng rng(3);
  RunPlan plan = RandomPlan(rng);
  const BufferSpec output{.name = "out", .type = "f32", .shape = {4}, .is_output = true};
  Artifact& artifact = plan.artifacts.back();
  artifact.buffers.assign(kMaxBuffers - 2, output);
  artifact.prepare_symbol = "prepare";
  artifact.prepared_bytes = {64, 64};
  CHECK(FromProto(ToProto(plan)).status() == absl::OkStatus());
  artifact.prepared_bytes.push_back(64);
  const absl::Status refused = FromProto(ToProto(plan)).status();
  INFO(refused);
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(
      std::string(refused.message()),
      Catch::Contains("artifact buffers: 65 with the prepared ones, at most 64 are allowed"));
}

TEST_CASE("a trial has one artifact and one measurement, a comparison several", "[proto]") {
  Rng rng(4);
  RunPlan plan = RandomPlan(rng);
  RunResult result = RandomRunResult(rng);
  const auto accepted = [&](int64_t trial, int artifacts, int measurements) {
    plan.lease.trial = result.lease.trial = trial;
    plan.artifacts.assign(artifacts, RandomArtifact(rng));
    result.measurements.assign(measurements, RandomMeasurement(rng));
    return std::pair(FromProto(ToProto(ServerMessage(plan))).status(),
                     FromProto(ToProto(WorkerMessage(result))).status());
  };
  CHECK(accepted(7, 1, 1) == std::pair(absl::OkStatus(), absl::OkStatus()));
  CHECK(accepted(kNoTrial, 2, 2) == std::pair(absl::OkStatus(), absl::OkStatus()));
  CHECK(accepted(kNoTrial, kMaxCompared, kMaxCompared) ==
        std::pair(absl::OkStatus(), absl::OkStatus()));
  for (const auto& [trial, count] : std::vector<std::pair<int64_t, int>>{
           {7, 0}, {7, 2}, {kNoTrial, 0}, {kNoTrial, kMaxCompared + 1}, {-2, 1}}) {
    CAPTURE(trial, count);
    const auto [of_plan, of_result] = accepted(trial, count, count);
    CHECK(absl::IsInvalidArgument(of_plan));
    CHECK(absl::IsInvalidArgument(of_result));
  }
  CHECK(accepted(kNoTrial, 1, 1).first ==
        absl::InvalidArgumentError("plan artifacts: 1 of a comparison, at least 2 are needed"));
  CHECK(accepted(7, 2, 2).second ==
        absl::InvalidArgumentError("run result measurements: 2 of a trial, one is needed"));
}

TEST_CASE("a result names its device", "[proto]") {
  Rng rng(2);
  for (const std::string& device : {std::string(), std::string(kMaxNameBytes + 1, 'x'),
                                    std::string("two\nlines"), std::string("nul\0", 4)}) {
    CAPTURE(device);
    v1::WorkerMessage m = ToProto(WorkerMessage(RandomRunResult(rng)));
    m.mutable_run_result()->set_device(device);
    CHECK(absl::IsInvalidArgument(FromProto(m).status()));
  }
}

TEST_CASE("times that would win for ever are refused", "[proto]") {
  Rng rng(2);
  for (double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                     std::numeric_limits<double>::infinity()}) {
    v1::Measurement m = ToProto(RandomMeasurement(rng));
    m.set_sample_seconds(0, bad);
    CHECK(absl::IsInvalidArgument(FromProto(m).status()));
  }
  v1::Measurement m = ToProto(db::Measurement{.outcome = db::Outcome::kOk});
  CHECK(absl::IsInvalidArgument(FromProto(m).status()));
}

TEST_CASE("what runners did is bounded", "[proto]") {
  JobProgress progress{.job_id = 1, .state = db::JobState::kRunning};
  progress.runners.push_back({.device = "w/cpu", .seconds = {1, 2, 3, 4, 5, 6}});
  for (double bad : {-1.0, 2 * kMaxSeconds, std::numeric_limits<double>::quiet_NaN()}) {
    v1::JobProgress m = ToProto(progress);
    m.mutable_runners(0)->set_store_seconds(bad);
    const absl::Status refused = FromProto(m).status();
    CHECK(absl::IsInvalidArgument(refused));
    CHECK(refused.message().find("runner store_seconds") == 0);
  }
  v1::JobProgress m = ToProto(progress);
  m.mutable_runners(0)->clear_device();
  CHECK(absl::IsInvalidArgument(FromProto(m).status()));
  progress.runners.resize(kMaxRunners + 1, progress.runners[0]);
  CHECK(absl::IsInvalidArgument(FromProto(ToProto(progress)).status()));
}

TEST_CASE("names of library files stay in their folder", "[proto]") {
  for (std::string name : {"../libops.so", "/etc/passwd", ".hidden", "", "a/b"}) {
    CAPTURE(name);
    WorkerMessage message = LibraryResult{4, "", {{name, std::string(64, 'a'), 10}}};
    CHECK(absl::IsInvalidArgument(FromProto(ToProto(message)).status()));
  }
}

TEST_CASE("workers' names are plain words", "[proto]") {
  for (std::string name : {"w", "vm-1.example.org", "0", "A_b"}) {
    CHECK(CheckWorkerName("worker name", name).ok());
  }
  for (std::string name : {"", ".", "..", "-v", "a/b", "a b", "caf\xc3\xa9"}) {
    CAPTURE(name);
    const absl::Status refused = CheckWorkerName("worker name", name);
    CHECK(absl::IsInvalidArgument(refused));
    CHECK(refused.message().find("1 to 64 letters") != absl::string_view::npos);
    const Hello hello{.worker = name, .instance = "i", .devices = {db::Device{}}};
    CHECK(FromProto(ToProto(WorkerMessage(hello))).status().code() == refused.code());
  }
  CHECK(CheckWorkerName("worker name", std::string(64, 'a')).ok());
  CHECK_FALSE(CheckWorkerName("worker name", std::string(65, 'a')).ok());
}

TEST_CASE("addresses name a host and a port in range", "[proto]") {
  CHECK(CheckAddress("--server", "127.0.0.1:7654", 1).ok());
  CHECK(CheckAddress("--server", "[::1]:1", 1).ok());
  CHECK(CheckAddress("--listen", "localhost:0", 0).ok());
  for (std::string bad : {"", "host", ":1", "host:", "host:0", "host:65536", "host:x"}) {
    CAPTURE(bad);
    CHECK(CheckAddress("--server", bad, 1).message() ==
          absl::StrCat("--server: \"", bad, "\" is not HOST:PORT with a port from 1 to 65535"));
  }
}

TEST_CASE("a worker of another protocol is told so", "[proto]") {
  for (const int version : {99, kProtocolVersion - 1}) {
    const absl::Status status =
        FromProto(ToProto(WorkerMessage(Hello{.protocol_version = version}))).status();
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(status.message() == absl::StrCat("protocol_version: ", version, ", this side speaks ",
                                           kProtocolVersion,
                                           "; install the same release on server and worker"));
  }
}

TEST_CASE("a worker whose results name no device is of an older protocol", "[proto]") {
  CHECK(kProtocolVersion >= 2);
  v1::WorkerMessage message;
  message.mutable_hello()->set_protocol_version(1);
  CHECK(absl::IsFailedPrecondition(FromProto(message).status()));
}

TEST_CASE("unknown enumerators are refused", "[proto]") {
  CHECK(absl::IsInvalidArgument(FromProto(static_cast<v1::Outcome>(42)).status()));
  CHECK(absl::IsInvalidArgument(FromProto(v1::OUTCOME_UNSPECIFIED).status()));
  CHECK(absl::IsInvalidArgument(FromProto(static_cast<v1::JobState>(-1)).status()));
}

TEST_CASE("reasons that are not UTF-8 are made so", "[proto]") {
  CHECK(CleanText("caf\xc3\xa9", 99) == "caf\xc3\xa9");
  CHECK(CleanText("a\xff"
                  "b\xc3",
                  99) == "a?b?");
  CHECK(CleanText("\xed\xa0\x80", 99) == "???");  // a surrogate
  CHECK(CleanText("aaa\xc3\xa9", 4) == "aaa");    // not cut within a character
  CHECK(CleanText(std::string_view("a\0b", 3), 99) == "a?b");
}

}  // namespace
}  // namespace tessera::proto
