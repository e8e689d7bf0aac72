#include "server/model_times.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/server/model_farm.h"

namespace tessera::server {
namespace {

constexpr ModelTimesOptions kAtOnce = {.pause = absl::ZeroDuration(), .pause_times = 0};
constexpr int kMoreThanWillBeDone = 100'000;

// Kernels take 1.5 ms in the model, but for default schedules.
struct TuningFarm : Farm {
  explicit TuningFarm(ModelTimesOptions options = kAtOnce) : Farm(/*runs=*/true, options) {
    others = 1.5e-3;
  }

  // A job of the model, which goes on until it is cancelled.
  v1::CreateJobRequest JobOf(const v1::Selection& selection) {
    v1::CreateJobRequest request = Rig::Request(kMoreThanWillBeDone);
    request.clear_tasks();
    for (const char* op : {"a", "b"}) *request.add_tasks() = proto::ToProto(TaskOf(op));
    request.mutable_options()->set_device_class("x86/fake");
    request.set_selection(selection.id());
    return request;
  }
  int64_t Start() {
    const auto job = rig.Create(JobOf(Select()));
    INFO(job.status());
    REQUIRE(job.ok());
    return *job;
  }
  void Cancel(int64_t job) {
    grpc::ClientContext context;
    v1::CancelJobRequest request;
    request.set_job_id(job);
    v1::CancelJobReply reply;
    REQUIRE(rig.jobs->CancelJob(&context, request, &reply).ok());
  }

  // Watches until `is_enough` of some progress, at most half a minute.
  template <typename IsEnough>
  std::optional<v1::JobProgress> WatchUntil(int64_t job, IsEnough is_enough) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::WatchJobRequest request;
    request.set_job_id(job);
    auto reader = rig.jobs->WatchJob(&context, request);
    v1::JobProgress progress;
    bool found = false;
    while (!found && reader->Read(&progress)) found = is_enough(progress);
    context.TryCancel();
    reader->Finish();
    if (!found) return std::nullopt;
    return progress;
  }
  std::optional<v1::JobProgress> WatchUntilMeasured(int64_t job) {
    return WatchUntil(job, [](const v1::JobProgress& progress) { return progress.has_model(); });
  }
  std::optional<v1::JobProgress> WatchTrials(int64_t job, int64_t more) {
    const auto done = [](const v1::JobProgress& progress) {
      return progress.tasks(0).trials_done() + progress.tasks(1).trials_done();
    };
    std::optional<int64_t> first;
    return WatchUntil(job, [&](const v1::JobProgress& progress) {
      if (!first) first = done(progress);
      return done(progress) >= *first + more;
    });
  }
  size_t Plans() {
    const std::lock_guard lock(mutex);
    return plans.size();
  }
  void Hang(bool hangs) {
    const std::lock_guard lock(mutex);
    never_ends = hangs;
  }
};

}  // namespace

TEST_CASE("watchers see what a run of the model takes while its kernels are tuned", "[server]") {
  TuningFarm farm;
  const int64_t job = farm.Start();
  const auto first = farm.WatchUntilMeasured(job);
  REQUIRE(first);
  CHECK(first->model().seconds() == Approx(4.5e-3));
  CHECK(first->model().default_seconds() == Approx(7e-3));
  CHECK(first->model().trials() >= 2);
  for (const v1::TaskProgress& task : first->tasks()) CHECK(task.best_seconds() > 0);
  const auto later = farm.WatchUntil(job, [&](const v1::JobProgress& progress) {
    return progress.model().trials() > first->model().trials();
  });
  CHECK(later);

  farm.Cancel(job);
  CHECK(farm.rig.WatchToEnd(job).has_model());  // the last is known of jobs that have ended
}

