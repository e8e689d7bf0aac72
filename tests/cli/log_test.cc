#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "cli/log_query.h"
#include "cli/tables.h"
#include "db/record/memory_store.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {
namespace {

// A server of which only the log answers.
class LogClient final : public FakeClient {
 public:
  explicit LogClient(int records) {
    for (int i = 0; i < records; ++i) {
      db::Record record;
      record.task_key = i % 3 == 0 ? "a" : "b";
      record.attempt_key = absl::StrCat(i);
      REQUIRE(store_.Append({record}, {}).ok());
    }
  }

  absl::Status QueryRecords(const db::RecordFilter& filter,
                            const std::function<void(const db::Record&)>& take) override {
    auto records = store_.QueryRecords(filter);
    if (!records.ok()) return records.status();
    if (!filter.newest_first) {
      longest_page = std::max(longest_page, static_cast<int>(records->size()));
    }
    for (const db::Record& record : *records) take(record);
    return absl::OkStatus();
  }
  int longest_page = 0;  // in the order in which records are handed on

 private:
  ManualClock clock_;
  db::MemoryStore store_{clock_};
};

struct Page {
  std::vector<int64_t> ids;
  bool has_more = false;
};

Page Read(LogClient& client, const db::RecordFilter& filter, std::vector<std::string> keys = {}) {
  Page page;
  const auto more = ReadLog(client, filter, std::move(keys),
                            [&](const db::Record& record) { page.ids.push_back(record.id); });
  REQUIRE(more.ok());
  page.has_more = *more;
  return page;
}

using Ids = std::vector<int64_t>;

TEST_CASE("the newest of the log are in order, and it is known whether there are older ones",
          "[cli]") {
  LogClient client(10);
  db::RecordFilter filter;
  filter.newest_first = true;
  filter.limit = 3;
  CHECK(Read(client, filter).ids == Ids{8, 9, 10});
  CHECK(Read(client, filter).has_more);
  filter.limit = 10;
  CHECK(Read(client, filter).ids.size() == 10);
  CHECK_FALSE(Read(client, filter).has_more);
  filter.limit = 11;
  CHECK_FALSE(Read(client, filter).has_more);
  filter.limit = 4;
  CHECK(Read(client, filter, {"a", "b"}).ids == Ids{7, 8, 9, 10});
  CHECK(Read(client, filter, {"a"}).ids == Ids{1, 4, 7, 10});
  CHECK_FALSE(Read(client, filter, {"a"}).has_more);
  CHECK(Read(client, filter, {"a", "b"}).has_more);
}

TEST_CASE("the log after an id goes on where the last page ended", "[cli]") {
  LogClient client(10);
  for (const std::vector<std::string>& keys :
       std::vector<std::vector<std::string>>{{}, {"a", "b"}, {"b", "a", "none"}}) {
    db::RecordFilter filter;
    filter.limit = 4;
    Ids all;
    for (bool more = true; more;) {
      const Page page = Read(client, filter, keys);
      REQUIRE_FALSE(page.ids.empty());
      all.insert(all.end(), page.ids.begin(), page.ids.end());
      filter.after_id = all.back();
      more = page.has_more;
    }
    CHECK(all == Ids{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  }
}

TEST_CASE("a long log is handed on in pages, from either end", "[cli]") {
  constexpr int kRecords = 2600;
  LogClient client(kRecords);
  for (const bool newest : {false, true}) {
    for (const std::vector<std::string>& keys :
         std::vector<std::vector<std::string>>{{}, {"b"}, {"a", "b"}}) {
      const int matching = keys.size() == 1 ? kRecords * 2 / 3 : kRecords;
      for (const int limit : {1, 499, 500, 1501, matching - 1, matching, matching + 1}) {
        CAPTURE(newest, keys.size(), limit);
        db::RecordFilter filter;
        filter.newest_first = newest;
        filter.limit = limit;
        const Page page = Read(client, filter, keys);
        CHECK(page.ids.size() == static_cast<size_t>(std::min(limit, matching)));
        CHECK(std::is_sorted(page.ids.begin(), page.ids.end()));
        CHECK(page.has_more == (limit < matching));
        CHECK((newest ? page.ids.back() > kRecords - 3 : page.ids.front() < 3));
      }
    }
  }
  CHECK(client.longest_page <= 500);
}

TEST_CASE("an empty log has nothing more", "[cli]") {
  LogClient client(0);
  for (const bool newest : {false, true}) {
    db::RecordFilter filter;
    filter.newest_first = newest;
    const Page page = Read(client, filter);
    CHECK(page.ids.empty());
    CHECK_FALSE(page.has_more);
  }
}

db::Task TaskOf(const std::string& name, int threads) {
  db::Task task;
  task.name = name;
  task.threads = threads;
  return task;
}

TEST_CASE("the log's table names tasks, and tells those of one name apart", "[cli]") {
  const std::vector<db::Task> tasks{TaskOf("c2", 1), TaskOf("matmul", 2), TaskOf("matmul", 3)};
  std::vector<db::Record> records(4);
  for (size_t i = 0; i < 3; ++i) records[i].task_key = tasks[i].Key();
  records[3].task_key = "0123456789abcdef";
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].id = static_cast<int64_t>(98 + i);
    records[i].explorer = "annealing";
    records[i].measurement.outcome = db::Outcome::kTimeout;
    records[i].measurement.reason = "took too long";
  }
  records[3].job_id = 7;
  const std::string second = tasks[1].Key().substr(0, 8), third = tasks[2].Key().substr(0, 8);
  Table table = EmptyLogTable();
  CHECK(table.Text().empty());
  for (const db::Record& record : records) AddToLog(table, record, TaskLabels(tasks));
  CHECK(table.Text() ==
        "record  job  task             outcome  time  explorer   reason\n"
        "    98    -  c2               timeout     -  annealing  took too long\n"
        "    99    -  matmul " +
            second +
            "  timeout     -  annealing  took too long\n"
            "   100    -  matmul " +
            third +
            "  timeout     -  annealing  took too long\n"
            "   101    7  01234567         timeout     -  annealing  took too long\n");
}

TEST_CASE("a task is found by name, key or label", "[cli]") {
  const std::vector<db::Task> tasks{TaskOf("c2", 1), TaskOf("mat mul", 2), TaskOf("mat mul", 3)};
  for (const auto& [key, label] : TaskLabels(tasks)) {
    const auto found = FindTasks(tasks, label);
    REQUIRE(found.ok());
    REQUIRE(found->size() == 1);
    CHECK((*found)[0].Key() == key);
    CHECK(FindTasks(tasks, key.substr(0, 12))->size() == 1);
  }
  CHECK(FindTasks(tasks, "mat mul")->size() == 2);
  CHECK(FindTasks(tasks, "")->size() == 3);
  CHECK(absl::IsNotFound(FindTasks(tasks, "c2 zzz").status()));
  CHECK(absl::IsNotFound(FindTasks(tasks, "mat").status()));
}

TEST_CASE("what is said of records that are not shown can be done", "[cli]") {
  CHECK(MoreText(true, 1000, 7) ==
        "these are the newest 1000, there are more: --limit shows more of them, --after 0 begins "
        "with the oldest");
  CHECK(MoreText(true, 1'000'000, 7) ==
        "these are the newest 1000000, there are more: --after 0 begins with the oldest");
  CHECK(MoreText(false, 1000, 7) == "there are more: go on with --after 7");
}

TEST_CASE("a job is told with its target and device class", "[cli]") {
  db::Job job;
  job.id = 3;
  job.options.trials_per_task = 1;
  job.options.threads = 2;
  job.tasks.resize(2);
  job.tasks[0].target = "x86/avx2";
  job.options.scheduler = "gradient";
  CHECK(JobText(job) ==
        "job 3: 2 tasks, 2 trials in all (gradient), 2 threads on x86/avx2, any device class");
  job.options.scheduler = "fair";
  job.options.device_class = "x86/zen2/avx2/4c";
  CHECK(JobText(job) ==
        "job 3: 2 tasks, 1 trial each (fair), 2 threads on x86/avx2, device class "
        "x86/zen2/avx2/4c");
  job.options.extra_trials = 1;
  CHECK_THAT(JobText(job), Catch::Contains(" 3 trials in all (fair)"));
  job.tasks[0].cache_mode = db::CacheMode::kCold;
  CHECK(JobText(job).find(" on x86/avx2, cold caches, device class ") != std::string::npos);
  job.tasks.clear();
  job.options.extra_trials = 0;
  CHECK_THAT(JobText(job), Catch::Contains("0 tasks, 1 trial each"));
}

TEST_CASE("the table of jobs has titles", "[cli]") {
  db::Job job;
  job.id = 12;
  job.name = "resnet18";
  job.state = db::JobState::kRunning;
  job.tasks.resize(2);
  CHECK(JobsTable({job}) ==
        "job  state    name      tasks  trials  class  message\n"
        " 12  running  resnet18      2     128  any\n");
  job.options.extra_trials = 1;
  CHECK_THAT(JobsTable({job}), Catch::Contains(" 129 "));
  job.options.device_class = "x86/zen5/avx512/8c";
  CHECK(JobsTable({job}).find("129  x86/zen5/avx512/8c\n") != std::string::npos);
  CHECK(JobsTable({}).empty());
}

TEST_CASE("what cancel, drain and resume did is one line", "[cli]") {
  db::Job job;
  job.id = 3;
  job.state = db::JobState::kCancelled;
  CHECK(CancelText(job) == "job 3 is cancelled; what it measured stays in the log");
  job.state = db::JobState::kRunning;
  CHECK(CancelText(job).find("job 3 is being cancelled;") == 0);
  job.state = db::JobState::kDone;
  CHECK(CancelText(job) ==
        "job 3 ended before it was cancelled: done; what it measured stays in the log");
  job.state = db::JobState::kFailed;
  CHECK(CancelText(job).find("job 3 ended before it was cancelled: failed;") == 0);
  db::Device device;
  device.id = "lab/cpu";
  device.state = "draining";
  CHECK(DrainText(device) ==
        "lab/cpu is draining and gets nothing new; what it has, it finishes. `tessera devices "
        "--resume lab/cpu` has it used again");
  device.state = "online";
  CHECK(ResumeText(device) == "lab/cpu is online and is used again");
  device.state = "offline";
  CHECK(ResumeText(device) == "lab/cpu is offline; it is used again when its worker connects");
  CHECK(UnseenText(absl::AbortedError("the database is busy")) ==
        "done; what came of it could not be looked up: the database is busy");
}

TEST_CASE("devices that have gone are known by when they were seen", "[cli]") {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  const auto seen = [&](const char* id, const char* state, absl::Duration ago) {
    db::Device device;
    device.id = id;
    device.state = state;
    device.last_seen = now - ago;
    return device;
  };
  const std::vector<db::Device> devices = {
      seen("here", "online", absl::Hours(100)), seen("away", "offline", absl::Seconds(125)),
      seen("broken", "quarantined", absl::Hours(100)), seen("gone", "offline", absl::Hours(24))};
  CHECK_THAT(DevicesTable(devices, now),
             Catch::Contains(" seen 2:05 ago\n") && Catch::EndsWith("seen 24:00:00 ago\n"));
  const std::vector<db::Device> present = DevicesOfToday(devices, now);
  REQUIRE(present.size() == 3);
  CHECK(present[1].id == "away");
  CHECK(present[2].id == "broken");
}

TEST_CASE("devices as JSON say when each was seen, and whose times are exact", "[cli]") {
  db::Device seen, never;
  seen.last_seen = absl::FromUnixSeconds(1'000'000);
  seen.exact_times = true;
  const nlohmann::json list = nlohmann::json::parse(DevicesJson({seen, never}));
  CHECK(list[0]["last_seen"] == "1970-01-12T13:46:40Z");
  CHECK(list[0]["exact_times"] == true);
  CHECK(list[1]["last_seen"].is_null());
  CHECK(list[1]["exact_times"] == false);
}

TEST_CASE("the tables of devices and of bests have titles", "[cli]") {
  db::Device device;
  device.id = "lab/cpu";
  device.state = "draining";
  device.state_reason = "new fan";
  device.runs = device.builds = true;
  device.cores = 2;
  device.peak_gflops_per_core = 101.25;
  device.target = "x86/avx2";
  device.device_class.name = "x86/lab";
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  CHECK(DevicesTable({device}, now) ==
        "device   state     roles      cores               peak  class    why      target\n"
        "lab/cpu  draining  run+build      2  101.2 GFLOPS/core  x86/lab  new fan  x86/avx2\n");
  CHECK(DevicesTable({}, now).empty());
  db::Device accelerator = device;
  accelerator.target = "vta";
  accelerator.peak_gflops_per_core = 51.2;
  CHECK_THAT(DevicesTable({accelerator}, now), Catch::Contains("  51.2 GOPS  x86/lab "));
  accelerator.target = "opencl";
  accelerator.peak_gflops_per_core = 0;
  CHECK_THAT(DevicesTable({accelerator}, now), Catch::Contains("     -  x86/lab "));
  device.state = "quarantined";
  db::Device slow = device;
  slow.state = "online";
  slow.id = "lab2/cpu";
  slow.state_reason.clear();
  device.pace = {0.913, 4};
  slow.pace = {1.095, 4};
  CHECK_THAT(
      DevicesTable({device, slow}, now),
      Catch::Contains("  x86/lab  0.91, of 4 programs  new fan  x86/avx2\n") &&
          Catch::EndsWith("\nwarning: lab2/cpu takes 1.20 times as long as the others of its "
                          "class, by 4 programs; look for heat, a lower clock or other load "
                          "there, or leave it out: `tessera devices --drain lab2/cpu`\n"));
  slow.state = "draining";  // as the warning says
  CHECK_THAT(DevicesTable({device, slow}, now), !Catch::Contains("warning"));

  db::Task task = TaskOf("c2", 1);
  task.target = "x86/avx2 l1=32768";
  task.cache_mode = db::CacheMode::kCold;
  db::Record record;
  record.id = 12;
  record.device_class = "x86/lab";
  record.measurement.outcome = db::Outcome::kOk;
  record.measurement.sample_seconds = {1e-3};
  Table table = EmptyBestTable();
  CHECK(table.Text().empty());
  AddToBest(table, task, record);
  AddToBest(table, TaskOf("mean", 2), {});
  CHECK(table.Text() ==
        "task  key           threads  cache  time  record  class                 target\n"
        "c2    " +
            task.Key().substr(0, 12) +
            "        1  cold   1 ms      12  x86/lab               x86/avx2 l1=32768\n"
            "mean  " +
            TaskOf("mean", 2).Key().substr(0, 12) +
            "        2  warm      -       -  nothing measured yet\n");
  const std::string line = BestLine(task, record);
  CHECK(line.find(
            R"({"name":"c2","threads":1,"target":"x86/avx2 l1=32768","cache":"cold","id":12,)") ==
        0);
  CHECK(nlohmann::json::parse(line)["device_class"] == "x86/lab");
  CHECK(line.back() == '\n');
}

}  // namespace
}  // namespace tessera::cli
