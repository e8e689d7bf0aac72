// How a job compares what several devices measured.

#include "tuner/paces.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>

#include "tests/tuner/folding.h"

namespace tessera::test {
namespace {

using Factors = std::vector<double>;

db::Event PacedEvent(const TuningState& state, const std::string& device, double pace) {
  db::Event event;
  event.job_id = 1;
  event.sequence = state.next_sequence();
  event.kind = EventKind::kPaced;
  event.device = device;
  event.pace = pace;
  return event;
}

TEST_CASE("times become those of the first device", "[paces]") {
  tuner::Paces paces;
  CHECK(paces.Set("b", 1.2).empty());  // nothing of it was measured
  REQUIRE(paces.NumberOf("a") == 0);
  REQUIRE(paces.NumberOf("b") == 1);
  REQUIRE(paces.NumberOf("a") == 0);
  CHECK(paces.Comparable(0, 3) == 3);
  CHECK(paces.Comparable(1, 3) == Approx(2.5));
  CHECK(paces.Set("b", 1.2).empty());
  CHECK(paces.Set("elsewhere", 7).empty());
  const Factors factors = paces.Set("b", 1.5);
  REQUIRE(factors.size() == 2);
  CHECK(factors[0] == 1);
  CHECK(factors[1] == Approx(0.8));
  // The whole class is taken for slower: nothing changes between the two.
  paces.Set("a", 1.1);
  paces.Set("b", 1.65);
  CHECK(paces.Comparable(1, 3) == Approx(2));
  CHECK(paces.Comparable(0, 0.1) == 0.1);
}

TEST_CASE("the fastest of all is one of the fastest of each device", "[paces]") {
  tuner::FastestOfDevices fastest;
  CHECK(std::isinf(fastest.Best().seconds));
  CHECK(fastest.Best().trial == -1);
  fastest.Add(1, {2.2, 7, 70});
  fastest.Add(0, {2, 4, 40});
  fastest.Add(0, {2, 5, 50});
  CHECK(fastest.Best().trial == 4);
  fastest.Scale(Factors{1, 0.8});
  CHECK(fastest.Best().trial == 7);
  CHECK(fastest.Best().record_id == 70);
  fastest.Scale(Factors{1, 1.25});
  CHECK(fastest.Best().trial == 4);
}

// A fold of one task whose trials are measured by hand.
struct Folded {
  explicit Folded(Rig& rig) : state(Fresh(rig)) {}
  int64_t Measure(double seconds, const std::string& device) {
    const auto proposals = state.Propose(0, 1);
    REQUIRE(proposals.ok());
    const int64_t trial = state.trial_count();
    REQUIRE(state.Apply(Proposed(state, proposals->at(0))).ok());
    db::Event result = Result(state, trial, Outcome::kOk, seconds);
    result.device = device;
    result.record_id = 100 + trial;
    REQUIRE(state.Apply(result).ok());
    return trial;
  }
  TuningState state;
};

TEST_CASE("what a slow device measured is found to be the best once its pace is known", "[paces]") {
  Rig rig(1, Budget(40), {});
  Folded job(rig);
  job.Measure(1, "fast");  // the default schedule
  const int64_t first = job.Measure(0.010, "fast");
  const int64_t second = job.Measure(0.011, "slow");
  for (int i = 0; i < 8; ++i) job.Measure(0.02, "fast");
  CHECK(job.state.task(0).best_trial == first);
  REQUIRE(job.state.Apply(PacedEvent(job.state, "slow", 1.2)).ok());
  CHECK(job.state.task(0).best_trial == second);
  CHECK(job.state.task(0).best_record_id == 100 + second);
  CHECK(job.state.task(0).best_seconds == Approx(0.011 / 1.2));
  // So do the targets of models: the throughput relative to the best.
  const auto fit = job.state.FitDue(0);
  REQUIRE(fit.has_value());
  CHECK(fit->targets.at(0) == Approx(0.011 / 1.2 / 0.010));
  CHECK(fit->targets.at(1) == 1);
  // And what comes later.
  const int64_t third = job.Measure(0.0105, "slow");
  CHECK(job.state.task(0).best_trial == third);
  // It was not so slow after all.
  REQUIRE(job.state.Apply(PacedEvent(job.state, "slow", 1)).ok());
  CHECK(job.state.task(0).best_trial == first);
}

TEST_CASE("a log with a pace that can't be is damaged", "[paces]") {
  Rig rig(1, Budget(40), {});
  for (const double pace : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    TuningState state = Fresh(rig);
    CHECK(absl::IsDataLoss(state.Apply(PacedEvent(state, "a", pace))));
  }
}

TEST_CASE("what was known before is compared by the devices that measured it", "[paces]") {
  Rig rig(1, Budget(40), {});
  auto prior = std::make_shared<tuner::Prior>();
  Rng rng(5);
  const double seconds[] = {0.010, 0.011, 0.02};
  const char* const devices[] = {"fast", "slow", "fast"};
  for (int i = 0; i < 3; ++i) {
    const tuner::Point point = rig.spaces[0]->Sample(rng);
    if (i == 0) prior->tasks.emplace_back();
    prior->tasks[0].known.push_back(
        {*rig.spaces[0]->LoopHash(point), rig.spaces[0]->Config(point), seconds[i], devices[i]});
  }
  CHECK(*tuner::ParsePrior(tuner::Print(*prior)) == *prior);
  rig.prior = prior;
  Folded job(rig);
  REQUIRE(job.state.Apply(PacedEvent(job.state, "slow", 1.2)).ok());
  for (int i = 0; i < 9; ++i) job.Measure(0.03, "fast");
  const auto fit = job.state.FitDue(0);
  REQUIRE(fit.has_value());
  REQUIRE(fit->known == 3);
  CHECK(fit->targets.at(1) == 1);
  CHECK(fit->targets.at(0) == Approx(0.011 / 1.2 / 0.010));
}

// Two devices by turns, one of which takes 1.2 times as long for everything, and what a server
// would have found out about them after some trials.
class Farm final : public tuner::Measurer {
 public:
  Farm(Rig& rig, std::vector<std::pair<std::string, double>> devices, int known_after)
      : rig_(rig), devices_(std::move(devices)), known_after_(known_after) {}
  int Appetite(const db::Task&, std::string_view) override {
    return 4 - static_cast<int>(held_.size());
  }
  std::map<std::string, double> Paces(std::string_view) override {
    std::map<std::string, double> paces;
    if (delivered_ >= known_after_) paces.insert(devices_.begin(), devices_.end());
    return paces;
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    held_.emplace_back(request, std::move(done));
  }
  bool Deliver() {
    if (held_.empty()) return false;
    auto [request, done] = std::move(held_.front());
    held_.erase(held_.begin());
    // A program is always the same device's, also after a restart.
    const auto& [device, slower] = devices_[static_cast<size_t>(request.trial) % devices_.size()];
    db::Record record;
    record.loop_hash = request.loop_hash;
    record.device = device;
    record.device_class = "farm";
    record.measurement.outcome = Outcome::kOk;
    record.measurement.sample_seconds = {
        rig_.spaces[request.task_index]->CostSeconds(request.config) * slower};
    ++delivered_;
    done(std::move(record));
    return true;
  }
  void Forget() { held_.clear(); }

