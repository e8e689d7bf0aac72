#include "tuner/replay/ranking.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/te/dag.h"
#include "costmodel/cost_model.h"
#include "costmodel/draft.h"
#include "costmodel/metrics.h"
#include "costmodel/prior_model.h"
#include "tuner/replay/report.h"

namespace tessera::replay {
namespace {

using costmodel::CostModel;
using costmodel::TrainingData;

constexpr std::pair<HoldOut, std::string_view> kHoldOuts[] = {
    {HoldOut::kWorkload, "workload"}, {HoldOut::kKind, "kind"}, {HoldOut::kClass, "class"}};
constexpr char kOwn[] = "xgboost";  // what own rows train alone
constexpr size_t kLeastJudged = 10;

absl::StatusOr<std::string> KeyOf(const TableSpace& table, HoldOut hold_out) {
  const Dataset& dataset = table.dataset();
  switch (hold_out) {
    case HoldOut::kWorkload:
      return dataset.task.workload_hash;
    case HoldOut::kKind:
      return KindOf(dataset.task.workload);
    case HoldOut::kClass:
      return absl::StrCat(dataset.device_class, " ", dataset.task.threads);
  }
  return absl::InternalError("hold out what?");
}

// All rows in a random order, the first `count` of them.
std::vector<int> Draw(const TableSpace& table, size_t count, uint64_t seed) {
  std::vector<int> rows(table.dataset().rows.size());
  std::iota(rows.begin(), rows.end(), 0);
  Rng rng(seed);
  rng.Shuffle(absl::MakeSpan(rows));
  rows.resize(std::min(count, rows.size()));
  return rows;
}

// As one more group.
void Append(const TableSpace& table, absl::Span<const int> rows, TrainingData& data) {
  data.columns = table.FeatureCount();
  for (const int row : rows) {
    const absl::Span<const float> features = table.features(row);
    data.rows.insert(data.rows.end(), features.begin(), features.end());
    const Row& measured = table.row(row);
    const bool ok = measured.outcome == db::Outcome::kOk;
    data.labels.push_back(ok ? static_cast<float>(table.best_seconds() / measured.seconds) : 0.0f);
  }
  data.groups.push_back(static_cast<int>(rows.size()));
}

// Adds what the model makes of programs to the sums.
void Judge(const CostModel& model, const TrainingData& judged, double share, Ranking& ranking) {
  const std::vector<float> scores = model.Predict(judged.rows, judged.columns);
  ranking.pairs += share * costmodel::PairwiseAccuracy(scores, judged.labels);
  ranking.top1 += share * costmodel::TopScore(scores, judged.labels, 1);
  ranking.top5 += share * costmodel::TopScore(scores, judged.labels, 5);
}

// Of one table: for each number of own rows a ranking with and, but for none, without transfer.
absl::StatusOr<std::vector<Ranking>> RankTable(const NamedTable& named,
                                               const std::shared_ptr<const CostModel>& prior,
                                               int trained_on, const RankingOptions& options) {
  const TableSpace& table = *named.table;
  std::vector<Ranking> rankings;
  for (const int count : options.target_rows) {
    Ranking transfer = {named.name, options.cost_model, "transfer", count, trained_on};
    Ranking other = {named.name, options.cost_model, count == 0 ? "draft" : "own", count, 0};
    const int draws = count == 0 ? 1 : options.draws;
    for (int draw = 0; draw < draws; ++draw) {
      const auto seed = static_cast<uint64_t>(draw);
      const std::vector<int> rows = Draw(table, options.max_rows, seed);
      TrainingData own, judged;
      Append(table, absl::MakeConstSpan(rows).subspan(count), judged);
      if (count == 0) {
        Judge(*prior, judged, 1.0, transfer);
        Judge(*costmodel::MakeDraftModel(seed), judged, 1.0, other);
        continue;
      }
      Append(table, absl::MakeConstSpan(rows).subspan(0, count), own);
      TESSERA_ASSIGN_OR_RETURN(const auto with, costmodel::PriorModel::Make(prior, seed));
      TESSERA_ASSIGN_OR_RETURN(const auto alone, costmodel::MakeCostModel(kOwn, seed));
      TESSERA_RETURN_IF_ERROR(with->Fit(own));
      TESSERA_RETURN_IF_ERROR(alone->Fit(own));
      Judge(*with, judged, 1.0 / draws, transfer);
      Judge(*alone, judged, 1.0 / draws, other);
    }
    rankings.push_back(std::move(transfer));
    rankings.push_back(std::move(other));
  }
  return rankings;
}

}  // namespace

std::string_view ToString(HoldOut hold_out) {
  for (const auto& [value, text] : kHoldOuts) {
    if (value == hold_out) return text;
  }
  return "";
}

absl::StatusOr<HoldOut> ParseHoldOut(std::string_view text) {
  for (const auto& [value, known] : kHoldOuts) {
    if (known == text) return value;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", AbslView(text.substr(0, 60)),
                                                 "\" can't be held out; expected workload, kind "
                                                 "or class"));
}

