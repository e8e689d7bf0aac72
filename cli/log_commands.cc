#include <algorithm>
#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/device_class.h"
#include "cli/log_query.h"
#include "cli/progress_view.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "db/record/export.h"

namespace tessera::cli {
absl::Status RunJobs(const JobOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  if (options.cancel) {
    if (options.job == 0) return absl::InvalidArgumentError("--cancel needs the job's number");
    TESSERA_RETURN_IF_ERROR(client->CancelJob(options.job));
    TESSERA_ASSIGN_OR_RETURN(const db::Job job, client->GetJob(options.job));
    std::fprintf(options.json ? stderr : stdout, "%s\n", CancelText(job).c_str());
    return absl::OkStatus();
  }
  if (options.job != 0) {
    TESSERA_ASSIGN_OR_RETURN(const db::Job job, client->GetJob(options.job));
    TESSERA_ASSIGN_OR_RETURN(const Report report, MakeReport(*client, job));
    std::fputs((options.json ? ToJson(report) : ToTable(report)).c_str(), stdout);
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
                    {"trials_per_task", job.options.trials_per_task}});
  }
  std::printf("%s\n", list.dump(2).c_str());
  return absl::OkStatus();
}

absl::Status RunBest(const BestOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(*client, options.device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> all, client->ListTasks());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, FindTasks(all, options.task));
  for (const db::Task& task : tasks) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> records,
                             client->Best(task.Key(), options.device_class, options.count));
    if (options.json) {
      for (const db::Record& record : records) std::fputs(db::ToJsonLine(record).c_str(), stdout);
      continue;
    }
    if (records.empty()) {
      std::printf("%-14s %.12s  %d threads  nothing measured yet\n", task.name.c_str(),
                  task.Key().c_str(), task.threads);
    }
    for (const db::Record& record : records) {
      std::printf("%-14s %.12s  %d threads  %10s  record %ld on %s\n", task.name.c_str(),
                  task.Key().c_str(), task.threads,
                  TimeText(record.measurement.CostSeconds()).c_str(), static_cast<long>(record.id),
                  record.device_class.c_str());
      if (options.trace) std::printf("%s\n", record.trace.c_str());
    }
  }
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
  std::fflush(stdout);  // the remark comes after them
  if (has_more) {
    std::fprintf(stderr, "%s\n", MoreText(filter.newest_first, options.limit, last).c_str());
  } else if (last == 0) {
    std::fputs("no measurement matches\n", stderr);
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
