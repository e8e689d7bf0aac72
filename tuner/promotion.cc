#include "tuner/promotion.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/statistics.h"
#include "base/status.h"
#include "base/version.h"

namespace tessera::tuner {
namespace {

// Comparisons, the newest first, of which some may have been won by what is not allowed now.
constexpr int kLookedThrough = 16;

// What one rival's turns say.
struct Standing {
  size_t program = 0;
  RatioEstimate estimate;
  bool Wins() const { return estimate.interval.high < 1; }
};

// Winners first, then by ratio.
bool IsBetter(const Standing& a, const Standing& b) {
  if (a.Wins() != b.Wins()) return a.Wins();
  return a.estimate.ratio < b.estimate.ratio;
}

std::vector<Standing> Standings(const std::vector<db::Measurement>& measurements) {
  const auto rivals = static_cast<double>(measurements.size() - 1);
  const double confidence = 1 - 2 * kFalsePromotions / rivals;
  const std::vector<double>& incumbent = measurements[0].sample_seconds;
  std::vector<Standing> standings;
  for (size_t i = 1; i < measurements.size(); ++i) {
    const db::Measurement& rival = measurements[i];
    if (rival.outcome != db::Outcome::kOk) continue;
    // A rival that lost early has fewer turns than the incumbent.
    const size_t turns = std::min(incumbent.size(), rival.sample_seconds.size());
    if (turns == 0) continue;
    standings.push_back(
        {i, CompareInPairs(absl::MakeSpan(incumbent).first(turns),
                           absl::MakeSpan(rival.sample_seconds).first(turns), confidence)});
  }
  return standings;
}

bool Ran(const db::Measurement& measurement) {
  return measurement.outcome == db::Outcome::kOk && !measurement.sample_seconds.empty();
}

// Of those that ran, at least one, by the median of its turns. One with fewer turns than others
// had lost before the incumbent failed.
size_t Fastest(const std::vector<db::Measurement>& measurements) {
  size_t most_turns = 0, fastest = 0;
  for (const db::Measurement& one : measurements) {
    if (Ran(one)) most_turns = std::max(most_turns, one.sample_seconds.size());
  }
  double best = HUGE_VAL;
  for (size_t i = 0; i < measurements.size(); ++i) {
    const db::Measurement& one = measurements[i];
    if (!Ran(one) || one.sample_seconds.size() < most_turns) continue;
    const double seconds = Median(one.sample_seconds);
    if (seconds >= best) continue;
    best = seconds;
    fastest = i;
  }
  return fastest;
}

}  // namespace

absl::StatusOr<std::optional<Promoted>> FindPromoted(db::Store& store, std::string_view task_key,
                                                     std::string_view device_class,
                                                     std::string_view allowed) {
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<db::Comparison> comparisons,
      store.ListComparisons(task_key, device_class, db::ComparisonPurpose::kPromotion,
                            kLookedThrough));
  for (db::Comparison& comparison : comparisons) {
    Promoted promoted;
    for (const int64_t id : comparison.record_ids) {
      TESSERA_ASSIGN_OR_RETURN(db::Record record, db::GetRecord(store, id, task_key));
      promoted.traces.push_back(record.trace);
      if (id == comparison.promoted) promoted.record = std::move(record);
    }
    if (!db::CallsOnly(promoted.record.trace, allowed)) continue;
    promoted.comparison = std::move(comparison);
    return promoted;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<db::Record>> ChooseContest(db::Store& store, std::string_view task_key,
                                                      std::string_view device_class, int max_rivals,
                                                      std::string_view allowed) {
  std::vector<db::Record> contest;
  TESSERA_ASSIGN_OR_RETURN(const std::optional<Promoted> promoted,
                           FindPromoted(store, task_key, device_class, allowed));
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Record> fastest,
                           store.Best(task_key, device_class, max_rivals + 1, allowed));
  if (promoted) contest.push_back(promoted->record);
  bool is_new = !promoted;
  for (db::Record& record : fastest) {
    if (static_cast<int>(contest.size()) > max_rivals) break;
    if (!contest.empty()) {
      const double limit = kRivalFactor * contest[0].CostSeconds();
      if (record.trace == contest[0].trace || record.CostSeconds() > limit) continue;
    }
    is_new = is_new || !promoted->HasCompared(record.trace);
    contest.push_back(std::move(record));
  }
  if (contest.size() < 2 || !is_new) contest.clear();
  return contest;
}

absl::StatusOr<db::Comparison> Judge(db::ComparisonPurpose purpose,
                                     absl::Span<const db::Record> programs,
                                     const ComparisonRun& run) {
  TESSERA_CHECK(programs.size() >= 2 && run.measurements.size() == programs.size());
  const auto ran = std::ranges::count_if(run.measurements, Ran);
  const bool incumbent_ran = Ran(run.measurements[0]);
  const bool is_pair = incumbent_ran || purpose == db::ComparisonPurpose::kSame;
  if (ran < (is_pair ? 2 : 1)) {
    std::string reason;
    for (const db::Measurement& measurement : run.measurements) {
      if (measurement.outcome != db::Outcome::kOk) reason = measurement.reason;
    }
    return absl::FailedPreconditionError(absl::StrCat("of ", programs.size(), " programs ", ran,
                                                      " ran; the last failure: ", reason));
  }
  db::Comparison comparison;
  comparison.task_key = programs[0].task_key;
  comparison.device = run.device;
  comparison.device_class = run.device_class;
  comparison.purpose = purpose;
  comparison.tessera_version = std::string(Version());
  for (size_t i = 0; i < programs.size(); ++i) {
    const bool is_known = purpose == db::ComparisonPurpose::kSame && i > 0;
    if (!is_known) comparison.record_ids.push_back(programs[i].id);
    const db::Measurement& measurement = run.measurements[i];
    comparison.sample_seconds.push_back(measurement.outcome == db::Outcome::kOk
                                            ? measurement.sample_seconds
                                            : std::vector<double>());
  }
  comparison.promoted = programs[0].id;
  if (!incumbent_ran) {
    comparison.promoted = programs[Fastest(run.measurements)].id;
    return comparison;
  }
  const std::vector<Standing> standings = Standings(run.measurements);
  if (standings.empty()) {
    return absl::FailedPreconditionError("the programs that ran have no turn in common");
  }
  const Standing& best = *std::ranges::min_element(standings, IsBetter);
  comparison.ratio_low = std::min(best.estimate.interval.low, kUnboundedRatio);
  comparison.ratio = std::min(best.estimate.ratio, kUnboundedRatio);
  comparison.ratio_high = std::min(best.estimate.interval.high, kUnboundedRatio);
  if (best.Wins()) comparison.promoted = programs[best.program].id;
  return comparison;
}

}  // namespace tessera::tuner