absl::StatusOr<std::string> KindOf(std::string_view workload) {
  TESSERA_ASSIGN_OR_RETURN(const te::Workload parsed, te::ParseWorkload(workload));
  std::string kind;
  for (const te::Stage& stage : parsed.dag.stages) {
    if (!stage.is_reduction()) continue;
    absl::StrAppend(&kind, kind.empty() ? "" : ", ", AbslView(te::ToString(stage.combiner)), " ",
                    stage.axes.size(), "/", stage.reduce_axes.size());
  }
  return kind.empty() ? "map" : kind;
}

absl::StatusOr<std::vector<Ranking>> RankTables(
    absl::Span<const NamedTable> tables, const RankingOptions& options,
    const std::function<void(absl::Span<const Ranking>)>& done) {
  struct Members {
    std::vector<const NamedTable*> judged, learned;  // the judged are learned from as well
  };
  std::map<std::string, Members> by_key;
  const int columns = tables.empty() ? 0 : tables[0].table->FeatureCount();
  for (const auto& some : {tables, absl::MakeConstSpan(options.others)}) {
    for (const NamedTable& named : some) {
      if (named.table->FeatureCount() == columns) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          named.name, " and ", tables[0].name,
          " are of devices of two kinds: no model describes both; rank them by themselves"));
    }
  }
  for (const NamedTable& named : tables) {
    TESSERA_ASSIGN_OR_RETURN(const std::string key, KeyOf(*named.table, options.hold_out));
    by_key[key].judged.push_back(&named);
    by_key[key].learned.push_back(&named);
  }
  for (const NamedTable& named : options.others) {
    TESSERA_ASSIGN_OR_RETURN(const std::string key, KeyOf(*named.table, options.hold_out));
    by_key[key].learned.push_back(&named);
  }
  const int most = options.target_rows.empty() ? 0 : std::ranges::max(options.target_rows);
  for (const NamedTable& named : tables) {
    const size_t rows =
        std::min(named.table->dataset().rows.size(), static_cast<size_t>(options.max_rows));
    if (rows < most + kLeastJudged) {
      return absl::InvalidArgumentError(absl::StrCat(named.name, ": ", rows,
                                                     " rows; learning from ", most,
                                                     " takes at least ", most + kLeastJudged));
    }
  }
  if (by_key.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("all data sets are of one ", AbslView(ToString(options.hold_out)),
                     ", so there is none to learn from; give others, or hold out another thing"));
  }
  std::vector<Ranking> rankings;
  for (const auto& [key, members] : by_key) {
    if (members.judged.empty()) continue;
    TrainingData data;
    for (const auto& [other, teachers] : by_key) {
      if (other == key) continue;
      for (const NamedTable* named : teachers.learned) {
        Append(*named->table, Draw(*named->table, options.max_rows, /*seed=*/0), data);
      }
    }
    TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<CostModel> prior,
                             costmodel::MakeCostModel(options.cost_model, /*seed=*/0));
    TESSERA_RETURN_IF_ERROR(prior->Fit(data));
    const int trained_on = static_cast<int>(data.groups.size());
    data = {};
    for (const NamedTable* named : members.judged) {
      TESSERA_ASSIGN_OR_RETURN(const std::vector<Ranking> of_table,
                               RankTable(*named, prior, trained_on, options));
      done(of_table);
      rankings.insert(rankings.end(), of_table.begin(), of_table.end());
    }
  }
  return rankings;
}

std::vector<RankingMeans> MeansOf(absl::Span<const Ranking> rankings) {
  std::vector<RankingMeans> all;
  std::vector<int> counts;
  for (const Ranking& r : rankings) {
    const auto found = std::ranges::find_if(all, [&](const RankingMeans& means) {
      return means.cost_model == r.cost_model && means.method == r.method &&
             means.target_rows == r.target_rows;
    });
    const auto index = static_cast<size_t>(found - all.begin());
    if (found == all.end()) {
      all.push_back({r.cost_model, r.method, r.target_rows});
      counts.push_back(0);
    }
    RankingMeans& means = all[index];
    const double share = 1.0 / ++counts[index];
    means.pairs += share * (r.pairs - means.pairs);
    means.top1 += share * (r.top1 - means.top1);
    means.top5 += share * (r.top5 - means.top5);
    means.least_pairs = std::min(means.least_pairs, r.pairs);
  }
  return all;
}

std::string RankingCsv(absl::Span<const Ranking> rankings, HoldOut hold_out) {
  std::string text = "data,hold_out,cost_model,method,target_rows,trained_on,pairs,top1,top5\n";
  for (const Ranking& r : rankings) {
    absl::StrAppendFormat(&text, "%s,%s,%s,%s,%d,%d,%.4f,%.4f,%.4f\n", Cell(r.data),
                          AbslView(ToString(hold_out)), r.cost_model, r.method, r.target_rows,
                          r.trained_on, r.pairs, r.top1, r.top5);
  }
  return text;
}

}  // namespace tessera::replay
