#include "cli/report.h"

#include <algorithm>
#include <limits>
#include <map>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "cli/progress_view.h"
#include "cli/runners.h"
#include "cli/tables.h"
#include "cli/text.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/executed_operations.h"
#include "compiler/te/dag.h"

namespace tessera::cli {
namespace {

double Gflops(int64_t operations, double seconds) {
  return seconds > 0 ? static_cast<double>(operations) / seconds * 1e-9 : 0;
}

// Of a job's own comparisons of a task the latest.
absl::StatusOr<std::optional<db::Comparison>> ComparisonOf(Client& client, const db::Job& job,
                                                           const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<db::Comparison> comparisons,
      client.ListComparisons(task.Key(), "", db::ComparisonPurpose::kPromotion));
  for (db::Comparison& comparison : comparisons) {
    if (comparison.job_id == job.id) return std::move(comparison);
  }
  return std::nullopt;
}

// What came of a comparison, for people.
std::string ComparisonText(const db::Comparison& comparison) {
  const int64_t incumbent = comparison.record_ids[0];
  const bool stays = comparison.promoted == incumbent;
  if (!stays && comparison.ratio == 0) {
    return absl::StrFormat("record %d replaces %d, which does not run any more",
                           comparison.promoted, incumbent);
  }
  std::string text =
      stays ? absl::StrFormat("record %d stays; the best of %d others takes", incumbent,
                              comparison.record_ids.size() - 1)
            : absl::StrFormat("record %d replaces %d; it takes", comparison.promoted, incumbent);
  absl::StrAppendFormat(&text, " %.3f of its time", comparison.ratio);
  if (comparison.ratio_low > 0) {
    absl::StrAppendFormat(&text, " (%.3f to %.3f)", comparison.ratio_low, comparison.ratio_high);
  }
  return text;
}

// What had been measured of a task when the job was made: the fastest. Nothing where a thousand are
// faster that came later.
absl::StatusOr<std::optional<db::Record>> KnownBest(Client& client, const db::Job& job,
                                                    const std::string& task_key,
                                                    const std::string& device_class) {
  for (const int count : {1, kMaxListedRecords}) {
    TESSERA_ASSIGN_OR_RETURN(std::vector<db::Record> best,
                             client.Best(task_key, device_class, count, job.options.allow));
    for (db::Record& record : best) {
      if (record.created <= job.created) return std::move(record);
    }
    if (best.empty()) break;
  }
  return std::nullopt;
}

bool IsForAccelerator(const db::Job& job) {
  if (job.tasks.empty()) return false;
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(job.tasks[0].target);
  return target.ok() && target->kind == ir::TargetKind::kVta;
}

// Whether the peak bounds the arithmetic of `dag`: that of CPUs is of multiply-adds of f32, an
// accelerator's of all that it computes.
bool IsBounded(const Report& report, const te::Dag& dag) {
  return report.is_accelerators || std::ranges::all_of(dag.inputs, [](const te::Input& input) {
           return input.buffer->type == ir::Float(32);
         });
}

std::string FailureText(const ReportRow& row) {
  std::string text;
  for (const auto& [outcome, count] : row.failures) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", count, " ",
                    std::string(db::ToString(outcome)));
  }
  return text.empty() ? "-" : text;
}

// "12.3x"; "-" for what is not known.
std::string Cell(double value, std::string_view unit = "") {
  return value > 0 ? absl::StrFormat("%.1f%s", value, unit) : "-";
}

// Null for what is not known.
nlohmann::json Known(double value) {
  return value > 0 ? nlohmann::json(value) : nlohmann::json(nullptr);
}

// "pace of lab/cpu 1.06, of 4 programs": a line for each device.
std::string PacesText(absl::Span<const db::Device> devices) {
  std::string text;
  for (const db::Device& device : devices) {
    absl::StrAppend(&text, "pace of ", device.id, " ", PaceText(device.pace), "\n");
  }
  return text;
}

}  // namespace

