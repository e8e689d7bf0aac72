#include <catch2/catch.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "server/tasks.h"
#include "tests/server/jobs_fixture.h"
#include "tests/support/cpu_time.h"

namespace tessera::server {
namespace {

db::Task TaskOf(const std::string& text) {
  const auto workload = te::ParseWorkload(text);
  INFO(workload.status());
  REQUIRE(workload.ok());
  return {.name = "large",
          .workload_hash = HashToHex(te::StructuralHash(workload->dag)),
          .workload = te::Print(*workload),
          .target = test::kFakeTarget};
}

// The costliest kind to make a space of: every stage is substituted into the next.
db::Task Chain(int stages) {
  std::string text = "workload chain\ninput X: f32[64, 64]\n";
  std::string previous = "X";
  for (int i = 0; i < stages; ++i) {
    absl::StrAppend(&text, "stage s", i, ": f32[a:64, b:64] = (", previous, "[a, b] + X[a, b])\n");
    previous = absl::StrCat("s", i);
  }
  return TaskOf(absl::StrCat(text, "output ", previous, "\n"));
}

std::string Sum(int terms) {
  if (terms == 1) return "X[a]";
  return absl::StrCat("(", Sum(terms / 2), " + ", Sum(terms - terms / 2), ")");
}

TEST_CASE("a job that would take long to prepare is refused with the limit", "[server]") {
  JobsFixture f;
  const auto refusal = [&](std::vector<db::Task> tasks) {
    const absl::Status status = f.jobs->Create(JobsFixture::Job(std::move(tasks))).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(refusal(std::vector<db::Task>(257, Rig::Task())) ==
        "job: 257 tasks, the limit is 256; make several jobs of it");
  const db::Task chain = Chain(te::kMaxStages);
  CHECK(refusal(std::vector<db::Task>(kMaxJobStages / te::kMaxStages + 1, chain)) ==
        absl::StrCat("job: ", kMaxJobStages + te::kMaxStages,
                     " stages in its tasks, the limit is 4096; make several jobs of it"));
  db::Task wordy = TaskOf(absl::StrCat(
      "workload wordy\ninput X: f32[64]\nstage s: f32[a:64] = ", Sum(100'000), "\noutput s\n"));
  const size_t bytes = 6 * wordy.workload.size();
  CHECK(refusal(std::vector<db::Task>(6, wordy)) ==
        absl::StrCat("job: ", bytes,
                     " bytes of workloads in its tasks, the limit is 4194304; make several jobs "
                     "of it"));
  std::string wide = "workload wide\n", sum;
  for (int i = 0; i < 64; ++i) {
    absl::StrAppend(&wide, "input X", i, ": f32[8]\n");
    absl::StrAppend(&sum, i == 0 ? "" : " + ", "X", i, "[a]");
  }
  CHECK(refusal({TaskOf(absl::StrCat(wide, "stage s: f32[a:8] = ", sum, "\noutput s\n"))}) ==
        "task large: workload: 65 inputs and outputs; a kernel takes at most 64, so split it");
  CHECK(f.spaces == 0);
  CHECK(f.memory->ListJobs(10)->empty());
}

TEST_CASE("the largest jobs that are taken are prepared in seconds", "[server]") {
  db::MemoryStore store(Clock::Real());
  NoDevices devices;
  SearchFactory search = ToySearch();
  search.space = tuner::MakeSearchSpace;
  JobManager jobs(store, devices, Clock::Real(), std::move(search));
  const std::vector<db::Task> chains(kMaxJobStages / te::kMaxStages, Chain(te::kMaxStages));
  const absl::Duration start = test::ThreadCpuTime();
  const auto id = jobs.Create(JobsFixture::Job(chains));
  INFO(id.status());
  CHECK(id.ok());
  CHECK(test::ThreadCpuTime() - start < absl::Seconds(30));  // it takes 3 s
}

}  // namespace
}  // namespace tessera::server
