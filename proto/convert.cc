#include "proto/convert.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "base/status.h"
#include "base/third_party.h"
#include "proto/checks.h"
#include "proto/convert_parts.h"
#include "proto/limits.h"

namespace tessera::proto {
namespace {

// Of peers that know none: 1.
double PaceOf(Checks& check, std::string_view field, double value) {
  return value == 0 ? 1 : check.Number(field, value, kMinPace, kMaxPace);
}

TaskProgress TaskProgressFromProto(Checks& check, const v1::TaskProgress& m) {
  TaskProgress task;
  task.name = check.Name("progress task name", m.name(), kMaxNameBytes);
  task.task_key = check.Hex("progress task_key", m.task_key(), 64, true);
  task.trials_done = check.Range("progress trials_done", m.trials_done(), 0, kMaxId);
  task.trials_total = check.Range("progress trials_total", m.trials_total(), 0, kMaxId);
  task.best_seconds = check.Number("progress best_seconds", m.best_seconds(), 0, kMaxSeconds);
  if (m.has_weight()) task.weight = check.Number("progress weight", m.weight(), 0, 1e9);
  task.failures = Each(check, "progress failures", m.failures(), 16, [&](const auto& failure) {
    return std::pair{Nested(check, failure.outcome()),
                     check.Range("progress failures count", failure.count(), 0, kMaxId)};
  });
  task.done = m.done();
  task.promoted = check.Range("progress promoted", m.promoted(), 0, kMaxId);
  task.end_reason = check.Name("progress end_reason", m.end_reason(), kMaxNameBytes);
  return task;
}

db::RunnerTime RunnerTimeFromProto(Checks& check, const v1::RunnerTime& m) {
  const auto seconds = [&](std::string_view field, double value) {
    return check.Number(field, value, 0, kMaxSeconds);
  };
  db::RunnerTime time;
  time.device = check.RequiredName("runner device", m.device(), kMaxNameBytes);
  time.Of(db::RunnerPhase::kRun) = seconds("runner run_seconds", m.run_seconds());
  time.Of(db::RunnerPhase::kWorker) = seconds("runner worker_seconds", m.worker_seconds());
  time.Of(db::RunnerPhase::kBuild) = seconds("runner build_seconds", m.build_seconds());
  time.Of(db::RunnerPhase::kProposal) = seconds("runner proposal_seconds", m.proposal_seconds());
  time.Of(db::RunnerPhase::kStore) = seconds("runner store_seconds", m.store_seconds());
  time.Of(db::RunnerPhase::kOthers) = seconds("runner others_seconds", m.others_seconds());
  return time;
}

v1::RunnerTime RunnerTimeToProto(const db::RunnerTime& time) {
  v1::RunnerTime m;
  m.set_device(time.device);
  m.set_run_seconds(time.Of(db::RunnerPhase::kRun));
  m.set_worker_seconds(time.Of(db::RunnerPhase::kWorker));
  m.set_build_seconds(time.Of(db::RunnerPhase::kBuild));
  m.set_proposal_seconds(time.Of(db::RunnerPhase::kProposal));
  m.set_store_seconds(time.Of(db::RunnerPhase::kStore));
  m.set_others_seconds(time.Of(db::RunnerPhase::kOthers));
  return m;
}

}  // namespace

v1::Outcome ToProto(db::Outcome outcome) {
  return static_cast<v1::Outcome>(static_cast<int>(outcome) + 1);
}

absl::StatusOr<db::Outcome> FromProto(v1::Outcome outcome) {
  if (outcome < v1::OUTCOME_OK || outcome > v1::OUTCOME_CANCELLED) {
    return absl::InvalidArgumentError(
        absl::StrCat("outcome: ", static_cast<int>(outcome), " is none of 1 to 8"));
  }
  return static_cast<db::Outcome>(static_cast<int>(outcome) - 1);
}

v1::CacheMode ToProto(db::CacheMode mode) { return static_cast<v1::CacheMode>(mode); }

absl::StatusOr<db::CacheMode> FromProto(v1::CacheMode mode) {
  if (mode != v1::CACHE_MODE_WARM && mode != v1::CACHE_MODE_COLD) {
    return absl::InvalidArgumentError(
        absl::StrCat("cache_mode: ", static_cast<int>(mode), " is neither 0 (warm) nor 1 (cold)"));
  }
  return static_cast<db::CacheMode>(mode);
}

v1::JobState ToProto(db::JobState state) {
  return static_cast<v1::JobState>(static_cast<int>(state) + 1);
}

absl::StatusOr<db::JobState> FromProto(v1::JobState state) {
  if (state < v1::JOB_STATE_QUEUED || state > v1::JOB_STATE_CANCELLED) {
    return absl::InvalidArgumentError(
        absl::StrCat("job state: ", static_cast<int>(state), " is none of 1 to 5"));
  }
  return static_cast<db::JobState>(static_cast<int>(state) - 1);
}

v1::Task ToProto(const db::Task& task) {
  v1::Task m;
  m.set_name(CleanText(task.name, kMaxNameBytes));
  m.set_workload_hash(task.workload_hash);
  m.set_workload(task.workload);
  m.set_target(task.target);
  m.set_threads(task.threads);
  m.set_cache_mode(ToProto(task.cache_mode));
  m.set_weight(task.weight);
  return m;
}

absl::StatusOr<db::Task> FromProto(const v1::Task& m) {
  Checks check;
  db::Task task;
  task.name = check.RequiredName("task name", m.name(), kMaxNameBytes);
  task.workload_hash = check.Hex("task workload_hash", m.workload_hash(), 16, false);
  if (m.workload().empty()) check.Fail("task workload", "must not be empty");
  task.workload = check.Text("task workload", m.workload(), kMaxWorkloadBytes);
  task.target = check.RequiredName("task target", m.target(), kMaxNameBytes);
  task.threads = check.Int("task threads", m.threads(), 1, kMaxThreads);
  task.cache_mode = static_cast<db::CacheMode>(
      check.Int("task cache_mode", m.cache_mode(), v1::CACHE_MODE_WARM, v1::CACHE_MODE_COLD));
  task.weight = check.Number("task weight", m.weight(), 0, 1e9);
  return Finish(check, std::move(task));
}

v1::DeviceClass ToProto(const db::DeviceClass& device_class) {
  v1::DeviceClass m;
  m.set_name(CleanText(device_class.name, kMaxNameBytes));
  m.set_description(CleanText(device_class.description, kMaxTextBytes));
  return m;
}

absl::StatusOr<db::DeviceClass> FromProto(const v1::DeviceClass& m) {
  Checks check;
  db::DeviceClass device_class;
  device_class.name = check.RequiredName("device_class name", m.name(), kMaxNameBytes);
  device_class.description = check.Text("device_class description", m.description(), kMaxTextBytes);
  return Finish(check, std::move(device_class));
}

v1::Measurement ToProto(const db::Measurement& measurement) {
  v1::Measurement m;
  m.set_outcome(ToProto(measurement.outcome));
  m.set_reason(CleanText(measurement.reason, kMaxTextBytes));
  m.mutable_sample_seconds()->Add(measurement.sample_seconds.begin(),
                                  measurement.sample_seconds.end());
  m.mutable_sample_calls()->Add(measurement.sample_calls.begin(), measurement.sample_calls.end());
  m.set_build_seconds(measurement.build_seconds);
  m.set_run_seconds(measurement.run_seconds);
  const db::Environment& environment = measurement.environment;
  v1::Environment* e = m.mutable_environment();
  e->set_cpu_mhz(environment.cpu_mhz);
  e->set_load_average(environment.load_average);
  e->set_temperature_celsius(environment.temperature_celsius);
  e->set_reference_gflops(environment.reference_gflops);
  e->set_peak_memory_bytes(environment.peak_memory_bytes);
  e->set_runtime_version(CleanText(environment.runtime_version, kMaxNameBytes));
  return m;
}

absl::StatusOr<db::Measurement> FromProto(const v1::Measurement& m) {
  Checks check;
  db::Measurement measurement;
  measurement.outcome = Nested(check, m.outcome());
  measurement.reason = check.Text("measurement reason", m.reason(), kMaxTextBytes);
  // A kernel takes time: zero or less would be the best for ever.
  measurement.sample_seconds = Each(
      check, "measurement sample_seconds", m.sample_seconds(), kMaxSamples, [&](double seconds) {
        return check.Number("measurement sample_seconds", seconds, 1e-12, kMaxSeconds);
      });
  measurement.sample_calls = Each(
      check, "measurement sample_calls", m.sample_calls(), kMaxSamples,
      [&](int64_t calls) { return check.Range("measurement sample_calls", calls, 1, kMaxId); });
  if (m.sample_calls_size() != 0 && m.sample_calls_size() != m.sample_seconds_size()) {
    check.Fail("measurement sample_calls",
               absl::StrCat(m.sample_calls_size(), " elements beside ", m.sample_seconds_size(),
                            " sample_seconds"));
  }
  if (measurement.outcome == db::Outcome::kOk && measurement.sample_seconds.empty()) {
    check.Fail("measurement sample_seconds", "an outcome of ok needs at least one sample");
  }
  measurement.build_seconds =
      check.Number("measurement build_seconds", m.build_seconds(), 0, kMaxSeconds);
  measurement.run_seconds =
      check.Number("measurement run_seconds", m.run_seconds(), 0, kMaxSeconds);
  const v1::Environment& e = m.environment();
  db::Environment& environment = measurement.environment;
  environment.cpu_mhz = check.Number("environment cpu_mhz", e.cpu_mhz(), -1, 1e6);
  environment.load_average = check.Number("environment load_average", e.load_average(), -1, 1e6);
  environment.temperature_celsius =
      check.Number("environment temperature_celsius", e.temperature_celsius(), -300, 1e4);
  environment.reference_gflops =
      check.Number("environment reference_gflops", e.reference_gflops(), -1, 1e9);
  environment.peak_memory_bytes =
      check.Range("environment peak_memory_bytes", e.peak_memory_bytes(), -1, kMaxId);
  environment.runtime_version =
      check.Name("environment runtime_version", e.runtime_version(), kMaxNameBytes);
  return Finish(check, std::move(measurement));
}

v1::Record ToProto(const db::Record& record) {
  v1::Record m;
  m.set_id(record.id);
  m.set_task_key(record.task_key);
  m.set_job_id(record.job_id);
  m.set_trial(record.trial);
  m.set_attempt_key(record.attempt_key);
  m.set_trace(record.trace);
  m.set_config(record.config);
  m.set_loop_hash(record.loop_hash);
  m.set_artifact(record.artifact);
  m.set_device(CleanText(record.device, kMaxNameBytes));
  m.set_device_class(CleanText(record.device_class, kMaxNameBytes));
  m.set_explorer(record.explorer);
  m.set_seed(record.seed);
  *m.mutable_measurement() = ToProto(record.measurement);
  m.set_stale(record.stale);
  m.set_tessera_version(record.tessera_version);
  m.set_created_micros(MicrosOf(record.created));
  m.set_pace(record.pace);
  return m;
}

absl::StatusOr<db::Record> FromProto(const v1::Record& m) {
  Checks check;
  db::Record record;
  record.id = check.Range("record id", m.id(), 0, kMaxId);
  record.task_key = check.Hex("record task_key", m.task_key(), 64, false);
  record.job_id = check.Range("record job_id", m.job_id(), 0, kMaxId);
  record.trial = check.Range("record trial", m.trial(), 0, kMaxId);
  record.attempt_key = check.Name("record attempt_key", m.attempt_key(), kMaxNameBytes);
  record.trace = check.Text("record trace", m.trace(), kMaxTraceBytes);
  record.config = check.Text("record config", m.config(), kMaxConfigBytes);
  record.loop_hash = check.Hex("record loop_hash", m.loop_hash(), 16, true);
  record.artifact = check.Hex("record artifact", m.artifact(), 64, true);
  record.device = check.Name("record device", m.device(), kMaxNameBytes);
  record.device_class = check.Name("record device_class", m.device_class(), kMaxNameBytes);
  record.explorer = check.Name("record explorer", m.explorer(), kMaxNameBytes);
  record.seed = m.seed();
  record.measurement = Nested(check, m.measurement());
  record.stale = m.stale();
  record.tessera_version = check.Name("record tessera_version", m.tessera_version(), kMaxNameBytes);
  record.created = TimeOf(check, "record created_micros", m.created_micros());
  record.pace = PaceOf(check, "record pace", m.pace());
  return Finish(check, std::move(record));
}

v1::JobOptions ToProto(const db::JobOptions& options) {
  v1::JobOptions m;
  m.set_trials_per_task(options.trials_per_task);
  m.set_extra_trials(options.extra_trials);
  m.set_threads(options.threads);
  m.set_seed(options.seed);
  m.set_explorer(options.explorer);
  m.set_cost_model(options.cost_model);
  m.set_max_seconds(options.max_seconds);
  m.set_idempotency_key(CleanText(options.idempotency_key, kMaxNameBytes));
  m.set_device_class(CleanText(options.device_class, kMaxNameBytes));
  m.set_scheduler(options.scheduler);
  m.set_prior(options.prior);
  m.set_pins(options.pins);
  m.set_allow(options.allow);
  return m;
}

absl::StatusOr<db::JobOptions> FromProto(const v1::JobOptions& m) {
  Checks check;
  db::JobOptions options;
  options.trials_per_task =
      check.Int("options trials_per_task", m.trials_per_task(), 1, kMaxTrialsPerTask);
  options.extra_trials = check.Int("options extra_trials", m.extra_trials(), 0, kMaxTasks - 1);
  options.threads = check.Int("options threads", m.threads(), 1, kMaxThreads);
  options.seed = m.seed();
  options.explorer = check.RequiredName("options explorer", m.explorer(), kMaxNameBytes);
  options.cost_model = check.RequiredName("options cost_model", m.cost_model(), kMaxNameBytes);
  options.max_seconds = check.Number("options max_seconds", m.max_seconds(), 0, kMaxSeconds);
  options.idempotency_key =
      check.Name("options idempotency_key", m.idempotency_key(), kMaxNameBytes);
  options.device_class = check.Name("options device_class", m.device_class(), kMaxNameBytes);
  const auto or_default = [&](std::string_view field, const std::string& value, const char* other) {
    return value.empty() ? other : check.Name(field, value, kMaxNameBytes);
  };
  options.scheduler = or_default("options scheduler", m.scheduler(), "fair");
  options.prior = or_default("options prior", m.prior(), "none");
  options.pins = check.Text("options pins", m.pins(), kMaxConfigBytes);
  if (absl::StatusOr<std::string> allow = ParseAllowed(m.allow()); allow.ok()) {
    options.allow = *std::move(allow);
  } else {
    check.Add(allow.status());
  }
  return Finish(check, std::move(options));
}

v1::Job ToProto(const db::Job& job) {
  v1::Job m;
  m.set_id(job.id);
  m.set_name(CleanText(job.name, kMaxNameBytes));
  m.set_state(ToProto(job.state));
  m.set_message(CleanText(job.message, kMaxTextBytes));
  *m.mutable_options() = ToProto(job.options);
  for (const db::Task& task : job.tasks) *m.add_tasks() = ToProto(task);
  m.set_created_micros(MicrosOf(job.created));
  m.set_updated_micros(MicrosOf(job.updated));
  m.set_prior(job.prior);
  m.set_selection(job.selection);
  return m;
}

absl::StatusOr<db::Job> FromProto(const v1::Job& m) {
  Checks check;
  db::Job job;
  job.id = check.Range("job id", m.id(), 0, kMaxId);
  job.name = check.Name("job name", m.name(), kMaxNameBytes);
  job.state = Nested(check, m.state());
  job.message = check.Text("job message", m.message(), kMaxTextBytes);
  job.options = Nested(check, m.options());
  job.tasks = NestedEach(check, "job tasks", m.tasks(), kMaxTasks);
  job.created = TimeOf(check, "job created_micros", m.created_micros());
  job.updated = TimeOf(check, "job updated_micros", m.updated_micros());
  job.prior = check.Hex("job prior", m.prior(), 64, true);
  job.selection = check.Range("job selection", m.selection(), 0, kMaxId);
  return Finish(check, std::move(job));
}

absl::StatusOr<db::Job> FromProto(const v1::CreateJobRequest& m) {
  Checks check;
  db::Job job;
  job.name = check.RequiredName("job name", m.name(), kMaxNameBytes);
  job.options = Nested(check, m.options());
  if (m.tasks().empty()) check.Fail("job tasks", "at least one task is needed");
  job.tasks = NestedEach(check, "job tasks", m.tasks(), kMaxTasks);
  job.selection = check.Range("job selection", m.selection(), 0, kMaxId);
  if (job.options.extra_trials > 0 && job.options.extra_trials >= m.tasks_size()) {
    check.Fail("options extra_trials", absl::StrCat(job.options.extra_trials, " for ",
                                                    m.tasks_size(), " tasks, fewer are needed"));
  }
  return Finish(check, std::move(job));
}

v1::Device ToProto(const db::Device& device) {
  v1::Device m;
  m.set_id(CleanText(device.id, kMaxNameBytes));
  m.set_worker(CleanText(device.worker, kMaxNameBytes));
  *m.mutable_device_class() = ToProto(device.device_class);
  m.set_target(device.target);
  m.set_runs(device.runs);
  m.set_builds(device.builds);
  m.set_cores(device.cores);
  m.set_tessera_version(device.tessera_version);
  m.set_state(device.state);
  m.set_state_reason(CleanText(device.state_reason, kMaxTextBytes));
  m.set_peak_gflops_per_core(device.peak_gflops_per_core);
  m.set_last_seen_micros(MicrosOf(device.last_seen));
  m.set_pace(device.pace.ratio);
  m.set_pace_programs(device.pace.programs);
  m.set_exact_times(device.exact_times);
  return m;
}

absl::StatusOr<db::Device> FromProto(const v1::Device& m) {
  Checks check;
  db::Device device;
  device.id = check.RequiredName("device id", m.id(), kMaxNameBytes);
  device.worker = check.Name("device worker", m.worker(), kMaxNameBytes);
  device.device_class = Nested(check, m.device_class());
  device.target = check.RequiredName("device target", m.target(), kMaxNameBytes);
  device.runs = m.runs();
  device.builds = m.builds();
  device.cores = check.Int("device cores", m.cores(), 1, kMaxThreads);
  device.tessera_version = check.Name("device tessera_version", m.tessera_version(), kMaxNameBytes);
  device.state = check.Name("device state", m.state(), kMaxNameBytes);
  device.state_reason = check.Text("device state_reason", m.state_reason(), kMaxTextBytes);
  device.peak_gflops_per_core =
      check.Number("device peak_gflops_per_core", m.peak_gflops_per_core(), 0, 1e9);
  device.last_seen = TimeOf(check, "device last_seen_micros", m.last_seen_micros());
  device.pace.ratio = PaceOf(check, "device pace", m.pace());
  device.pace.programs = check.Int("device pace_programs", m.pace_programs(), 0, kMaxSamples);
  device.exact_times = m.exact_times();
  return Finish(check, std::move(device));
}

v1::SelectionItem ToProto(const db::SelectionItem& item) {
  v1::SelectionItem m;
  m.set_op(item.op);
  *m.mutable_task() = ToProto(item.task);
  m.set_trace(item.trace);
  m.set_record_id(item.record_id);
  m.set_seconds(item.seconds);
  m.set_device_class(item.device_class);
  m.set_in_place_seconds(item.in_place_seconds);
  m.set_device(item.device);
  return m;
}

absl::StatusOr<db::SelectionItem> FromProto(const v1::SelectionItem& m) {
  Checks check;
  db::SelectionItem item;
  item.op = m.op();
  check.Add(CheckIdentifier("selection op", m.op()));
  item.task = Nested(check, m.task());
  item.trace = check.Text("selection trace", m.trace(), kMaxTraceBytes);
  item.record_id = check.Range("selection record_id", m.record_id(), 0, kMaxId);
  item.seconds = check.Number("selection seconds", m.seconds(), 0, kMaxSeconds);
  item.device_class = check.Name("selection device_class", m.device_class(), kMaxNameBytes);
  item.in_place_seconds =
      check.Number("selection in_place_seconds", m.in_place_seconds(), 0, kMaxSeconds);
  item.device = check.Name("selection device", m.device(), kMaxNameBytes);
  return Finish(check, std::move(item));
}

v1::InPlace ToProto(const db::InPlace& in_place) {
  v1::InPlace m;
  m.set_device(in_place.device);
  m.set_seconds(in_place.seconds);
  m.set_alone_seconds(in_place.alone_seconds);
  m.set_default_seconds(in_place.default_seconds);
  return m;
}

// Without the key, which is the server's own.
absl::StatusOr<db::InPlace> FromProto(const v1::InPlace& m) {
  Checks check;
  db::InPlace in_place;
  in_place.device = check.RequiredName("in_place device", m.device(), kMaxNameBytes);
  in_place.seconds = check.Number("in_place seconds", m.seconds(), 0, kMaxSeconds);
  in_place.alone_seconds =
      check.Number("in_place alone_seconds", m.alone_seconds(), 0, kMaxSeconds);
  in_place.default_seconds =
      check.Number("in_place default_seconds", m.default_seconds(), 0, kMaxSeconds);
  return Finish(check, std::move(in_place));
}

v1::SelectionModel ToProto(const db::SelectionModel& model) {
  v1::SelectionModel m;
  m.set_graph(model.graph);
  for (const std::string& digest : model.constants) m.add_constants(digest);
  return m;
}

absl::StatusOr<db::SelectionModel> FromProto(const v1::SelectionModel& m) {
  Checks check;
  db::SelectionModel model;
  model.graph = check.Hex("selection graph", m.graph(), 64, false);
  if (check.Count("selection constants", m.constants_size(), kMaxConstants)) {
    for (const std::string& digest : m.constants()) {
      model.constants.push_back(check.Hex("selection constant", digest, 64, false));
    }
  }
  return Finish(check, std::move(model));
}

v1::Selection ToProto(const db::Selection& selection) {
  v1::Selection m;
  m.set_id(selection.id);
  m.set_name(CleanText(selection.name, kMaxNameBytes));
  for (const db::SelectionItem& item : selection.items) *m.add_items() = ToProto(item);
  if (selection.model) *m.mutable_model() = ToProto(*selection.model);
  if (selection.in_place) *m.mutable_in_place() = ToProto(*selection.in_place);
  m.set_created_micros(MicrosOf(selection.created));
  return m;
}

absl::StatusOr<db::Selection> FromProto(const v1::Selection& m) {
  Checks check;
  db::Selection selection;
  selection.id = check.Range("selection id", m.id(), 0, kMaxId);
  selection.name = check.Name("selection name", m.name(), kMaxNameBytes);
  selection.items = NestedEach(check, "selection items", m.items(), kMaxItems);
  if (m.has_model()) selection.model = Nested(check, m.model());
  if (m.has_in_place()) selection.in_place = Nested(check, m.in_place());
  selection.created = TimeOf(check, "selection created_micros", m.created_micros());
  return Finish(check, std::move(selection));
}

absl::StatusOr<db::Selection> FromProto(const v1::CreateSelectionRequest& m) {
  Checks check;
  db::Selection selection;
  selection.name = check.RequiredName("selection name", m.name(), kMaxNameBytes);
  if (m.ops().empty()) check.Fail("selection ops", "at least one operator is needed");
  if (check.Count("selection ops", m.ops_size(), kMaxItems)) {
    std::set<std::pair<std::string, std::string>> seen;
    for (const v1::LibraryOp& op : m.ops()) {
      check.Add(CheckIdentifier("selection op", op.op()));
      if (!seen.emplace(op.op(), op.task().target()).second) {
        check.Fail("selection op", absl::StrCat(op.op(), " occurs twice for one target"));
      }
      selection.items.push_back(
          {.op = op.op(),
           .task = Nested(check, op.task()),
           .device_class = check.Name(
               "selection device_class",
               op.device_class().empty() ? m.device_class() : op.device_class(), kMaxNameBytes)});
    }
  }
  if (m.has_model()) selection.model = Nested(check, m.model());
  return Finish(check, std::move(selection));
}

v1::RecordFilter ToProto(const db::RecordFilter& filter) {
  v1::RecordFilter m;
  m.set_task_key(filter.task_key);
  m.set_workload_hash(filter.workload_hash);
  m.set_device_class(filter.device_class);
  m.set_job_id(filter.job_id);
  for (db::Outcome outcome : filter.outcomes) m.add_outcomes(ToProto(outcome));
  m.set_after_id(filter.after_id);
  m.set_limit(filter.limit);
  m.set_newest_first(filter.newest_first);
  m.set_before_id(filter.before_id);
  return m;
}

absl::StatusOr<db::RecordFilter> FromProto(const v1::RecordFilter& m) {
  Checks check;
  db::RecordFilter filter;
  filter.task_key = check.Hex("filter task_key", m.task_key(), 64, true);
  filter.workload_hash = check.Hex("filter workload_hash", m.workload_hash(), 16, true);
  filter.device_class = check.Name("filter device_class", m.device_class(), kMaxNameBytes);
  filter.job_id = check.Range("filter job_id", m.job_id(), 0, kMaxId);
  filter.outcomes = Each(check, "filter outcomes", m.outcomes(), 16, [&](int outcome) {
    return Nested(check, static_cast<v1::Outcome>(outcome));
  });
  filter.after_id = check.Range("filter after_id", m.after_id(), 0, kMaxId);
  filter.limit = check.Range("filter limit", m.limit(), 0, kMaxQueryLimit);
  if (filter.limit == 0) filter.limit = 1000;
  filter.newest_first = m.newest_first();
  filter.before_id = check.Range("filter before_id", m.before_id(), 0, kMaxId);
  return Finish(check, std::move(filter));
}

v1::JobProgress ToProto(const JobProgress& progress) {
  v1::JobProgress m;
  m.set_job_id(progress.job_id);
  m.set_state(ToProto(progress.state));
  m.set_message(CleanText(progress.message, kMaxTextBytes));
  for (const TaskProgress& task : progress.tasks) {
    v1::TaskProgress* t = m.add_tasks();
    t->set_name(CleanText(task.name, kMaxNameBytes));
    t->set_task_key(task.task_key);
    t->set_trials_done(task.trials_done);
    t->set_trials_total(task.trials_total);
    t->set_best_seconds(task.best_seconds);
    if (task.weight) t->set_weight(*task.weight);
    for (const auto& [outcome, count] : task.failures) {
      v1::OutcomeCount* failure = t->add_failures();
      failure->set_outcome(ToProto(outcome));
      failure->set_count(count);
    }
    t->set_done(task.done);
    t->set_promoted(task.promoted);
    t->set_end_reason(CleanText(task.end_reason, kMaxNameBytes));
  }
  m.set_trials_per_second(progress.trials_per_second);
  m.set_remaining_seconds(progress.remaining_seconds);
  for (const db::RunnerTime& time : progress.runners) *m.add_runners() = RunnerTimeToProto(time);
  if (progress.model) {
    m.mutable_model()->set_seconds(progress.model->seconds);
    m.mutable_model()->set_default_seconds(progress.model->default_seconds);
    m.mutable_model()->set_trials(progress.model->trials);
  }
  return m;
}

absl::StatusOr<JobProgress> FromProto(const v1::JobProgress& m) {
  Checks check;
  JobProgress progress;
  progress.job_id = check.Range("progress job_id", m.job_id(), 0, kMaxId);
  progress.state = Nested(check, m.state());
  progress.message = check.Text("progress message", m.message(), kMaxTextBytes);
  progress.tasks = Each(check, "progress tasks", m.tasks(), kMaxTasks,
                        [&](const auto& task) { return TaskProgressFromProto(check, task); });
  progress.trials_per_second =
      check.Number("progress trials_per_second", m.trials_per_second(), 0, 1e9);
  progress.remaining_seconds =
      check.Number("progress remaining_seconds", m.remaining_seconds(), -1, kMaxSeconds);
  progress.runners = Each(check, "progress runners", m.runners(), kMaxRunners,
                          [&](const auto& time) { return RunnerTimeFromProto(check, time); });
  if (m.has_model()) {
    progress.model = {
        .seconds = check.Number("progress model seconds", m.model().seconds(), 0, kMaxSeconds),
        .default_seconds = check.Number("progress model default_seconds",
                                        m.model().default_seconds(), 0, kMaxSeconds),
        .trials = check.Range("progress model trials", m.model().trials(), 0, kMaxId)};
  }
  return Finish(check, std::move(progress));
}

}  // namespace tessera::proto
