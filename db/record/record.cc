#include "db/record/record.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/view.h"

namespace tessera::db {
namespace {

// Position in the list = value of the enumerator.
constexpr std::string_view kOutcomes[] = {
    "ok",           "build_error",    "run_error", "timeout", "out_of_memory",
    "wrong_answer", "infrastructure", "cancelled"};
constexpr std::string_view kCacheModes[] = {"warm", "cold"};
constexpr std::string_view kJobStates[] = {"queued", "running", "done", "failed", "cancelled"};
constexpr std::string_view kEventKinds[] = {"proposed",  "result", "model_ready", "lease_lost",
                                            "task_done", "cancel", "compared",    "paced"};
constexpr std::string_view kComparisonPurposes[] = {"promotion", "same", "calibration"};

using Names = absl::Span<const std::string_view>;

template <typename Enum>
std::string_view Name(Names names, Enum value) {
  const auto index = static_cast<size_t>(value);
  TESSERA_CHECK(index < names.size());
  return names[index];
}

template <typename Enum>
absl::StatusOr<Enum> Parse(Names names, const char* what, std::string_view text) {
  std::string known;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
    if (i > 0) known += ", ";
    known += names[i];
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": unknown value \"", std::string(text), "\", known are ", known));
}

}  // namespace

std::string_view ToString(Outcome outcome) { return Name(kOutcomes, outcome); }
absl::StatusOr<Outcome> ParseOutcome(std::string_view text) {
  return Parse<Outcome>(kOutcomes, "outcome", text);
}

std::string_view ToString(CacheMode mode) { return Name(kCacheModes, mode); }
absl::StatusOr<CacheMode> ParseCacheMode(std::string_view text) {
  return Parse<CacheMode>(kCacheModes, "cache mode", text);
}

std::string_view ToString(JobState state) { return Name(kJobStates, state); }
absl::StatusOr<JobState> ParseJobState(std::string_view text) {
  return Parse<JobState>(kJobStates, "job state", text);
}

bool HasEnded(JobState state) { return state != JobState::kQueued && state != JobState::kRunning; }

std::string_view ToString(EventKind kind) { return Name(kEventKinds, kind); }
absl::StatusOr<EventKind> ParseEventKind(std::string_view text) {
  return Parse<EventKind>(kEventKinds, "event kind", text);
}

std::string_view ToString(ComparisonPurpose purpose) { return Name(kComparisonPurposes, purpose); }
absl::StatusOr<ComparisonPurpose> ParseComparisonPurpose(std::string_view text) {
  return Parse<ComparisonPurpose>(kComparisonPurposes, "purpose of a comparison", text);
}

bool CallsOnly(std::string_view trace, std::string_view allowed) {
  // A step "external STAGE LIBRARY" (compiler/schedule/trace.h).
  constexpr std::string_view kExternal = "external";
  if (trace.find(kExternal) == std::string_view::npos) return true;
  for (const absl::string_view line : absl::StrSplit(AbslView(trace), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty() || StdView(words[0]) != kExternal) continue;
    if (!IsAllowed(allowed, StdView(words.back()))) return false;
  }
  return true;
}

std::string Task::Key() const {
  std::string identity = "task 1";
  // Lengths keep neighbouring fields apart.
  for (const std::string* field : {&workload_hash, &workload, &target}) {
    absl::StrAppend(&identity, "\n", field->size(), ":", *field);
  }
  absl::StrAppend(&identity, "\n", threads, "\n", std::string(ToString(cache_mode)));
  return Sha256Hex(identity);
}

double Measurement::CostSeconds() const {
  if (outcome != Outcome::kOk || sample_seconds.empty()) {
    return std::numeric_limits<double>::infinity();
  }
  return *std::min_element(sample_seconds.begin(), sample_seconds.end());
}

}  // namespace tessera::db
