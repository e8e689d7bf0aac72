#pragma once

// Folds logs of jobs, and checks what comes of it.

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/tuner/rig.h"
#include "tuner/model_store.h"
#include "tuner/state.h"
#include "tuner/trial_budget.h"

namespace tessera::test {

using db::EventKind;
using db::Outcome;
using tuner::TuningState;

inline TuningState Fresh(Rig& rig) {
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces(rig.spaces.begin(),
                                                                rig.spaces.end());
  return *TuningState::Create(*rig.memory.GetJob(rig.job_id), spaces, {},
                              {rig.prior, rig.learner->Prior()});
}

using Models = std::map<std::string, std::string>;  // bytes by digest

// Every model that the log names, trained again from what the log says: the store keeps only the
// last one of a task.
inline Models TrainAgain(Rig& rig, const std::vector<db::Event>& log) {
  db::MemoryStore scratch(rig.clock);
  TuningState state = Fresh(rig);
  std::map<std::pair<int, int64_t>, tuner::FitInput> inputs;
  Models models;
  const auto note_due = [&] {
    for (int t = 0; t < state.task_count(); ++t) {
      if (auto due = state.FitDue(t)) inputs[{t, due->through_sequence}] = *std::move(due);
    }
  };
  note_due();
  for (const db::Event& event : log) {
    REQUIRE(state.Apply(event).ok());
    note_due();
    if (event.kind != EventKind::kModelReady) continue;
    const auto input = inputs.find({event.task_index, event.through_sequence});
    REQUIRE(input != inputs.end());
    tuner::TrainingSet set;
    set.columns = rig.spaces[event.task_index]->FeatureCount();
    set.rows = *rig.spaces[event.task_index]->Features(input->second.points);
    set.targets = input->second.targets;
    set.known = input->second.known;
    const std::string bytes = *rig.learner->Fit(set);
    REQUIRE(*tuner::PutModel(scratch, {rig.job_id, event.task_index}, bytes) == event.model);
    models[event.model] = bytes;
  }
  return models;
}

inline void LoadModels(Rig& rig, const Models& models, TuningState& state) {
  for (int t = 0; t < state.task_count(); ++t) {
    const std::string digest = state.MissingModel(t);
    if (!digest.empty()) state.SetRanker(t, *rig.learner->Load(models.at(digest)));
  }
}

// Checks that `log[at…]` begins with what the state proposes; returns how many events that were.
inline size_t CheckProposals(const TuningState& state, const std::vector<db::Event>& log,
                             size_t at) {
  const int t = log[at].task_index;
  const auto proposals = state.Propose(t, tuner::BatchSize(state.task(t).proposed));
  REQUIRE(proposals.ok());
  REQUIRE(!proposals->empty());
  for (size_t i = 0; i < proposals->size(); ++i) {
    CAPTURE(at, i);
    const db::Event& event = log[at + i];
    REQUIRE(event.kind == EventKind::kProposed);
    REQUIRE(event.config == (*proposals)[i].config);
    REQUIRE(event.trace == (*proposals)[i].trace);
    REQUIRE(event.loop_hash == HashToHex((*proposals)[i].loop_hash));
    REQUIRE(event.explorer == (*proposals)[i].explorer);
  }
  return proposals->size();
}

inline db::Event Proposed(const TuningState& state, const tuner::Proposal& proposal, int task = 0) {
  db::Event event;
  event.job_id = 1;
  event.sequence = state.next_sequence();
  event.kind = EventKind::kProposed;
  event.trial = state.trial_count();
  event.task_index = task;
  event.config = proposal.config;
  event.trace = proposal.trace;
  event.loop_hash = HashToHex(proposal.loop_hash);
  event.explorer = proposal.explorer;
  return event;
}

inline db::Event Result(const TuningState& state, int64_t trial, Outcome outcome, double cost = 0,
                        int task = 0) {
  db::Event event;
  event.job_id = 1;
  event.sequence = state.next_sequence();
  event.kind = EventKind::kResult;
  event.trial = trial;
  event.task_index = task;
  event.outcome = outcome;
  event.cost_seconds = cost;
  return event;
}

}  // namespace tessera::test