double ReportRow::DefaultGflops() const { return Gflops(operations, default_seconds); }
double ReportRow::TunedGflops() const { return Gflops(tuned_operations, tuned_seconds); }

absl::StatusOr<Report> MakeReport(Client& client, const db::Job& job) {
  Report report;
  report.job_id = job.id;
  report.state = job.state;
  report.threads = job.options.threads;
  report.is_accelerators = IsForAccelerator(job);
  if (job.state == db::JobState::kDone) report.message = job.message;
  report.device_class = job.options.device_class;
  if (db::HasEnded(job.state)) {
    report.elapsed_seconds = absl::ToDoubleSeconds(job.updated - job.created);
    // A remark: a server that watches too much already need not answer.
    client.WatchJob(job.id, [&](const proto::JobProgress& last) { report.runners = last.runners; })
        .IgnoreError();
  }
  std::map<std::string, size_t> row_of_task;
  std::vector<te::Workload> workloads;
  for (const db::Task& task : job.tasks) {
    TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::ParseWorkload(task.workload));
    ReportRow row;
    row.op = task.name;
    row.weight = task.weight;
    row.operations = te::ExecutedOperations(workload.dag);
    workloads.push_back(std::move(workload));
    row_of_task[task.Key()] = report.rows.size();
    report.rows.push_back(std::move(row));
  }
  std::vector<std::map<db::Outcome, int64_t>> failures(report.rows.size());
  std::vector<std::string> tuned_traces(report.rows.size());
  double peak_of_a_core = 0;
  db::RecordFilter filter;
  filter.job_id = job.id;
  filter.limit = std::numeric_limits<int32_t>::max() / 4096;
  TESSERA_RETURN_IF_ERROR(client.QueryRecords(filter, [&](const db::Record& record) {
    const auto found = row_of_task.find(record.task_key);
    if (found == row_of_task.end()) return;
    ReportRow& row = report.rows[found->second];
    // A job of any class names the last of those that measured it.
    if (job.options.device_class.empty() && !record.device_class.empty()) {
      report.device_class = record.device_class;
    }
    ++row.trials;
    row.seconds += record.measurement.build_seconds + record.measurement.run_seconds;
    peak_of_a_core = std::max(peak_of_a_core, record.measurement.environment.reference_gflops);
    if (record.measurement.outcome != db::Outcome::kOk) {
      ++failures[found->second][record.measurement.outcome];
      return;
    }
    const double seconds = record.CostSeconds();
    if (record.explorer == "default") row.default_seconds = seconds;
    if (row.tuned_seconds == 0 || seconds < row.tuned_seconds) {
      row.tuned_seconds = seconds;
      tuned_traces[found->second] = record.trace;
    }
  }));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  for (const db::Device& device : devices) {
    if (device.device_class.name != report.device_class) continue;
    report.machine = device.device_class.description;
    peak_of_a_core = std::max(peak_of_a_core, device.peak_gflops_per_core);
    if (device.pace.programs > 0) report.devices.push_back(device);
  }
  if (!job.prior.empty() && !report.device_class.empty()) {
    // What others had measured was known and not measured again; what they measured later is not
    // of this job.
    for (const auto& [key, index] : row_of_task) {
      TESSERA_ASSIGN_OR_RETURN(const std::optional<db::Record> best,
                               KnownBest(client, job, key, report.device_class));
      ReportRow& row = report.rows[index];
      if (!best) continue;
      const double seconds = best->CostSeconds();
      if (row.tuned_seconds > 0 && row.tuned_seconds <= seconds) continue;
      row.tuned_seconds = seconds;
      row.known_record = best->id;
      tuned_traces[index] = best->trace;
    }
  }
  report.peak_gflops = peak_of_a_core * report.threads;
  for (size_t i = 0; i < report.rows.size(); ++i) {
    ReportRow& row = report.rows[i];
    TESSERA_ASSIGN_OR_RETURN(row.comparison, ComparisonOf(client, job, job.tasks[i]));
    row.failures.assign(failures[i].begin(), failures[i].end());
    if (row.tuned_seconds > 0) {
      TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, schedule::ParseTrace(tuned_traces[i]));
      TESSERA_ASSIGN_OR_RETURN(row.tuned_operations,
                               schedule::ExecutedOperations(workloads[i].dag, trace));
    }
    if (peak_of_a_core > 0 && IsBounded(report, workloads[i].dag)) {
      report.peak_gflops = std::max({report.peak_gflops, row.DefaultGflops(), row.TunedGflops()});
    }
  }
  for (size_t i = 0; i < report.rows.size(); ++i) {
    ReportRow& row = report.rows[i];
    if (report.peak_gflops > 0 && IsBounded(report, workloads[i].dag)) {
      row.peak_fraction = row.TunedGflops() / report.peak_gflops;
    }
  }
  return report;
}

