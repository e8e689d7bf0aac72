#include "tuner/train.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "costmodel/cost_model.h"
#include "costmodel/metrics.h"

namespace tessera::tuner {
namespace {

using costmodel::CostModel;
using costmodel::TrainingData;

// The workloads in parts, dealt in the order of a hash: equally many, whatever they are called.
struct Deal {
  int parts = 0;  // no more than there are workloads
  std::map<std::string, int> part_of;
};

Deal DealWorkloads(const std::vector<ProgramGroup>& groups, const TrainOptions& options) {
  std::set<std::pair<uint64_t, std::string>> order;
  for (const ProgramGroup& group : groups) {
    const std::string& workload = group.workload_hash;
    order.emplace(StableHasher().Add(options.seed).Add(workload).Finish(), workload);
  }
  Deal deal{.parts = std::min(options.folds, static_cast<int>(order.size()))};
  int next = 0;
  for (const auto& [hash, workload] : order) {
    deal.part_of.emplace(workload, deal.parts > 0 ? next++ % deal.parts : 0);
  }
  return deal;
}

absl::StatusOr<std::unique_ptr<CostModel>> Fit(const TrainingData& data,
                                               const TrainOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CostModel> model,
                           costmodel::MakeCostModel(options.cost_model, options.seed));
  TESSERA_RETURN_IF_ERROR(model->Fit(data));
  return model;
}

// Of the groups that `is_kept` says.
template <typename IsKept>
TrainingData Keep(const TrainingData& data, IsKept is_kept) {
  TrainingData kept;
  kept.columns = data.columns;
  const auto columns = static_cast<ptrdiff_t>(data.columns);
  ptrdiff_t begin = 0;
  for (size_t g = 0; g < data.groups.size(); ++g) {
    const ptrdiff_t end = begin + data.groups[g];
    if (is_kept(g)) {
      kept.groups.push_back(data.groups[g]);
      kept.rows.insert(kept.rows.end(), data.rows.begin() + begin * columns,
                       data.rows.begin() + end * columns);
      kept.labels.insert(kept.labels.end(), data.labels.begin() + begin, data.labels.begin() + end);
    }
    begin = end;
  }
  return kept;
}

// The groups whose workloads are of `part`, by a model of the others.
absl::StatusOr<std::vector<GroupQuality>> JudgePart(const ProgramSet& programs, const Deal& deal,
                                                    int part, const TrainOptions& options) {
  const std::vector<ProgramGroup>& groups = programs.groups();
  const auto is_of_part = [&](size_t g) {
    return deal.part_of.at(groups[g].workload_hash) == part;
  };
  const TrainingData others = Keep(programs.data(), [&](size_t g) { return !is_of_part(g); });
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<CostModel> model, Fit(others, options));
  std::vector<GroupQuality> judged;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!is_of_part(g) || groups[g].programs < kMinJudged) continue;
    const TrainingData group = Keep(programs.data(), [&](size_t other) { return other == g; });
    const std::vector<float> scores = model->Predict(group.rows, group.columns);
    judged.push_back({g, costmodel::PairwiseAccuracy(scores, group.labels),
                      costmodel::TopScore(scores, group.labels, 1),
                      costmodel::TopScore(scores, group.labels, 5)});
  }
  return judged;
}

}  // namespace

absl::StatusOr<TrainedModel> Train(const ProgramSet& programs, const TrainOptions& options,
                                   const std::function<void(std::string_view)>& progress) {
  if (programs.groups().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("training: no task has ",
                                                   ProgramSet::kMinPrograms,
                                                   " measured programs on a device class"));
  }
  TrainedModel trained;
  const Deal deal = DealWorkloads(programs.groups(), options);
  for (int part = 0; part < deal.parts && deal.parts > 1; ++part) {
    progress(absl::StrCat("judging on workloads left out, part ", part + 1, " of ", deal.parts));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<GroupQuality> judged,
                             JudgePart(programs, deal, part, options));
    trained.held_out.insert(trained.held_out.end(), judged.begin(), judged.end());
  }
  progress(absl::StrCat("training on ", programs.data().labels.size(), " programs of ",
                        deal.part_of.size(),
                        deal.part_of.size() == 1 ? " workload" : " workloads"));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<CostModel> model, Fit(programs.data(), options));
  TESSERA_ASSIGN_OR_RETURN(trained.bytes, model->Save());

  std::sort(trained.held_out.begin(), trained.held_out.end(),
            [](const GroupQuality& a, const GroupQuality& b) { return a.group < b.group; });
  if (const auto count = static_cast<double>(trained.held_out.size()); count > 0) {
    trained.pairwise_accuracy = trained.top1 = trained.top5 = 0;
    for (const GroupQuality& quality : trained.held_out) {
      trained.pairwise_accuracy += quality.pairwise_accuracy / count;
      trained.top1 += quality.top1 / count;
      trained.top5 += quality.top5 / count;
    }
  }
  return trained;
}

}  // namespace tessera::tuner
