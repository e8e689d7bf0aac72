#include "worker/agent/duties.h"

#include <catch2/catch.hpp>

namespace tessera::agent {
namespace {

proto::RunPlan Plan(uint64_t fence) {
  proto::RunPlan plan;
  plan.lease.fence = fence;
  return plan;
}

TEST_CASE("a worker holds what waits, what is under way and what is not acknowledged", "[agent]") {
  Duties duties;
  duties.Add(Plan(1));
  duties.Add(Plan(2));
  duties.Add(BuildDuty(proto::BuildRequest{.fence = 3}));
  CHECK(FenceOf(duties.NextRun().value()) == 1);
  CHECK(duties.Finish(1, proto::RunResult{Plan(1).lease}));
  CHECK(FenceOf(duties.NextRun().value()) == 2);
  CHECK(duties.Held() == std::vector<uint64_t>{2, 3, 1});
  CHECK(duties.Unacknowledged().size() == 1);
  duties.Acknowledge(1);
  CHECK(duties.Unacknowledged().empty());
  CHECK(duties.Held() == std::vector<uint64_t>{2, 3});
}

TEST_CASE("models are run in turn with other plans", "[agent]") {
  Duties duties;
  duties.Add(proto::ModelPlan{.fence = 4});
  duties.Add(Plan(5));
  CHECK(duties.Held() == std::vector<uint64_t>{4, 5});
  CHECK(FenceOf(duties.NextRun().value()) == 4);
  CHECK(FenceOf(duties.NextRun().value()) == 5);
  CHECK(duties.Finish(4, proto::ModelResult{.fence = 4}));
}

TEST_CASE("cancelled work has no result", "[agent]") {
  Duties duties;
  duties.Add(Plan(1));
  duties.Add(Plan(2));
  CHECK(FenceOf(duties.NextRun().value()) == 1);
  CHECK(duties.IsUnderWay(1));
  CHECK(duties.UnderWay() == std::vector<uint64_t>{1});
  CHECK(duties.Cancel(1));        // somebody works on it
  CHECK_FALSE(duties.Cancel(2));  // nobody does
  CHECK_FALSE(duties.IsUnderWay(1));
  CHECK_FALSE(duties.Finish(1, proto::RunResult{}));
  CHECK(duties.Held().empty());
}

TEST_CASE("a result outlives the cancelling of its lease", "[agent]") {
  Duties duties;
  duties.Add(Plan(1));
  duties.NextRun();
  CHECK(duties.Finish(1, proto::RunResult{Plan(1).lease}));
  duties.Cancel(1);  // late: the server will store it as stale
  CHECK(duties.Unacknowledged().size() == 1);
}

TEST_CASE("stopping ends waiting", "[agent]") {
  Duties duties;
  duties.Stop();
  CHECK_FALSE(duties.NextRun().has_value());
  CHECK_FALSE(duties.NextBuild().has_value());
}

}  // namespace
}  // namespace tessera::agent
