#include "cli/progress_view.h"

#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cli/report.h"
#include "compiler/schedule/trace.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {
namespace {

proto::JobProgress Running() {
  proto::JobProgress progress;
  progress.job_id = 3;
  progress.state = db::JobState::kRunning;
  progress.trials_per_second = 12.34;
  progress.remaining_seconds = 41;
  progress.tasks.push_back({"a", "", 12, 64, 1e-3, 1, {{db::Outcome::kTimeout, 1}}, false});
  progress.tasks.push_back({"b", "", 64, 64, 0, 1, {{db::Outcome::kRunError, 2}}, true});
  return progress;
}

// What a view writes while it is used.
std::string Written(bool is_terminal, Clock& clock, const std::function<void(ProgressView&)>& use) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  ProgressView view(file, is_terminal, clock);
  use(view);
  std::rewind(file);
  std::string text(1 << 14, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

// What a count of three writes, with so long between them.
std::string Counted(bool is_terminal, absl::Duration pause) {
  ManualClock clock;
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  CountLine line(file, is_terminal, clock, "samples", 3);
  for (int i = 0; i < 3; ++i) {
    clock.Advance(pause);
    line.Add();
  }
  std::rewind(file);
  std::string text(1 << 10, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

// What it writes for equal updates.
std::string Shown(const proto::JobProgress& progress, bool is_terminal, int times) {
  ManualClock clock;
  return Written(is_terminal, clock, [&](ProgressView& view) {
    for (int i = 0; i < times; ++i) view.Show(progress);
  });
}

TEST_CASE("a summary counts trials, tasks and failures by reason", "[cli]") {
  CHECK(Summary(Running()) ==
        "76 of 128 trials, 0:41 left, 12.3/s, 1 of 2 tasks done, 1 of 2 by weight 1 ms, 3 failed "
        "(2 run_error, 1 timeout)");
}

TEST_CASE("a summary says what a run of all takes, as far as it is measured", "[cli]") {
  proto::JobProgress progress = Running();
  progress.tasks[0].weight = 3;
  CHECK(absl::StrContains(Summary(progress), "tasks done, 1 of 2 by weight 3 ms, 3 failed"));
  progress.tasks[1].best_seconds = 2e-3;
  CHECK(absl::StrContains(Summary(progress), "tasks done, all by weight 5 ms, 3 failed"));
  progress.tasks[1].weight = 0;  // its time doesn't count
  CHECK(absl::StrContains(Summary(progress), "tasks done, all by weight 3 ms, 3 failed"));
  progress.tasks[1].weight.reset();
  CHECK(!absl::StrContains(Summary(progress), "weight"));
  progress.tasks.pop_back();
  CHECK(!absl::StrContains(Summary(progress), "weight"));
}

TEST_CASE("a summary says what a run of the model took", "[cli]") {
  proto::JobProgress progress = Running();
  progress.model = {.seconds = 15.2e-3, .default_seconds = 22e-3, .trials = 40};
  CHECK(
      absl::StrContains(Summary(progress),
                        "by weight 1 ms, in the model 15.2 ms of 22 ms after 40 trials, 3 failed"));
  progress.model->default_seconds = 0;
  CHECK(absl::StrContains(Summary(progress), "in the model 15.2 ms after 40 trials"));
}

TEST_CASE("a job that does not run, or has just begun, has no rate", "[cli]") {
  proto::JobProgress progress = Running();
  for (const auto state : {db::JobState::kQueued, db::JobState::kDone, db::JobState::kFailed,
                           db::JobState::kCancelled}) {
    progress.state = state;
    CHECK(Summary(progress) ==
          "76 of 128 trials, 1 of 2 tasks done, 1 of 2 by weight 1 ms, 3 failed (2 run_error, 1 "
          "timeout)");
  }
  progress.state = db::JobState::kRunning;
  progress.trials_per_second = 0;
  CHECK(Summary(progress).find("/s") == std::string::npos);
}

TEST_CASE("a summary says what runners waited for, all of them together", "[cli]") {
  proto::JobProgress progress = Running();
  const std::string before = Summary(progress);
  progress.runners = {{.device = "a"}, {.device = "b"}};
  CHECK(Summary(progress) == before);  // nothing was counted yet
  progress.runners[0].Of(db::RunnerPhase::kRun) = 9;
  progress.runners[0].Of(db::RunnerPhase::kBuild) = 1;
  progress.runners[1].Of(db::RunnerPhase::kRun) = 9.6;
  progress.runners[1].Of(db::RunnerPhase::kProposal) = 0.36;
  progress.runners[1].Of(db::RunnerPhase::kStore) = 0.04;  // too little to be said
  CHECK(Summary(progress) == before + "; runners 93% busy, waited for builds 5%, proposals 2%");
}

TEST_CASE("outside a terminal progress is one summary, not one an update", "[cli]") {
  const std::string text = Shown(Running(), false, 5);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);  // b is done, and the summary
  CHECK(text.find('\033') == std::string::npos);
}

TEST_CASE("a count has a line on a terminal, elsewhere one every five seconds", "[cli]") {
  CHECK(Counted(true, absl::ZeroDuration()) ==
        "\r\033[Ksamples: 1 of 3\r\033[Ksamples: 2 of 3\r\033[Ksamples: 3 of 3\n");
  CHECK(Counted(false, absl::ZeroDuration()) == "samples: 3 of 3\n");
  CHECK(Counted(false, absl::Seconds(3)) == "samples: 2 of 3\nsamples: 3 of 3\n");
}

TEST_CASE("on a terminal the block is redrawn in place", "[cli]") {
  const std::string text = Shown(Running(), true, 2);
  CHECK(text.find("\033[4A") != std::string::npos);
  CHECK(text.find("best      1 ms") != std::string::npos);
}

TEST_CASE("text fits a terminal, and is one line elsewhere", "[cli]") {
  const winsize narrow{.ws_row = 10, .ws_col = 12, .ws_xpixel = 0, .ws_ypixel = 0};
  int screen = -1, terminal = -1;
  REQUIRE(openpty(&screen, &terminal, nullptr, nullptr, &narrow) == 0);
  std::FILE* out = fdopen(terminal, "w");
  PrintFitting(out, "job 3: 2 tasks, 128 trials");
  PrintFitting(out, "");
  std::fflush(out);
  std::string shown;
  char byte = 0;  // what is written may arrive in parts
  while (!shown.ends_with("trials\r\n") && read(screen, &byte, 1) == 1) shown += byte;
  std::fclose(out);
  close(screen);
  CHECK(shown == "job 3: 2\r\ntasks, 128\r\ntrials\r\n");

  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  PrintFitting(file, "job 3: 2 tasks, 128 trials");
  CHECK(std::ftell(file) == 27);
  std::fclose(file);
}

TEST_CASE("a block is erased line by line, and nothing of a longer one is left", "[cli]") {
  proto::JobProgress progress = Running();
  progress.tasks.resize(1);
  const std::string drawn = Shown(progress, true, 2);
  CHECK_THAT(drawn, Catch::Contains("\033[3A\033[K  a  "));
  CHECK_THAT(drawn, Catch::Contains("\n\033[Kjob 3 running: "));
  CHECK_THAT(drawn, Catch::EndsWith("\n\033[J\033[?7h"));
}

TEST_CASE("outside a terminal bests share a line every five seconds, ends have their own",
          "[cli]") {
  ManualClock clock;
  proto::JobProgress progress = Running();
  std::vector<proto::JobProgress> updates;
  for (int i = 0; i < 120; ++i) {  // 12 s
    progress.tasks[0].best_seconds *= 0.99;
    progress.tasks[0].done = i >= 60;
    updates.push_back(progress);
  }
  updates.push_back(progress);
  updates.back().state = db::JobState::kDone;
  const std::string text = Written(false, clock, [&](ProgressView& view) {
    for (const proto::JobProgress& update : updates) {
      view.Show(update);
      clock.Advance(absl::Milliseconds(100));
    }
  });
  CAPTURE(text);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  REQUIRE(lines.size() == 6);
  CHECK(lines[0] == "b: done after 64 trials, best -");
  CHECK(lines[1].find("job 3 running: 76 of 128 trials") == 0);
  CHECK(lines[2].find("3 failed (2 run_error, 1 timeout), a best 599 us") != std::string::npos);
  CHECK(lines[3].find("a: done after 12 trials, best 5") == 0);
  CHECK(lines[4].find("job 3 running") == 0);
  CHECK(lines[5].find("job 3 done: 76 of 128 trials") == 0);
}

TEST_CASE("a remark has one line, and why a job failed none", "[cli]") {
  proto::JobProgress progress = Running();
  progress.message = "device lost";
  for (const bool is_terminal : {false, true}) {
    ManualClock clock;
    const std::string text = Written(is_terminal, clock, [&](ProgressView& view) {
      view.Show(progress);
      proto::JobProgress silent = progress;
      silent.message.clear();
      view.Show(silent);
      view.Show(silent);
    });
    CAPTURE(text);
    CHECK(text.find("device lost\n") != std::string::npos);
    CHECK(text.find("\n\n") == std::string::npos);
    CHECK(text.find("device lost") == text.rfind("device lost"));
  }
  progress.state = db::JobState::kFailed;
  CHECK(Shown(progress, false, 1).find("device lost") == std::string::npos);
  CHECK(Shown(progress, true, 1).find("device lost") == std::string::npos);
}

TEST_CASE("of more tasks than fit those that are not done are shown", "[cli]") {
  proto::JobProgress progress = Running();
  progress.tasks.assign(40, progress.tasks[1]);
  progress.tasks.push_back({"last", "", 1, 64, 0, 1, {}, false});
  const std::string block = Shown(progress, true, 1);
  CHECK(block.find("  last ") != std::string::npos);
  CHECK(block.find("and 10 more") != std::string::npos);
}

TEST_CASE("a block fits its terminal, however narrow", "[cli]") {
  proto::JobProgress progress = Running();
  progress.tasks.push_back(
      {"attention_of_all_heads", "", 1'234'567, 10'000'000, 1.234e-4, 1, {}, false});
  progress.message = "waits for a device of class x86/zen5/avx512/2c, and goes on by itself … so";
  for (int columns = 1; columns <= 130; ++columns) {
    for (const int rows : {3, 10, 40}) {
      CAPTURE(columns, rows);
      const std::vector<std::string> lines = BlockLines(progress, {rows, columns});
      CHECK(lines.size() <= static_cast<size_t>(rows - 1));
      for (const std::string& line : lines) {
        CAPTURE(line);
        CHECK(std::count_if(line.begin(), line.end(), [](char byte) {
                return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
              }) <= columns);
      }
    }
  }
}

TEST_CASE("a narrow block shortens the bar and keeps every word", "[cli]") {
  const auto text = [](int columns) {
    return absl::StrJoin(BlockLines(Running(), {36, columns}), "\n");
  };
  CHECK(text(50) ==
        "  a              #.....    12/64    best      1 ms\n"
        "  b              ######    64/64    best         -\n"
        "job 3 running: 76 of 128 trials, 0:41 left,\n"
        "12.3/s, 1 of 2 tasks done, 1 of 2 by weight 1 ms,\n"
        "3 failed (2 run_error, 1 timeout)");
  CHECK(text(44).find("  a                 12/64    best      1 ms\n") == 0);
  CHECK(text(30).find("  a              12/64 1 ms\n  b              64/64 -\n") == 0);
  CHECK(text(120).find("  a              ####....................    12/64    best      1 ms\n") ==
        0);
}

TEST_CASE("why a task ended early stands in the place of its bar", "[cli]") {
  proto::JobProgress progress = Running();
  progress.tasks[1].trials_done = progress.tasks[1].trials_total = 40;
  progress.tasks[1].end_reason = "little left to gain";
  CHECK(BlockLines(progress, {36, 80})[1] ==
        "  b              little left to gain         40/40    best         -");
  CHECK(BlockLines(progress, {36, 30})[1] == "  b              40/40 -");
  CHECK(Shown(progress, false, 1).find("b: done after 40 trials (little left to gain), best -\n") ==
        0);
}

TEST_CASE("durations and times are short", "[cli]") {
  CHECK(DurationText(41) == "0:41");
  CHECK(DurationText(11240) == "3:07:20");
  CHECK(TimeText(0) == "-");
  CHECK(TimeText(812e-6) == "812 us");
  CHECK(TimeText(1.2) == "1.2 s");
  CHECK(TimeText(999.4e-6) == "999 us");
  CHECK(TimeText(999.5e-6) == "1 ms");
  CHECK(TimeText(0.99999e-3) == "1 ms");
  CHECK(TimeText(999.4e-3) == "999 ms");
  CHECK(TimeText(0.9996) == "1 s");
  CHECK(TimeText(999.6) == "1000 s");
}

TEST_CASE("a report shows default, tuned and share of peak", "[cli]") {
  Report report;
  report.device_class = "x86/test";
  report.peak_gflops = 200;
  ReportRow row;
  row.op = "c2";
  row.operations = row.tuned_operations = 100'000'000;
  row.default_seconds = 2e-3;
  row.tuned_seconds = 1e-3;
  row.peak_fraction = row.TunedGflops() / report.peak_gflops;
  row.trials = 64;
  row.seconds = 12.5;
  report.rows.push_back(row);
  CHECK(row.DefaultGflops() == Approx(50));
  const std::string table = ToTable(report);
  CHECK(table.find("50.0%") != std::string::npos);
  const std::vector<std::string> lines = absl::StrSplit(table, '\n');
  REQUIRE(lines.size() > 5);
  CHECK(lines[4].size() <= 79);
  report.message = "900 of 960 trials: little was left to gain in 15 of 15 tasks";
  CHECK(ToTable(report).find(report.message + "\n\noperator") != std::string::npos);
  report.message.clear();
  CHECK(lines[5].size() <= 79);
  CHECK(lines[5].find("c2 ") == 0);
  CHECK(table.find("2.0x") != std::string::npos);
  CHECK(table.find("/s") == std::string::npos);  // it has not ended
  CHECK(ToJson(report).find("\"default_gflops\": 50") != std::string::npos);
  CHECK(table.find("side by side") == std::string::npos);
  CHECK(ToJson(report).find("\"comparison\": null") != std::string::npos);
  report.elapsed_seconds = 32;
  CHECK(ToTable(report).find("arithmetic\n64 trials in 0:32 from start to end, 2.0/s\n\n") !=
        std::string::npos);
  report.runners = {{.device = "w/cpu", .seconds = {3, 0, 1, 0, 0, 0}}};
  CHECK(ToTable(report).find("2.0/s\nrunners 75% busy, waited for builds 25%\n\n") !=
        std::string::npos);
  const nlohmann::json runners = nlohmann::json::parse(ToJson(report))["runners"];
  REQUIRE(runners.size() == 1);
  CHECK(runners[0]["device"] == "w/cpu");
  CHECK(runners[0]["run_seconds"] == 3);
  CHECK(runners[0]["build_seconds"] == 1);
  CHECK(runners[0]["others_seconds"] == 0);
}

TEST_CASE("a report shows what it does not know as unknown", "[cli]") {
  Report report;
  ReportRow& row = report.rows.emplace_back();
  row.op = "mean";
  row.operations = row.tuned_operations = 716'000;
  row.tuned_seconds = 716e-6;
  CHECK_THAT(ToTable(report),
             Catch::EndsWith("mean            -       -   716 us     1.0      -      -      0     "
                             "0.0  -\n"));
  const nlohmann::json entry = nlohmann::json::parse(ToJson(report))["operators"][0];
  CHECK(entry["default_seconds"].is_null());
  CHECK(entry["default_gflops"].is_null());
  CHECK(entry["tuned_gflops"].get<double>() == Approx(1));
}

class EndedJobClient final : public FakeClient {
 public:
  absl::Status QueryRecords(const db::RecordFilter&,
                            const std::function<void(const db::Record&)>&) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override {
    return std::vector<db::Device>();
  }
  absl::Status WatchJob(int64_t,
                        const std::function<void(const proto::JobProgress&)>& show) override {
    TESSERA_RETURN_IF_ERROR(trouble);
    proto::JobProgress progress = Running();
    progress.runners = {{.device = "w/cpu", .seconds = {3, 0, 1, 0, 0, 0}}};
    show(progress);
    return absl::OkStatus();
  }
  absl::Status trouble;
};

TEST_CASE("the report of a job that has ended says what runners did, if the server does", "[cli]") {
  EndedJobClient client;
  db::Job job{.id = 3, .state = db::JobState::kDone};
  absl::StatusOr<Report> report = MakeReport(client, job);
  REQUIRE(report.ok());
  CHECK(report->runners.size() == 1);
  job.state = db::JobState::kRunning;  // watching it would not end
  CHECK(MakeReport(client, job)->runners.empty());
  job.state = db::JobState::kDone;
  client.trouble = absl::ResourceExhaustedError("too many watches");
  report = MakeReport(client, job);
  REQUIRE(report.ok());
  CHECK(report->runners.empty());
}

// A log in which others had measured a task before the job, and measured it again after.
class LaterJobsClient final : public FakeClient {
 public:
  absl::Status QueryRecords(const db::RecordFilter&,
                            const std::function<void(const db::Record&)>& take) override {
    db::Record own = At(4e-3, absl::Seconds(20));
    own.task_key = task_key;
    own.measurement.environment.reference_gflops = reference_gflops;
    take(own);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return devices; }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(const std::string&,
                                                              const std::string&,
                                                              db::ComparisonPurpose) override {
    return std::vector<db::Comparison>();
  }
  absl::StatusOr<std::vector<db::Record>> Best(const std::string&, const std::string&, int count,
                                               const std::string&) override {
    std::vector<db::Record> best = log;
    if (static_cast<int>(best.size()) > count) best.resize(count);
    return best;
  }
  static db::Record At(double seconds, absl::Duration after) {
    db::Record record;
    record.created = absl::UnixEpoch() + after;
    record.trace = schedule::Print(schedule::Trace());
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {seconds};
    return record;
  }
  std::string task_key;
  double reference_gflops = 0;
  std::vector<db::Record> log;  // fastest first
  std::vector<db::Device> devices;
};

// That began from what the log knew at second 10. Adds 8 numbers to themselves.
db::Job AddingJob(const std::string& type) {
  db::Job job{.id = 3, .state = db::JobState::kDone, .prior = std::string(64, 'a')};
  job.created = absl::UnixEpoch() + absl::Seconds(10);
  job.updated = absl::UnixEpoch() + absl::Seconds(30);
  job.options.device_class = "x86/test";
  job.options.threads = 2;
  job.tasks.emplace_back().workload = absl::StrCat(
      "workload w\ninput X: ", type, "[8]\nstage s: ", type, "[a:8] = (X[a] + X[a])\noutput s\n");
  return job;
}

TEST_CASE("no kernel of a report is faster than its peak", "[cli]") {
  const db::Job job = AddingJob("f32");
  LaterJobsClient client;
  client.task_key = job.tasks[0].Key();
  client.reference_gflops = 4e-6;  // of a core, while the job ran
  client.log = {LaterJobsClient::At(1e-3, absl::Seconds(5))};
  absl::StatusOr<Report> report = MakeReport(client, job);
  REQUIRE(report.ok());
  CHECK(report->rows[0].TunedGflops() == Approx(8e-6));
  CHECK(report->peak_gflops == Approx(8e-6));
  client.log = {LaterJobsClient::At(0.5e-3, absl::Seconds(5))};
  report = MakeReport(client, job);
  REQUIRE(report.ok());
  CHECK(report->peak_gflops == Approx(16e-6));
  CHECK(report->rows[0].peak_fraction == 1);
  client.reference_gflops = 0;
  CHECK(MakeReport(client, job)->rows[0].peak_fraction == 0);  // unknown
}

TEST_CASE("a kernel of another type than f32 has no share of the peak", "[cli]") {
  for (const char* type : {"i8", "bf16"}) {
    const db::Job job = AddingJob(type);
    LaterJobsClient client;
    client.task_key = job.tasks[0].Key();
    client.reference_gflops = 1e-7;
    const absl::StatusOr<Report> report = MakeReport(client, job);
    INFO(report.status());
    REQUIRE(report.ok());
    CHECK(report->peak_gflops == Approx(2e-7));
    CHECK_THAT(ToTable(*report), Catch::Contains("   0.0      -   "));
    CHECK(nlohmann::json::parse(ToJson(*report))["operators"][0]["peak_fraction"].is_null());
  }
}

TEST_CASE("an accelerator's peak is its clock's, and bounds all that it computes", "[cli]") {
  db::Job job = AddingJob("i8");
  job.tasks[0].target = "vta";
  job.options.threads = 1;
  job.options.device_class = "vta-sim/test";
  LaterJobsClient client;
  client.task_key = job.tasks[0].Key();
  client.reference_gflops = -1;  // it has no loop to measure by
  client.devices.push_back({.id = "sim/vta-sim",
                            .device_class = {"vta-sim/test", "simulated"},
                            .peak_gflops_per_core = 4e-6});
  const absl::StatusOr<Report> report = MakeReport(client, job);
  INFO(report.status());
  REQUIRE(report.ok());
  CHECK(report->peak_gflops == Approx(4e-6));
  CHECK(report->rows[0].peak_fraction == Approx(0.5));  // 8 additions in 4 ms
  CHECK_THAT(ToTable(*report),
             Catch::Contains("peak 0.0 GOPS of integers, by the accelerator's clock;\n"
                             "GFLOPS are GOPS of integers here") &&
                 Catch::Contains(" 50.0% "));
}

TEST_CASE("a job's report claims what was known before it, and nothing that came later", "[cli]") {
  const db::Job job = AddingJob("f32");
  LaterJobsClient client;
  client.task_key = job.tasks[0].Key();
  const auto tuned = [&] {
    const absl::StatusOr<Report> report = MakeReport(client, job);
    INFO(report.status());
    REQUIRE(report.ok());
    return report->rows[0].tuned_seconds;
  };
  CHECK(tuned() == 4e-3);
  client.log = {LaterJobsClient::At(1e-3, absl::Seconds(40)),
                LaterJobsClient::At(2e-3, absl::Seconds(25)),
                LaterJobsClient::At(3e-3, absl::Seconds(5))};
  CHECK(tuned() == 3e-3);
  client.log.pop_back();
  CHECK(tuned() == 4e-3);
}

TEST_CASE("a report says which program stood beside which", "[cli]") {
  Report report;
  report.rows.resize(4);
  for (const char* op : {"a", "b", "c", "d"}) report.rows[op[0] - 'a'].op = op;
  db::Comparison comparison;
  comparison.record_ids = {12, 14, 15};
  comparison.promoted = 12;
  comparison.ratio_low = 1.012;
  comparison.ratio = 1.031;
  comparison.ratio_high = 1.05;
  report.rows[0].comparison = comparison;
  comparison.ratio_low = 0;  // it left before that could be said
  comparison.ratio_high = 1e9;
  report.rows[1].comparison = comparison;
  comparison.promoted = 14;
  comparison.ratio_low = 0.943;
  comparison.ratio = 0.961;
  comparison.ratio_high = 0.9785;
  report.rows[2].comparison = comparison;
  CHECK_THAT(
      ToTable(report),
      Catch::EndsWith(
          "\nmeasured side by side:\n"
          "a: record 12 stays; the best of 2 others takes 1.031 of its time (1.012 to 1.050)\n"
          "b: record 12 stays; the best of 2 others takes 1.031 of its time\n"
          "c: record 14 replaces 12; it takes 0.961 of its time (0.943 to 0.979)\n"));
  const nlohmann::json entries = nlohmann::json::parse(ToJson(report))["operators"];
  CHECK(entries[2]["comparison"]["promoted"] == 14);
  CHECK(entries[2]["comparison"]["ratio_low"] == 0.943);
  CHECK(entries[2]["comparison"]["ratio_high"] == 0.9785);
  CHECK(entries[1]["comparison"]["ratio_low"].is_null());
  CHECK(entries[1]["comparison"]["ratio_high"].is_null());
  report.rows[1].known_record = 12;
  report.rows[3].known_record = 7;
  CHECK_THAT(ToTable(report),
             Catch::Contains("\nfastest before this job: b (record 12), d (record 7)\n"));
  const nlohmann::json known = nlohmann::json::parse(ToJson(report))["operators"];
  CHECK(known[0]["known_record"].is_null());
  CHECK(known[1]["known_record"] == 12);
  comparison.ratio_low = comparison.ratio = comparison.ratio_high = 0;
  report.rows[3].comparison = comparison;
  CHECK_THAT(ToTable(report),
             Catch::EndsWith("d: record 14 replaces 12, which does not run any more\n"));
}

}  // namespace
}  // namespace tessera::cli
