// What a proposal costs: milliseconds of CPU a batch of eight (of 64 for an explorer that plans) in
// the space of ResNet-18's C2, on one core, after 64 and after 512 results whose times are made up
// (medians of nine batches). Writes build/bench/explore.json (or the path given).

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "compiler/te/operators.h"
#include "costmodel/draft.h"
#include "tuner/config_search_space.h"
#include "tuner/cost_model_learner.h"
#include "tuner/state.h"

namespace {

namespace db = tessera::db;
namespace te = tessera::te;
namespace tuner = tessera::tuner;

constexpr int kBatch = 8;
constexpr int kRounds = 9;

db::Task C2() {
  const te::Workload workload = te::MakeWorkload({"C2",
                                                  "conv2d",
                                                  {{"size", "56"},
                                                   {"ic", "64"},
                                                   {"oc", "64"},
                                                   {"k", "3"},
                                                   {"pad", "1"},
                                                   {"bias", "true"},
                                                   {"relu", "true"},
                                                   {"layout", "any"}}})
                                    .value();
  db::Task task;
  task.name = "C2";
  task.workload = te::Print(workload);
  task.target = tessera::ir::ToString(tessera::ir::X86Target("avx512").value());
  return task;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "bench_explore: " << status << '\n';
  std::exit(1);
}

// A search whose trials are measured at once.
class Search {
 public:
  Search(const std::string& explorer, const std::string& cost_model, int trials)
      : learner_(tuner::MakeLearner(cost_model, 1).value()) {
    db::Job job;
    job.tasks = {C2()};
    job.options.explorer = explorer;
    job.options.trials_per_task = trials;
    space_ = tuner::MakeSearchSpace(job.tasks[0]).value();
    state_ =
        std::make_unique<tuner::TuningState>(tuner::TuningState::Create(job, {space_}).value());
  }

  // Milliseconds; the proposals are measured afterwards.
  double Propose() {
    const std::clock_t begin = std::clock();
    const auto proposals = state_->Propose(0, kBatch);
    const std::clock_t end = std::clock();
    Check(proposals.status());
    std::vector<std::pair<int64_t, double>> results;
    for (const tuner::Proposal& proposal : *proposals) {
      db::Event event = Event(db::EventKind::kProposed);
      event.trial = state_->trial_count();
      event.config = proposal.config;
      event.trace = proposal.trace;
      event.loop_hash = tessera::HashToHex(proposal.loop_hash);
      event.explorer = proposal.explorer;
      results.emplace_back(event.trial, Seconds(proposal));
      Check(state_->Apply(event));
    }
    for (const auto& [trial, seconds] : results) {
      db::Event event = Event(db::EventKind::kResult);
      event.trial = trial;
      event.outcome = db::Outcome::kOk;
      event.cost_seconds = seconds;
      Check(state_->Apply(event));
    }
    return 1e3 * static_cast<double>(end - begin) / CLOCKS_PER_SEC;
  }

  void Learn() {
    const auto due = state_->FitDue(0);
    if (!due) return;
    const auto rows = space_->Features(due->points);
    Check(rows.status());
    const auto model = learner_->Fit({space_->FeatureCount(), *rows, due->targets});
    Check(model.status());
    db::Event event = Event(db::EventKind::kModelReady);
    event.model = tessera::Sha256Hex(*model);
    event.through_sequence = due->through_sequence;
    Check(state_->Apply(event));
    state_->SetRanker(0, learner_->Load(*model).value());
  }

  int finished() const { return state_->task(0).finished; }

 private:
  db::Event Event(db::EventKind kind) const {
    db::Event event;
    event.kind = kind;
    event.task_index = 0;
    event.sequence = state_->next_sequence();
    return event;
  }

  // The draft's, wrong by up to a half.
  double Seconds(const tuner::Proposal& proposal) const {
    if (proposal.config.empty()) return 1;
    const std::vector<tuner::Point> point = {space_->Parse(proposal.config).value()};
    return tessera::costmodel::DraftSeconds(space_->Features(point).value()) *
           (1 + static_cast<double>(proposal.loop_hash % 64) / 128);
  }

  std::shared_ptr<const tuner::Learner> learner_;
  std::shared_ptr<const tuner::SearchSpace> space_;
  std::unique_ptr<tuner::TuningState> state_;
};

nlohmann::ordered_json Measure(const std::string& explorer, const std::string& cost_model) {
  nlohmann::ordered_json row = {{"explorer", explorer}, {"cost_model", cost_model}};
  Search search(explorer, cost_model, 4096);
  for (const int results : {64, 512}) {
    while (search.finished() < results) {
      search.Propose();
      search.Learn();
    }
    std::vector<double> rounds;
    for (int round = 0; round < kRounds; ++round) {
      rounds.push_back(search.Propose());
      search.Learn();
    }
    row["ms_after_" + std::to_string(results)] = Median(rounds);
  }
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "build/bench/explore.json";
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const tuner::ExplorerKind& kind : tuner::ExplorerKinds()) {
    const std::string explorer(kind.name);
    const bool uses_model = tuner::MakeExplorer(explorer).value()->UsesModel();
    for (const char* cost_model : {"xgboost", "ensemble"}) {
      all.push_back(Measure(explorer, cost_model));
      std::cout << all.back().dump() << std::endl;
      if (!uses_model) break;
    }
  }
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << all.dump(2) << '\n';
}
