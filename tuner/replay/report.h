#pragma once

#include <string>

#include "absl/types/span.h"
#include "tuner/replay/replay.h"

// The results of replays as files, byte for byte the same for the same results. docs/replay.md
// describes the columns.

namespace tessera::replay {

// Text as a cell of a CSV file (RFC 4180).
std::string Cell(const std::string& text);

// A row for each trial of a run that set a new best, and for its last one.
std::string CurvesCsv(absl::Span<const TableResult> results);

// A row for each series and each of kShares.
std::string SummaryCsv(absl::Span<const TableResult> results, int trials);

// The number of trials of a Reach for people; ">256" for infinity after so many.
std::string TrialsText(double trials, int budget);

// The best so far by trial, of each series: the median over the seeds and the middle half of them.
std::string CurvesSvg(const TableResult& result, int trials);

// A row for each trial of a job after which the slowdown was another, and for the last one of
// each run.
std::string SchedulersCsv(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                          absl::Span<const JobSeries> results);

}  // namespace tessera::replay
