#include "cli/tables.h"

#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "cli/progress_view.h"
#include "cli/text.h"
#include "compiler/ir/target.h"
#include "db/record/export.h"
#include "db/record/pace.h"
#include "proto/limits.h"
#include "tuner/task_scheduler.h"

namespace tessera::cli {
namespace {

constexpr size_t kShortKey = 8;
constexpr size_t kLongKey = 12;
constexpr int kMaxReason = 80;
constexpr absl::Duration kGone = absl::Hours(24);
constexpr char kOffline[] = "offline";

// "12.1 GFLOPS/core", "51.2 GOPS"; "-" if it is not known.
std::string PeakText(const db::Device& device) {
  if (device.peak_gflops_per_core <= 0) return "-";
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(device.target);
  const bool has_cores = !target.ok() || ir::IsCpu(target->kind);
  return absl::StrFormat("%.1f %s", device.peak_gflops_per_core,
                         has_cores ? "GFLOPS/core" : "GOPS");
}

// Null: it never connected.
nlohmann::json LastSeen(const db::Device& device) {
  if (device.last_seen == absl::Time()) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", device.last_seen, absl::UTCTimeZone());
}

// Why it is in its state.
std::string WhyText(const db::Device& device, absl::Time now) {
  if (device.state != kOffline || device.last_seen == absl::Time()) return device.state_reason;
  return absl::StrCat("seen ", DurationText(absl::ToDoubleSeconds(now - device.last_seen)), " ago");
}

}  // namespace

Table::Table(std::vector<std::string> titles) {
  for (std::string& title : titles) {
    is_number_.push_back(title.starts_with('>'));
    if (is_number_.back()) title.erase(0, 1);
  }
  rows_.push_back(std::move(titles));
}

void Table::Add(std::vector<std::string> cells) {
  TESSERA_CHECK(cells.size() == is_number_.size());
  for (std::string& cell : cells) cell = OneLine(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Text() const {
  std::string text;
  if (rows_.size() == 1) return text;
  std::vector<int> widths(is_number_.size(), 0);
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(static_cast<size_t>(widths[i] - WidthOf(row[i])), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", is_number_[i] ? padding : "", row[i],
                      is_number_[i] ? "" : padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::map<std::string, std::string> TaskLabels(absl::Span<const db::Task> tasks) {
  std::map<std::string, int> uses;
  for (const db::Task& task : tasks) ++uses[task.name];
  std::map<std::string, std::string> labels;
  for (const db::Task& task : tasks) {
    const std::string key = task.Key();
    labels[key] =
        uses[task.name] == 1 ? task.name : absl::StrCat(task.name, " ", key.substr(0, kShortKey));
  }
  return labels;
}

absl::StatusOr<std::vector<db::Task>> FindTasks(absl::Span<const db::Task> tasks,
                                                const std::string& wanted) {
  const auto is_named = [&](const db::Task& task) {
    if (wanted.empty() || task.name == wanted || task.Key().starts_with(wanted)) return true;
    const std::string name = absl::StrCat(task.name, " ");
    return wanted.starts_with(name) && task.Key().starts_with(wanted.substr(name.size()));
  };
  std::vector<db::Task> found;
  std::copy_if(tasks.begin(), tasks.end(), std::back_inserter(found), is_named);
  if (!found.empty() || wanted.empty()) return found;
  return absl::NotFoundError(
      absl::StrCat("none of ", tasks.size(), " tasks is named ", wanted,
                   " or has a key that begins so; `tessera best` lists all"));
}

std::string MoreText(bool newest_first, int64_t limit, int64_t last) {
  if (!newest_first) return absl::StrCat("there are more: go on with --after ", last);
  return absl::StrCat("these are the newest ", limit, ", there are more: ",
                      limit < proto::kMaxQueryLimit ? "--limit shows more of them, " : "",
                      "--after 0 begins with the oldest");
}

std::string CancelText(const db::Job& job) {
  const std::string state(db::ToString(job.state));
  const bool too_late = job.state == db::JobState::kDone || job.state == db::JobState::kFailed;
  const std::string fact = too_late ? absl::StrCat(" ended before it was cancelled: ", state)
                           : db::HasEnded(job.state) ? std::string(" is cancelled")
                                                     : std::string(" is being cancelled");
  return absl::StrCat("job ", job.id, fact, "; what it measured stays in the log");
}

std::string DrainText(const db::Device& device) {
  return absl::StrCat(device.id, " is ", device.state,
                      " and gets nothing new; what it has, it finishes. `tessera devices --resume ",
                      device.id, "` has it used again");
}

std::string ResumeText(const db::Device& device) {
  return absl::StrCat(device.id, " is ", device.state,
                      device.state == "offline" ? "; it is used again when its worker connects"
                                                : " and is used again");
}

std::string UnseenText(const absl::Status& why) {
  return absl::StrCat("done; what came of it could not be looked up: ", why.message());
}

std::vector<db::Device> DevicesOfToday(absl::Span<const db::Device> devices, absl::Time now) {
  std::vector<db::Device> present(devices.begin(), devices.end());
  std::erase_if(present, [&](const db::Device& device) {
    return device.state == kOffline && device.last_seen + kGone <= now;
  });
  return present;
}

std::string DevicesTable(absl::Span<const db::Device> devices, absl::Time now) {
  const bool paced =
      std::ranges::any_of(devices, [](const auto& d) { return d.pace.programs > 0; });
  // What is long goes last, where a terminal that is too narrow breaks it.
  std::vector<std::string> titles = {"device", "state", "roles", ">cores", ">peak", "class"};
  if (paced) titles.emplace_back("pace");
  titles.insert(titles.end(), {"why", "target"});
  Table table(std::move(titles));
  for (const db::Device& device : devices) {
    std::vector<std::string> row = {
        device.id,
        device.state,
        absl::StrCat(device.runs ? "run" : "", device.runs && device.builds ? "+" : "",
                     device.builds ? "build" : ""),
        absl::StrCat(device.cores),
        PeakText(device),
        device.device_class.name};
    if (paced) row.push_back(PaceText(device.pace));
    row.push_back(WhyText(device, now));
    row.push_back(device.target);
    table.Add(std::move(row));
  }
  return absl::StrCat(table.Text(), SlowDevicesText(devices));
}

std::string DevicesJson(absl::Span<const db::Device> devices) {
  nlohmann::json list = nlohmann::json::array();
  for (const db::Device& device : devices) {
    list.push_back(
        {{"id", device.id},
         {"worker", device.worker},
         {"device_class", device.device_class.name},
         {"description", device.device_class.description},
         {"target", device.target},
         {"runs", device.runs},
         {"builds", device.builds},
         {"cores", device.cores},
         {"version", device.tessera_version},
         {"state", device.state},
         {"state_reason", device.state_reason},
         {"last_seen", LastSeen(device)},
         {"peak_gflops_per_core", device.peak_gflops_per_core},
         {"pace", device.pace.programs > 0 ? nlohmann::json(device.pace.ratio) : nullptr},
         {"pace_programs", device.pace.programs},
         {"exact_times", device.exact_times},
         {"slower_than_others", db::SlowerThanOthers(devices, device)}});
  }
  return list.dump(2) + "\n";
}

std::string PaceText(const db::Pace& pace) {
  if (pace.programs == 0) return "-";
  return absl::StrFormat("%.2f, of %d programs", pace.ratio, pace.programs);
}

std::string SlowDevicesText(absl::Span<const db::Device> devices) {
  std::string text;
  for (const db::Device& device : devices) {
    const double slower = db::SlowerThanOthers(devices, device);
    if (slower > db::kMuchSlower) {
      absl::StrAppend(&text, "\nwarning: ", db::SlowText(device, slower), "\n");
    }
  }
  return text;
}

std::string SettingText(const db::Task& task) {
  return absl::StrCat(task.threads, task.threads == 1 ? " thread" : " threads", " on ", task.target,
                      task.cache_mode == db::CacheMode::kCold ? ", cold caches" : "");
}

Table EmptyBestTable() {
  return Table({"task", "key", ">threads", "cache", ">time", ">record", "class", "target"});
}

void AddToBest(Table& table, const db::Task& task, const db::Record& record) {
  const double seconds = record.measurement.CostSeconds();
  const bool measured = record.measurement.outcome == db::Outcome::kOk;
  table.Add({task.name, task.Key().substr(0, kLongKey), absl::StrCat(task.threads),
             std::string(db::ToString(task.cache_mode)), measured ? TimeText(seconds) : "-",
             measured ? absl::StrCat(record.id) : "-",
             measured ? record.device_class : "nothing measured yet", task.target});
}

std::string BestLine(const db::Task& task, const db::Record& record) {
  const nlohmann::ordered_json of_task = {{"name", task.name},
                                          {"threads", task.threads},
                                          {"target", task.target},
                                          {"cache", std::string(db::ToString(task.cache_mode))}};
  std::string line = of_task.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  line.back() = ',';
  return line + db::ToJsonLine(record).substr(1);
}

std::string JobText(const db::Job& job) {
  const auto count = [](size_t n, const char* what) {
    return absl::StrCat(n, " ", what, n == 1 ? "" : "s");
  };
  const bool is_cold = !job.tasks.empty() && job.tasks[0].cache_mode == db::CacheMode::kCold;
  const auto trials = static_cast<size_t>(job.Trials());
  // Of one task nothing is shared out.
  const bool is_one = job.tasks.size() == 1;
  const auto scheduler = tuner::MakeTaskScheduler(job.options.scheduler);
  const bool is_shared = scheduler.ok() && (*scheduler)->SharesBudget();
  const std::string budget =
      is_one
          ? count(trials, "trial")
          : absl::StrCat(
                is_shared || job.options.extra_trials > 0
                    ? absl::StrCat(count(trials, "trial"), " in all")
                    : absl::StrCat(count(static_cast<size_t>(job.options.trials_per_task), "trial"),
                                   " each"),
                " (", job.options.scheduler, ")");
  return absl::StrCat(
      "job ", job.id, ": ", count(job.tasks.size(), "task"), ", ", budget, ", ",
      count(static_cast<size_t>(job.options.threads), "thread"), " on ",
      job.tasks.empty() ? "nothing" : job.tasks[0].target, ", ", is_cold ? "cold caches, " : "",
      job.options.device_class.empty() ? std::string("any device class")
                                       : absl::StrCat("device class ", job.options.device_class));
}

std::string StateText(const db::Job& job) {
  std::string text = absl::StrCat(JobText(job), "; ", std::string(db::ToString(job.state)));
  if (db::HasEnded(job.state)) return text;
  if (!job.message.empty()) absl::StrAppend(&text, ", ", OneLine(job.message));
  absl::StrAppend(&text, "; `tessera watch ", job.id, "` shows how it goes on");
  return text;
}

std::string JobsTable(absl::Span<const db::Job> jobs) {
  Table table({">job", "state", "name", ">tasks", ">trials", "class", "message"});
  for (const db::Job& job : jobs) {
    table.Add({absl::StrCat(job.id), std::string(db::ToString(job.state)), job.name,
               absl::StrCat(job.tasks.size()), absl::StrCat(job.Trials()),
               job.options.device_class.empty() ? "any" : job.options.device_class, job.message});
  }
  return table.Text();
}

Table EmptyLogTable() {
  return Table({">record", ">job", "task", "outcome", ">time", "explorer", "reason"});
}

void AddToLog(Table& table, const db::Record& record,
              const std::map<std::string, std::string>& labels) {
  const db::Measurement& m = record.measurement;
  const auto label = labels.find(record.task_key);
  table.Add({absl::StrCat(record.id), record.job_id == 0 ? "-" : absl::StrCat(record.job_id),
             label == labels.end() ? record.task_key.substr(0, kShortKey) : label->second,
             std::string(db::ToString(m.outcome)),
             m.outcome == db::Outcome::kOk ? TimeText(m.CostSeconds()) : "-", record.explorer,
             std::string(Cut(m.reason, kMaxReason))});
}

}  // namespace tessera::cli