WeightedTimes TimesOf(const Report& report) {
  WeightedTimes times;
  bool has_default = true, has_tuned = true;
  for (const ReportRow& row : report.rows) {
    times.default_seconds += row.weight * row.default_seconds;
    times.tuned_seconds += row.weight * row.tuned_seconds;
    has_default = has_default && row.default_seconds > 0;
    has_tuned = has_tuned && row.tuned_seconds > 0;
  }
  return {has_default ? times.default_seconds : 0, has_tuned ? times.tuned_seconds : 0};
}

std::string ToTable(const Report& report) {
  std::string text = "no trial has been measured\n\n";
  int64_t trials = 0;
  for (const ReportRow& row : report.rows) trials += row.trials;
  if (trials > 0 && !report.device_class.empty()) {
    text = absl::StrFormat("%s, %s\n", report.device_class, report.machine);
    if (report.peak_gflops > 0 && report.is_accelerators) {
      absl::StrAppendFormat(&text, "peak %.1f GOPS of integers, by the accelerator's clock;\n",
                            report.peak_gflops);
    } else if (report.peak_gflops > 0) {
      absl::StrAppendFormat(
          &text, "peak %.1f GFLOPS on %d thread%s, by the fastest reference loop or kernel;\n",
          report.peak_gflops, report.threads, report.threads == 1 ? "" : "s");
    }
    text += report.is_accelerators && report.peak_gflops > 0
                ? "GFLOPS are GOPS of integers here, and count executed arithmetic\n"
                : "GFLOPS count executed arithmetic\n";
    if (report.elapsed_seconds > 0) {
      absl::StrAppendFormat(&text, "%d trials in %s from start to end, %.1f/s\n", trials,
                            DurationText(report.elapsed_seconds),
                            static_cast<double>(trials) / report.elapsed_seconds);
    }
    if (const std::string runners = RunnersText(report.runners); !runners.empty()) {
      absl::StrAppend(&text, runners, "\n");
    }
    text += PacesText(report.devices);
    if (!report.message.empty()) absl::StrAppend(&text, OneLine(report.message), "\n");
    text += '\n';
  }
  size_t width = std::string_view("operator").size();
  for (const ReportRow& row : report.rows) width = std::max(width, row.op.size());
  // Within 80 columns for names of up to 9 characters.
  const auto operators = static_cast<int>(width);
  absl::StrAppendFormat(&text, "%-*s %8s %7s %8s %7s %6s %6s %6s %7s  %s\n", operators, "operator",
                        "default", "GFLOPS", "tuned", "GFLOPS", "peak", "gain", "trials", "seconds",
                        "failed");
  for (const ReportRow& row : report.rows) {
    const double gain = row.tuned_seconds > 0 ? row.default_seconds / row.tuned_seconds : 0;
    absl::StrAppendFormat(&text, "%-*s %8s %7s %8s %7s %6s %6s %6d %7.1f  %s\n", operators, row.op,
                          TimeText(row.default_seconds), Cell(row.DefaultGflops()),
                          TimeText(row.tuned_seconds), Cell(row.TunedGflops()),
                          Cell(row.peak_fraction * 100, "%"), Cell(gain, "x"), row.trials,
                          row.seconds, FailureText(row));
  }
  if (const WeightedTimes all = TimesOf(report); report.rows.size() > 1 && all.tuned_seconds > 0) {
    absl::StrAppend(&text, "\nall of them by weight: ", TimeText(all.tuned_seconds));
    if (all.default_seconds > 0) {
      absl::StrAppendFormat(&text, ", by the default schedules %s (%.1fx)",
                            TimeText(all.default_seconds), all.default_seconds / all.tuned_seconds);
    }
    text += '\n';
  }
  std::string known;
  for (const ReportRow& row : report.rows) {
    if (row.known_record == 0) continue;
    absl::StrAppend(&known, known.empty() ? "" : ", ", row.op, " (record ", row.known_record, ")");
  }
  if (!known.empty()) absl::StrAppend(&text, "\nfastest before this job: ", known, "\n");
  std::string compared;
  for (const ReportRow& row : report.rows) {
    if (!row.comparison) continue;
    absl::StrAppend(&compared, row.op, ": ", ComparisonText(*row.comparison), "\n");
  }
  if (!compared.empty()) absl::StrAppend(&text, "\nmeasured side by side:\n", compared);
  text += SlowDevicesText(report.devices);
  return text;
}