TEST_CASE("models are measured after a pause", "[server]") {
  SECTION("first") {
    TuningFarm farm({.pause = absl::Hours(1), .pause_times = 0});
    const int64_t job = farm.Start();
    const auto later = farm.WatchTrials(job, 200);
    REQUIRE(later);
    CHECK_FALSE(later->has_model());
    farm.Cancel(job);
  }
  SECTION("and again, whatever model is next") {
    TuningFarm farm({.pause = absl::ZeroDuration(), .pause_times = 1e9});
    const int64_t job = farm.Start();
    REQUIRE(farm.WatchUntilMeasured(job));
    const int64_t other = farm.Start();
    const auto later = farm.WatchTrials(other, 200);
    REQUIRE(later);
    CHECK_FALSE(later->has_model());
    CHECK(farm.Plans() == 1);
    farm.Cancel(job);
    farm.Cancel(other);
  }
}

TEST_CASE("models of several jobs are measured in turns", "[server]") {
  TuningFarm farm;
  const int64_t one = farm.Start(), other = farm.Start();
  CHECK(farm.WatchUntilMeasured(one));
  CHECK(farm.WatchUntilMeasured(other));
  const size_t before = farm.Plans();
  REQUIRE(test::Eventually([&] { return farm.Plans() >= before + 2; }));
  farm.Cancel(one);
  farm.Cancel(other);
}

TEST_CASE("a measurement ends with its job", "[server]") {
  TuningFarm farm;
  farm.Hang(true);
  const int64_t lost = farm.Start();
  REQUIRE(test::Eventually([&] { return farm.Plans() > 0; }));
  farm.Cancel(lost);
  CHECK_FALSE(farm.rig.WatchToEnd(lost).has_model());
  farm.Hang(false);
  const int64_t next = farm.Start();
  CHECK(farm.WatchUntilMeasured(next));
  farm.Cancel(next);
}

TEST_CASE("a measurement ends with its server, whose successor makes it", "[server]") {
  TuningFarm farm;
  farm.Hang(true);
  const int64_t job = farm.Start();
  REQUIRE(test::Eventually([&] { return farm.Plans() > 0; }));
  farm.rig.RestartServer();
  farm.Hang(false);
  REQUIRE(farm.worker->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                                   std::chrono::seconds(30)));
  farm.worker->Connect();
  CHECK(farm.WatchUntilMeasured(job));
  farm.Cancel(job);
}

TEST_CASE("a model that can't be measured is tried again, and its job goes on", "[server]") {
  TuningFarm farm;
  farm.SetRefused("a=");
  const int64_t job = farm.Start();
  const auto later = farm.WatchTrials(job, 200);
  REQUIRE(later);
  CHECK_FALSE(later->has_model());
  farm.SetRefused("");
  CHECK(farm.WatchUntilMeasured(job));
  farm.Cancel(job);
}

TEST_CASE("jobs are of models that are theirs", "[server]") {
  TuningFarm farm;
  const auto refusal = [&](const v1::CreateJobRequest& request) {
    const absl::Status status = farm.rig.Create(request).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  const v1::Selection of_model = farm.Select();
  v1::CreateJobRequest request = farm.JobOf(farm.Select(/*is_model=*/false));
  CHECK_THAT(refusal(request),
             Catch::Contains("selection 2 is of operators, a job's is of a model"));
  request.set_selection(7);
  CHECK_THAT(refusal(request), Catch::Contains("selection 7"));
  request = farm.JobOf(of_model);
  request.mutable_options()->clear_device_class();
  CHECK_THAT(refusal(request),
             Catch::Contains("selection 1 is of device class \"x86/fake\", the job of \"\""));
  request = farm.JobOf(of_model);
  request.mutable_tasks()->RemoveLast();
  CHECK_THAT(refusal(request), Catch::Contains("selection 1 has other kernels than the job"));
  request = farm.JobOf(farm.Select(/*is_model=*/true, "my-net"));
  CHECK_THAT(refusal(request), Catch::Contains("\"my-net\" is not an identifier"));
}

}  // namespace tessera::server
