#include "cli/time_demands.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "cli/exit_code.h"
#include "cli/progress_view.h"

namespace tessera::cli {
namespace {

struct Times {
  double seconds = 0, default_seconds = 0;  // 0: not known
  std::string what;
  std::string of_defaults;  // why default_seconds may be 0
};

Times TimesOf(const Report& report, const db::Selection& chosen, size_t buckets) {
  if (chosen.in_place) {
    return {chosen.in_place->seconds, chosen.in_place->default_seconds,
            buckets > 1 ? absl::StrCat("a run of each of ", buckets, " buckets takes together")
                        : "a run takes",
            absl::StrCat("the model with default schedules could not be measured on ",
                         chosen.in_place->device)};
  }
  const WeightedTimes all = TimesOf(report);
  return {all.tuned_seconds, all.default_seconds, "the kernels together take",
          "the default schedule of a kernel was not measured"};
}

}  // namespace

absl::StatusOr<double> PositiveSeconds(const char* option, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a time such as 20m, 90s or 5ms"));
  }
  return absl::ToDoubleSeconds(duration);
}

absl::Status CheckTimes(const RequestOptions& options, const Report& report,
                        const db::Selection& chosen, size_t buckets) {
  if (options.min_speedup == 0 && options.max_latency.empty()) return absl::OkStatus();
  const Times times = TimesOf(report, chosen, buckets);
  if (times.seconds == 0) {
    return NotMet(absl::StrCat("job ", report.job_id,
                               " ended before each operator had a measured program, so what was "
                               "demanded can't be judged; give a longer --max-wait"));
  }
  if (options.min_speedup > 0) {
    if (times.default_seconds == 0) {
      return NotMet(absl::StrFormat(
          "--min-speedup %g can't be judged: %s (%s %s); demand a --max-latency instead",
          options.min_speedup, times.of_defaults, times.what, TimeText(times.seconds)));
    }
    const double speedup = times.default_seconds / times.seconds;
    if (speedup < options.min_speedup) {
      return NotMet(absl::StrFormat(
          "--min-speedup %g is not met: %.3f over the default schedules (%s %s); give a larger "
          "--budget or demand less",
          options.min_speedup, speedup, times.what, TimeText(times.seconds)));
    }
  }
  if (options.max_latency.empty()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(const double limit,
                           PositiveSeconds("--max-latency", options.max_latency));
  if (times.seconds <= limit) return absl::OkStatus();
  return NotMet(absl::StrCat("--max-latency ", options.max_latency, " is not met: ", times.what,
                             " ", TimeText(times.seconds),
                             "; give a larger --budget or demand less"));
}

}  // namespace tessera::cli
