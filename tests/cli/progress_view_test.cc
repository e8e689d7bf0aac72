#include "cli/progress_view.h"

#include <catch2/catch.hpp>

#include "cli/report.h"

namespace tessera::cli {
namespace {

proto::JobProgress Running() {
  proto::JobProgress progress;
  progress.job_id = 3;
  progress.state = db::JobState::kRunning;
  progress.trials_per_second = 12.34;
  progress.remaining_seconds = 41;
  progress.tasks.push_back({"a", "", 12, 64, 1e-3, {{db::Outcome::kTimeout, 1}}, false});
  progress.tasks.push_back({"b", "", 64, 64, 0, {{db::Outcome::kRunError, 2}}, true});
  return progress;
}

// What a view writes for one update.
std::string Shown(const proto::JobProgress& progress, bool is_terminal, int times) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  ManualClock clock;
  ProgressView view(file, is_terminal, clock);
  for (int i = 0; i < times; ++i) view.Show(progress);
  std::rewind(file);
  std::string text(1 << 14, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

TEST_CASE("a summary counts trials, tasks and failures by reason", "[cli]") {
  CHECK(
      Summary(Running()) ==
      "76 of 128 trials, 12.3/s, 1 tasks of 2 done, 3 failed (2 run_error, 1 timeout), 0:41 left");
}

TEST_CASE("outside a terminal progress is one line, not one an update", "[cli]") {
  const std::string text = Shown(Running(), false, 5);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.find('\033') == std::string::npos);
}

TEST_CASE("on a terminal the block is redrawn in place", "[cli]") {
  const std::string text = Shown(Running(), true, 2);
  CHECK(text.find("\033[3A") != std::string::npos);
  CHECK(text.find("best      1 ms") != std::string::npos);
}

TEST_CASE("a terminal shows a job's message once and no lines that the block repeats", "[cli]") {
  proto::JobProgress progress = Running();
  progress.message = "device lost";
  progress.log_lines = {"a: best 1 ms after 12 of 64 trials", "device lost"};
  const std::string block = Shown(progress, true, 3);
  CHECK(block.find("after 12") == std::string::npos);
  const size_t first = block.find("device lost");
  REQUIRE(first != std::string::npos);
  CHECK(block.find("device lost", first + 1) == std::string::npos);
  const std::string lines = Shown(progress, false, 1);
  CHECK(lines.find("after 12 of 64 trials\ndevice lost\n") != std::string::npos);
}

TEST_CASE("durations and times are short", "[cli]") {
  CHECK(DurationText(41) == "0:41");
  CHECK(DurationText(11240) == "3:07:20");
  CHECK(TimeText(0) == "-");
  CHECK(TimeText(812e-6) == "812 us");
  CHECK(TimeText(1.2) == "1.2 s");
}

TEST_CASE("a report shows default, tuned and share of peak", "[cli]") {
  Report report;
  report.device_class = "x86/test";
  report.peak_gflops = 200;
  ReportRow row;
  row.op = "c2";
  row.operations = 100'000'000;
  row.default_seconds = 2e-3;
  row.tuned_seconds = 1e-3;
  row.peak_fraction = row.TunedGflops() / report.peak_gflops;
  row.trials = 64;
  report.rows.push_back(row);
  CHECK(row.DefaultGflops() == Approx(50));
  const std::string table = ToTable(report);
  CHECK(table.find("50.0%") != std::string::npos);
  CHECK(table.find("2.0x") != std::string::npos);
  CHECK(ToJson(report).find("\"default_gflops\": 50") != std::string::npos);
}

}  // namespace
}  // namespace tessera::cli
