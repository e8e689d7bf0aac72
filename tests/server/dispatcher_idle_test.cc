// What the dispatcher counts as waiting, with simulated devices: time moves by hand, a trial takes
// 10 ms to run.

#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using db::RunnerPhase;
using test::FakeBuild;
using test::FakeDevice;

constexpr absl::Duration kRun = absl::Milliseconds(10);

// One builder and some runners that are simulated in steps of a millisecond. A job keeps as many
// trials here as it is asked for.
class Farm {
 public:
  explicit Farm(int runners) : rig_(Patient()) {
    builder_.link = rig_.Connect("b", {FakeDevice("b/cpu", true, false)}, {}, "first", 1);
    for (int i = 0; i < runners; ++i) {
      const std::string name = absl::StrCat("r", i);
      runners_.push_back(
          {rig_.Connect(name, {FakeDevice(name + "/cpu", false, true)}, {}, "first", 0)});
    }
  }

  void Run(int milliseconds) {
    for (int i = 0; i < milliseconds; ++i) Step();
  }
  // What a phase has of the time of all runners.
  double Share(RunnerPhase phase) {
    double sum = 0, total = 0;
    for (const db::RunnerTime& time : rig().dispatcher->RunnerTimes(rig().job_id)) {
      sum += time.Of(phase);
      total += time.Total();
    }
    return sum / total;
  }
  DispatcherRig& rig() { return rig_; }

  absl::Duration build_time, transfer_time, store_time, propose_time;
  bool waits_for_store = false;  // the job, before it hands out more
  int least_appetite = 1;        // before it does

 private:
  // A worker that does one thing after another, for each as long as it takes.
  struct Worker {
    std::shared_ptr<RecordingLink> link;
    size_t taken = 0;                           // messages
    absl::Time since = absl::InfiniteFuture();  // it works on messages[taken - 1]

    // Begins with the next message of the type, if it is idle and there is one.
    template <typename T>
    void Begin(absl::Time now) {
      if (since != absl::InfiniteFuture()) return;
      while (taken < link->messages.size()) {
        if (!std::holds_alternative<T>(link->messages[taken++])) continue;
        since = now;
        return;
      }
    }
    // What it has worked on for `time`.
    template <typename T>
    std::optional<T> Done(absl::Time now, absl::Duration time) {
      Begin<T>(now);
      if (since == absl::InfiniteFuture() || now - since < time) return std::nullopt;
      since = absl::InfiniteFuture();
      return std::get<T>(link->messages[taken - 1]);
    }
  };

  static DispatcherOptions Patient() {
    DispatcherOptions options;
    options.lease_timeout = absl::Hours(1);  // nobody beats here
    return options;
  }

  void Step() {
    rig_.clock.Advance(absl::Milliseconds(1));
    const absl::Time now = rig_.clock.Now();
    if (const auto request = builder_.Done<proto::BuildRequest>(now, build_time)) {
      const std::string bytes = absl::StrCat("artifact of ", request->trace);
      REQUIRE(rig_.artifacts->Put(bytes).ok());
      rig_.Reply(*builder_.link, FakeBuild(*request, bytes));
      builder_.Begin<proto::BuildRequest>(now);
    }
    for (Worker& runner : runners_) {
      if (const auto plan = runner.Done<proto::RunPlan>(now, kRun + transfer_time)) {
        proto::RunResult result = test::FakeRun(*plan);
        result.measurements[0].run_seconds = absl::ToDoubleSeconds(kRun);
        rig_.Reply(*runner.link, result);
        runner.Begin<proto::RunPlan>(now);
      }
    }
    for (; came_ < rig_.records.size(); ++came_) to_store_.emplace_back(rig_.records[came_], now);
    while (!to_store_.empty() && now - to_store_.front().second >= store_time) {
      rig_.dispatcher->Stored(to_store_.front().first);
      to_store_.pop_front();
    }
    const int appetite = rig_.dispatcher->Appetite(rig_.task, "");
    if (appetite < least_appetite || (waits_for_store && !to_store_.empty())) {
      proposes_since_ = now;
    } else if (now - proposes_since_ >= propose_time) {
      for (int n = 0; n < appetite; ++n) rig_.Start(trials_++);
      proposes_since_ = now;
    }
  }

  DispatcherRig rig_;
  Worker builder_;
  std::vector<Worker> runners_;
  std::deque<std::pair<db::Record, absl::Time>> to_store_;
  size_t came_ = 0;  // of the rig's records
  absl::Time proposes_since_ = absl::UnixEpoch();
  int64_t trials_ = 0;
};

TEST_CASE("a runner that is fed waits for nothing", "[server]") {
  Farm farm(1);
  farm.Run(1000);
  CHECK(farm.Share(RunnerPhase::kRun) > 0.99);
}

TEST_CASE("slow builds are what a runner waits for", "[server]") {
  Farm farm(1);
  farm.build_time = absl::Milliseconds(40);
  farm.Run(4000);
  CHECK(farm.Share(RunnerPhase::kRun) == Approx(0.25).margin(0.01));
  CHECK(farm.Share(RunnerPhase::kBuild) == Approx(0.75).margin(0.01));
}

TEST_CASE("a job that proposes late is what runners wait for", "[server]") {
  Farm farm(2);
  farm.least_appetite = 8;  // two runners with two plans and two built trials each: all is used up
  farm.propose_time = absl::Milliseconds(60);
  farm.Run(4000);
  CHECK(farm.Share(RunnerPhase::kProposal) > 0.25);
  CHECK(farm.Share(RunnerPhase::kBuild) < 0.15);
  CHECK(farm.Share(RunnerPhase::kRun) + farm.Share(RunnerPhase::kProposal) +
            farm.Share(RunnerPhase::kBuild) ==
        Approx(1).margin(0.01));
}

TEST_CASE("a slow store is what a job that waits for it makes runners wait for", "[server]") {
  Farm farm(1);
  farm.waits_for_store = true;
  farm.store_time = absl::Milliseconds(200);
  farm.Run(4000);
  CHECK(farm.Share(RunnerPhase::kStore) > 0.5);
  CHECK(farm.Share(RunnerPhase::kProposal) < 0.05);
}

TEST_CASE("time at the worker beyond the run is the worker's", "[server]") {
  Farm farm(1);
  farm.transfer_time = absl::Milliseconds(10);
  farm.Run(2000);
  CHECK(farm.Share(RunnerPhase::kRun) == Approx(0.5).margin(0.01));
  CHECK(farm.Share(RunnerPhase::kWorker) == Approx(0.5).margin(0.01));
}

TEST_CASE("when a job has ended its times stay", "[server]") {
  Farm farm(1);
  farm.Run(500);
  const auto before = farm.rig().dispatcher->RunnerTimes(farm.rig().job_id);
  farm.rig().dispatcher->Abandon(farm.rig().job_id);
  farm.rig().clock.Advance(absl::Seconds(1));
  farm.rig().dispatcher->Tick();
  CHECK(farm.rig().dispatcher->RunnerTimes(farm.rig().job_id) == before);
  CHECK(farm.rig().dispatcher->RunnerTimes(farm.rig().job_id + 1).empty());
}

}  // namespace
}  // namespace tessera::server
