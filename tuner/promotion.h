#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/store.h"
#include "tuner/measurer.h"

// The best of many noisy times is a little lucky, and the program that has it need not be the
// fastest. What a task's libraries are built from is therefore promoted: it has beaten the
// incumbent when both were measured side by side (docs/measurement.md, "Promotion").

namespace tessera::tuner {

// Of comparisons of programs that are alike, at most so many find the incumbent beaten.
inline constexpr double kFalsePromotions = 0.0025;
// Only what is within this factor of the incumbent's time is worth a comparison: singly measured
// times of programs that are equally fast hardly differ more.
inline constexpr double kRivalFactor = 1.1;
// High end of an interval for which there were too few turns; no ratio is above.
inline constexpr double kUnboundedRatio = 1e9;

struct Promoted {
  db::Record record;
  db::Comparison comparison;        // that left it as the fastest
  std::vector<std::string> traces;  // of the programs that were in it

  // Whatever the record: a program that is measured again has several.
  bool HasCompared(std::string_view trace) const {
    return std::find(traces.begin(), traces.end(), trace) != traces.end();
  }
};

// By the latest comparison of that purpose whose winner calls no library of others but those that
// are `allowed` (db::JobOptions::allow), of the last few; nothing before the first.
absl::StatusOr<std::optional<Promoted>> FindPromoted(db::Store& store, std::string_view task_key,
                                                     std::string_view device_class,
                                                     std::string_view allowed = {});

// What to compare: the incumbent, which is the promoted record or, before the first promotion, the
// fastest; then the fastest others, `max_rivals` at most. Empty when there is nothing to find out:
// no rival, or none that the latest comparison had not. `allowed`: as of FindPromoted.
absl::StatusOr<std::vector<db::Record>> ChooseContest(db::Store& store, std::string_view task_key,
                                                      std::string_view device_class, int max_rivals,
                                                      std::string_view allowed = {});

// The verdict on programs that were measured, the incumbent first; of kSame two times the same.
// The interval is that of the best rival. It promotes that rival if the interval lies below 1, and
// the fastest that runs if the incumbent does not (its ratio is 0 then). Two programs that are
// alike are told apart with probability 2 × kFalsePromotions; with more rivals each gets its share
// of that. FailedPrecondition, with the reason, when none ran or the incumbent alone did, of kSame
// when one of both did not. The comparison lacks the job.
absl::StatusOr<db::Comparison> Judge(db::ComparisonPurpose purpose,
                                     absl::Span<const db::Record> programs,
                                     const ComparisonRun& run);

}  // namespace tessera::tuner
