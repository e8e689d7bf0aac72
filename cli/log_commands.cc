#include <algorithm>
#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/device_class.h"
#include "cli/log_query.h"
#include "cli/path_status.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "db/record/export.h"

namespace tessera::cli {
absl::Status RunJobs(const JobOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  if (options.cancel) {
    if (options.job == 0) return absl::InvalidArgumentError("--cancel needs the job's number");
    TESSERA_RETURN_IF_ERROR(client->CancelJob(options.job));
    const absl::StatusOr<db::Job> job = client->GetJob(options.job);
    const std::string text = job.ok() ? CancelText(*job) : UnseenText(job.status());
    std::fprintf(options.json ? stderr : stdout, "%s\n", text.c_str());
    return absl::OkStatus();
  }
  if (options.job != 0) {
    TESSERA_ASSIGN_OR_RETURN(const db::Job job, client->GetJob(options.job));
    TESSERA_ASSIGN_OR_RETURN(const Report report, MakeReport(*client, job));
    if (options.json) {
      std::fputs(ToJson(report).c_str(), stdout);
      return absl::OkStatus();
    }
    std::printf("%s\n\n%s", StateText(job).c_str(), ToTable(report).c_str());
    return absl::OkStatus();
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Job> jobs, client->ListJobs(100));
  if (!options.json) {
    std::fputs(JobsTable(jobs).c_str(), stdout);
    if (jobs.empty()) std::fputs("no job yet; `tessera tune` makes one\n", stderr);
    return absl::OkStatus();
  }
  nlohmann::json list = nlohmann::json::array();
  for (const db::Job& job : jobs) {
    list.push_back({{"id", job.id},
                    {"name", job.name},
                    {"state", std::string(db::ToString(job.state))},
                    {"message", job.message},
                    {"tasks", job.tasks.size()},
                    {"trials_per_task", job.options.trials_per_task},
                    {"trials", job.Trials()},
                    {"scheduler", job.options.scheduler},
                    {"device_class", job.options.device_class}});
  }
  std::printf("%s\n", list.dump(2).c_str());
  return absl::OkStatus();
}

absl::Status RunBest(const BestOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(*client, options.device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> all, client->ListTasks());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, FindTasks(all, options.task));
  Table table = EmptyBestTable();
  std::string traces;
  for (const db::Task& task : tasks) {
    TESSERA_ASSIGN_OR_RETURN(
        const std::vector<db::Record> records,
        client->Best(task.Key(), options.device_class, options.count, options.allow));
    if (records.empty()) AddToBest(table, task, {});
    for (const db::Record& record : records) {
      if (options.json) std::fputs(BestLine(task, record).c_str(), stdout);
      AddToBest(table, task, record);
      absl::StrAppend(&traces, "\nrecord ", record.id, ", ", task.name, "\n", record.trace, "\n");
    }
  }
  if (options.json) return absl::OkStatus();
  std::fputs(table.Text().c_str(), stdout);
  if (options.trace) std::fputs(traces.c_str(), stdout);
  if (tasks.empty()) std::fputs("no task yet; `tessera tune` makes one\n", stderr);
  return absl::OkStatus();
}

absl::Status RunLog(const LogOptions& options) {
  db::RecordFilter filter;
  filter.device_class = options.device_class;
  filter.job_id = options.job;
  filter.newest_first = options.after < 0;
  filter.after_id = std::max<int64_t>(options.after, 0);
  filter.limit = options.limit;
  for (const std::string& outcome : options.outcomes) {
    TESSERA_ASSIGN_OR_RETURN(const db::Outcome parsed, db::ParseOutcome(outcome));
    filter.outcomes.push_back(parsed);
  }
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(*client, options.device_class));
  if (options.job != 0) TESSERA_RETURN_IF_ERROR(client->GetJob(options.job).status());
  std::vector<std::string> keys;
  std::map<std::string, std::string> labels;
  const bool is_table = options.format == "table";
  if (is_table || !options.task.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client->ListTasks());
    labels = TaskLabels(tasks);
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> found, FindTasks(tasks, options.task));
    for (const db::Task& task : found) {
      if (!options.task.empty()) keys.push_back(task.Key());
    }
  }
  if (options.format == "csv") std::fputs(db::RecordCsvHeader().c_str(), stdout);
  Table table = EmptyLogTable();
  int64_t last = 0;
  TESSERA_ASSIGN_OR_RETURN(
      const bool has_more, ReadLog(*client, filter, keys, [&](const db::Record& record) {
        last = record.id;
        if (is_table) return AddToLog(table, record, labels);
        std::fputs(
            (options.format == "csv" ? db::ToCsvLine(record) : db::ToJsonLine(record)).c_str(),
            stdout);
      }));
  std::fputs(table.Text().c_str(), stdout);
  TESSERA_RETURN_IF_ERROR(FlushOutput());
  if (has_more) {
    std::fprintf(stderr, "%s\n", MoreText(filter.newest_first, options.limit, last).c_str());
  } else if (last == 0) {
    std::fputs("no measurement matches\n", stderr);
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
