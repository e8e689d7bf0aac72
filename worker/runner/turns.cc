#include "worker/runner/turns.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "base/rng.h"
#include "base/status.h"

namespace tessera::runner {
namespace {

using db::Outcome;

// A program of a comparison.
struct Contestant {
  db::Measurement measurement;  // of its turns so far; kInfrastructure before the first
  int lost = 0;                 // turns to the first, less those won
  bool out = false;             // failed or lost

  void Add(db::Measurement turn) {
    out = turn.outcome != Outcome::kOk;
    if (out || measurement.sample_seconds.empty()) {
      measurement = std::move(turn);
      return;
    }
    measurement.sample_seconds.push_back(turn.sample_seconds[0]);
    measurement.sample_calls.push_back(turn.sample_calls[0]);
    measurement.run_seconds += turn.run_seconds;
  }
};

void DropLosers(absl::Span<Contestant> contestants) {
  const Contestant& first = contestants[0];
  if (first.out) return;
  for (Contestant& rival : contestants.subspan(1)) {
    if (rival.out) continue;
    const bool won =
        rival.measurement.sample_seconds.back() < first.measurement.sample_seconds.back();
    rival.lost += won ? -1 : 1;
    rival.out = rival.lost >= kLostTurns;
  }
}

}  // namespace

absl::StatusOr<std::vector<db::Measurement>> MeasureInTurns(
    size_t count, const TurnRules& rules,
    const std::function<absl::StatusOr<db::Measurement>(size_t program)>& take) {
  std::vector<Contestant> contestants(count);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(rules.seed);
  const absl::Time end = absl::Now() + absl::Seconds(rules.max_seconds);
  int spoilt = 0;
  std::string why_spoilt;
  for (int turn = 0; turn < rules.turns; ++turn) {
    const auto left = std::count_if(contestants.begin(), contestants.end(),
                                    [](const Contestant& one) { return !one.out; });
    if (left < 2) break;
    rng.Shuffle(absl::MakeSpan(order));
    std::vector<std::optional<db::Measurement>> taken(count);
    bool is_whole = true, in_time = true;
    for (const size_t i : order) {
      if (contestants[i].out || !is_whole) continue;
      in_time = turn == 0 || absl::Now() < end;
      if (!in_time) break;
      TESSERA_ASSIGN_OR_RETURN(taken[i], take(i));
      if (taken[i]->outcome == Outcome::kCancelled) return absl::CancelledError(taken[i]->reason);
      is_whole = taken[i]->outcome != Outcome::kInfrastructure;
      if (!is_whole) why_spoilt = taken[i]->reason;
    }
    if (!in_time) break;
    if (!is_whole) {
      ++spoilt;
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      if (taken[i]) contestants[i].Add(*std::move(taken[i]));
    }
    DropLosers(absl::MakeSpan(contestants));
  }
  std::vector<db::Measurement> measurements;
  for (Contestant& one : contestants) {
    if (one.measurement.outcome == Outcome::kInfrastructure) {
      return absl::UnavailableError(
          absl::StrCat(spoilt, " turns were spoilt, the last: ", why_spoilt));
    }
    measurements.push_back(std::move(one.measurement));
  }
  return measurements;
}

}  // namespace tessera::runner