std::string ToJson(const Report& report) {
  nlohmann::json operators = nlohmann::json::array();
  for (const ReportRow& row : report.rows) {
    nlohmann::json failures = nlohmann::json::object();
    for (const auto& [outcome, count] : row.failures) {
      failures[std::string(db::ToString(outcome))] = count;
    }
    nlohmann::json comparison;
    if (row.comparison) {
      comparison = {{"id", row.comparison->id},
                    {"records", row.comparison->record_ids},
                    {"promoted", row.comparison->promoted},
                    {"ratio", Known(row.comparison->ratio)},
                    {"ratio_low", nullptr},
                    {"ratio_high", nullptr}};
      if (row.comparison->ratio_low > 0) {
        comparison["ratio_low"] = row.comparison->ratio_low;
        comparison["ratio_high"] = row.comparison->ratio_high;
      }
    }
    operators.push_back(
        {{"op", row.op},
         {"weight", row.weight},
         {"default_gflops", Known(row.DefaultGflops())},
         {"tuned_gflops", Known(row.TunedGflops())},
         {"default_seconds", Known(row.default_seconds)},
         {"tuned_seconds", Known(row.tuned_seconds)},
         {"peak_fraction", Known(row.peak_fraction)},
         {"known_record", row.known_record > 0 ? nlohmann::json(row.known_record) : nullptr},
         {"trials", row.trials},
         {"seconds", row.seconds},
         {"failures", std::move(failures)},
         {"comparison", std::move(comparison)}});
  }
  nlohmann::json paces = nlohmann::json::array();
  for (const db::Device& device : report.devices) {
    paces.push_back(
        {{"device", device.id}, {"pace", device.pace.ratio}, {"programs", device.pace.programs}});
  }
  nlohmann::json in_place;
  if (report.in_place) {
    in_place = {{"device", report.in_place->device},
                {"seconds", report.in_place->seconds},
                {"alone_seconds", Known(report.in_place->alone_seconds)},
                {"default_seconds", Known(report.in_place->default_seconds)}};
  }
  const WeightedTimes all = TimesOf(report);
  const nlohmann::json document = {{"job", report.job_id},
                                   {"state", std::string(db::ToString(report.state))},
                                   {"message", report.message},
                                   {"elapsed_seconds", report.elapsed_seconds},
                                   {"machine",
                                    {{"device_class", report.device_class},
                                     {"description", report.machine},
                                     {"threads", report.threads},
                                     {"peak_gflops", report.peak_gflops}}},
                                   {"operators", std::move(operators)},
                                   {"all",
                                    {{"default_seconds", Known(all.default_seconds)},
                                     {"tuned_seconds", Known(all.tuned_seconds)}}},
                                   {"in_place", std::move(in_place)},
                                   {"runners", RunnersJson(report.runners)},
                                   {"paces", std::move(paces)}};
  return document.dump(2) + "\n";
}

}  // namespace tessera::cli