 private:
  Rig& rig_;
  const std::vector<std::pair<std::string, double>> devices_;
  const int known_after_;
  int delivered_ = 0;
  std::vector<std::pair<tuner::TrialRequest, std::function<void(db::Record)>>> held_;
};

const std::vector<std::pair<std::string, double>> kTwo = {{"fast", 1}, {"slow", 1.2}};

std::unique_ptr<tuner::JobRunner> RunnerOn(Rig& rig, Farm& farm) {
  std::vector<std::shared_ptr<const tuner::SearchSpace>> views(rig.spaces.begin(),
                                                               rig.spaces.end());
  tuner::SearchOptions options;
  options.rivals = 0;
  auto runner = tuner::JobRunner::Create(
      *rig.memory.GetJob(rig.job_id),
      {views, rig.learner, rig.store, farm, rig.executor, rig.clock, rig.poll, rig.prior}, options);
  REQUIRE(runner.ok());
  return *std::move(runner);
}

// Whether the record that a whole job takes for the best is that of its fastest program.
bool FindsFastest(Rig& rig, Farm& farm) {
  const auto runner = RunnerOn(rig, farm);
  while (runner->Step()) farm.Deliver();
  double best = std::numeric_limits<double>::infinity();
  int64_t id = 0;
  for (const db::Record& record : rig.Records()) {
    const double seconds = rig.spaces[0]->CostSeconds(record.config);
    if (seconds >= best) continue;
    best = seconds;
    id = record.id;
  }
  return runner->Progress()->tasks[0].best_record_id == id;
}

TEST_CASE("a farm of two unequal devices finds the fastest program if it knows their paces",
          "[paces]") {
  constexpr int kNever = 1 << 20;
  int missed = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rig blind_rig(1, Budget(64, seed), {}, seed);
    Farm blind(blind_rig, kTwo, kNever);
    missed += FindsFastest(blind_rig, blind) ? 0 : 1;
    for (const int known_after : {0, 12, 40, 60}) {
      CAPTURE(known_after);
      Rig rig(1, Budget(64, seed), {}, seed);
      Farm farm(rig, kTwo, known_after);
      CHECK(FindsFastest(rig, farm));
      CHECK(rig.Log(EventKind::kPaced).size() == 1);  // of the other nothing new is known
    }
  }
  CHECK(missed > 0);
}

TEST_CASE("a job whose paces are known from the start searches as on one device", "[paces]") {
  const auto search = [](const std::vector<std::pair<std::string, double>>& devices) {
    Rig rig(2, Budget(48, 3), {});
    Farm farm(rig, devices, 0);
    const auto runner = RunnerOn(rig, farm);
    while (runner->Step()) farm.Deliver();
    std::vector<std::string> configs;
    for (const db::Event& event : rig.Log(EventKind::kProposed)) configs.push_back(event.config);
    REQUIRE(configs.size() == 96);
    return configs;
  };
  // Powers of two: times are divided without rounding.
  CHECK(search({{"fast", 1}, {"slow", 2}}) == search({{"only", 1}}));
  // Where there is one device its pace does not matter, to the bit.
  CHECK(search({{"only", 1.0625}}) == search({{"only", 1}}));
}

TEST_CASE("a job that is continued knows the paces from its log, and logs them once", "[paces]") {
  for (const bool restarts : {false, true}) {
    CAPTURE(restarts);
    Rig rig(1, Budget(48, 7), {});
    Farm farm(rig, kTwo, 10);
    auto runner = RunnerOn(rig, farm);
    for (int step = 0; runner->Step(); ++step) {
      farm.Deliver();
      if (restarts && step % 9 == 8) {
        farm.Forget();
        runner.reset();
        runner = RunnerOn(rig, farm);
      }
    }
    const std::vector<db::Event> log = rig.Log();
    CHECK(rig.Log(EventKind::kPaced).size() == 1);
    // The log alone gives the same proposals.
    const Models models = TrainAgain(rig, log);
    TuningState state = Fresh(rig);
    for (size_t at = 0; at < log.size();) {
      LoadModels(rig, models, state);
      const size_t events =
          log[at].kind == EventKind::kProposed ? CheckProposals(state, log, at) : 1;
      for (size_t i = 0; i < events; ++i) REQUIRE(state.Apply(log[at + i]).ok());
      at += events;
    }
    CHECK(state.task(0).best_record_id == runner->Progress()->tasks[0].best_record_id);
    CHECK(state.paces().Of("slow") == 1.2);
  }
}

}  // namespace
}  // namespace tessera::test
