#include "server/model_times.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/server/model_farm.h"

namespace tessera::server {
namespace {

constexpr ModelTimesOptions kAtOnce = {.pause = absl::ZeroDuration(), .pause_times = 0};
constexpr int kMoreThanWillBeDone = 100'000;

// A job of the farm's model, which goes on until it is cancelled.
v1::CreateJobRequest JobOf(const v1::Selection& selection) {
  v1::CreateJobRequest request = Rig::Request(kMoreThanWillBeDone);
  request.clear_tasks();
  for (const char* op : {"a", "b"}) *request.add_tasks() = proto::ToProto(Farm::TaskOf(op));
  request.set_selection(selection.id());
  return request;
}

void Cancel(Rig& rig, int64_t job) {
  grpc::ClientContext context;
  v1::CancelJobRequest request;
  request.set_job_id(job);
  v1::CancelJobReply reply;
  REQUIRE(rig.jobs->CancelJob(&context, request, &reply).ok());
}

// Watches until `is_enough` of some progress, at most half a minute.
template <typename IsEnough>
std::optional<v1::JobProgress> WatchUntil(Rig& rig, int64_t job, IsEnough is_enough) {
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

TEST_CASE("watchers see what a run of the model takes while its kernels are tuned", "[server]") {
  Farm farm(/*runs=*/true, kAtOnce);
  const auto job = farm.rig.Create(JobOf(farm.Select()));
  INFO(job.status());
  REQUIRE(job.ok());
  const auto first = WatchUntil(
      farm.rig, *job, [](const v1::JobProgress& progress) { return progress.has_model(); });
  REQUIRE(first);
  CHECK(first->model().seconds() == Approx(3 * Farm::kOtherSeconds));
  CHECK(first->model().default_seconds() == Approx(7e-3));
  CHECK(first->model().trials() >= 2);
  for (const v1::TaskProgress& task : first->tasks()) CHECK(task.best_seconds() > 0);
  const auto later = WatchUntil(farm.rig, *job, [&](const v1::JobProgress& progress) {
    return progress.model().trials() > first->model().trials();
  });
  CHECK(later);

  Cancel(farm.rig, *job);
  CHECK(farm.rig.WatchToEnd(*job).has_model());  // the last is known of jobs that have ended
}

TEST_CASE("a measurement ends with its job", "[server]") {
  Farm farm(/*runs=*/true, kAtOnce);
  {
    const std::lock_guard lock(farm.mutex);
    farm.never_ends = true;
  }
  const auto lost = farm.rig.Create(JobOf(farm.Select()));
  REQUIRE(lost.ok());
  REQUIRE(test::Eventually([&] {
    const std::lock_guard lock(farm.mutex);
    return !farm.plans.empty();
  }));
  Cancel(farm.rig, *lost);
  CHECK_FALSE(farm.rig.WatchToEnd(*lost).has_model());
  {
    const std::lock_guard lock(farm.mutex);
    farm.never_ends = false;
  }
  const auto next = farm.rig.Create(JobOf(farm.Select()));
  REQUIRE(next.ok());
  CHECK(WatchUntil(farm.rig, *next,
                   [](const v1::JobProgress& progress) { return progress.has_model(); }));
  Cancel(farm.rig, *next);
}

TEST_CASE("jobs are of models that there are", "[server]") {
  Farm farm;
  v1::Selection selection = farm.Select(/*is_model=*/false);
  const auto of_operators = farm.rig.Create(JobOf(selection));
  CHECK(absl::IsInvalidArgument(of_operators.status()));
  CHECK_THAT(std::string(of_operators.status().message()),
             Catch::Contains("selection 1 is of operators, a job's is of a model"));
  selection.set_id(7);
  const auto of_none = farm.rig.Create(JobOf(selection));
  CHECK(absl::IsInvalidArgument(of_none.status()));
  CHECK_THAT(std::string(of_none.status().message()), Catch::Contains("selection 7"));
}

}  // namespace
}  // namespace tessera::server
