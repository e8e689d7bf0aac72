#include <catch2/catch.hpp>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "tests/proto/random_messages.h"

namespace tessera::proto {

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

}  // namespace tessera::proto
