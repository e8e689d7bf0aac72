#include "cli/time_demands.h"

#include <catch2/catch.hpp>

#include "cli/exit_code.h"

namespace tessera::cli {
namespace {

db::Selection InPlace(double seconds, double default_seconds) {
  db::Selection selection;
  selection.in_place = db::InPlace{"key", "host/cpu", seconds, seconds, default_seconds};
  return selection;
}

RequestOptions Demanding(double min_speedup, std::string max_latency = "") {
  RequestOptions options;
  options.min_speedup = min_speedup;
  options.max_latency = std::move(max_latency);
  return options;
}

// What is said of a demand that isn't met.
std::string Said(const RequestOptions& options, const Report& report,
                 const db::Selection& selection, size_t buckets = 1) {
  const absl::Status status = CheckTimes(options, report, selection, buckets);
  CHECK(ExitCode(status) == 3);
  return std::string(status.message());
}

}  // namespace

TEST_CASE("runs of the model are held to the demands", "[cli]") {
  const Report report;
  const db::Selection chosen = InPlace(0.01, 0.02);
  CHECK(CheckTimes(Demanding(2, "10ms"), report, chosen, 1).ok());
  CHECK(CheckTimes(Demanding(0), report, InPlace(0.01, 0), 1).ok());
  CHECK_THAT(Said(Demanding(2.5), report, chosen),
             Catch::StartsWith("--min-speedup 2.5 is not met: 2.000 over the default schedules (a "
                               "run takes 10 ms)"));
  CHECK_THAT(Said(Demanding(2, "9ms"), report, chosen),
             Catch::StartsWith("--max-latency 9ms is not met: a run takes 10 ms;"));
}

TEST_CASE("a speedup over default schedules that were not measured can't be judged", "[cli]") {
  const std::string said = Said(Demanding(1.5), {}, InPlace(0.01, 0));
  CHECK_THAT(said, Catch::StartsWith("--min-speedup 1.5 can't be judged: the model with default "
                                     "schedules could not be measured on host/cpu"));
  CHECK_THAT(said, !Catch::Contains("--budget"));
  CHECK(CheckTimes(Demanding(0, "10ms"), {}, InPlace(0.01, 0), 1).ok());

  Report report;
  report.rows.resize(1);
  report.rows[0].tuned_seconds = 0.01;
  CHECK_THAT(
      Said(Demanding(1.5), report, {}),
      Catch::StartsWith("--min-speedup 1.5 can't be judged: the default schedule of a kernel "
                        "was not measured"));
  report.rows[0].tuned_seconds = 0;
  CHECK_THAT(Said(Demanding(1.5), report, {}), Catch::Contains("give a longer --max-wait"));
}

TEST_CASE("the demands on a model of several buckets are on all of them together", "[cli]") {
  CHECK_THAT(Said(Demanding(0, "9ms"), {}, InPlace(0.01, 0.02), 3),
             Catch::StartsWith("--max-latency 9ms is not met: a run of each of 3 buckets takes "
                               "together 10 ms;"));
}

TEST_CASE("times are above 0 and have a unit", "[cli]") {
  CHECK(PositiveSeconds("--max-wait", "1m30s").value() == 90);
  for (const char* text : {"soon", "5", "0s", "-1s", "inf", ""}) {
    CAPTURE(text);
    const absl::Status status = PositiveSeconds("--max-wait", text).status();
    CHECK(ExitCode(status) == kUsageExitCode);
    CHECK_THAT(std::string(status.message()), Catch::StartsWith("--max-wait " + std::string(text)));
  }
}

}  // namespace tessera::cli
