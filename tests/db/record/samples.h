#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "db/record/record.h"

// Values with every field set, so that a field which a store drops shows.

namespace tessera::db {

inline Task SampleTask(const std::string& name, int threads = 1) {
  Task task;
  task.name = name;
  task.workload_hash = "00112233445566" + absl::StrCat(name.size() % 10, threads % 10);
  task.workload = absl::StrCat("workload of ", name, "\n  with 'quotes', \"more\" and µ");
  task.target = "x86-64-v3";
  task.threads = threads;
  task.cache_mode = CacheMode::kCold;
  task.weight = 2.5;
  return task;
}

inline Job SampleJob(const std::string& name, std::vector<Task> tasks = {SampleTask("C2")}) {
  Job job;
  job.name = name;
  job.message = "made for a test";
  job.options.trials_per_task = 200;
  job.options.extra_trials = 1;
  job.options.threads = 2;
  job.options.seed = 0xfedcba9876543210u;
  job.options.explorer = "random";
  job.options.cost_model = "random";
  job.options.max_seconds = 12.5;
  job.options.device_class = "x86/test/2c";
  job.options.scheduler = "fixed";
  job.options.prior = "x86-1";
  job.options.pins = R"({"sketch":"direct"})";
  job.options.allow = "openblas";
  job.prior = std::string(64, 'b');
  job.selection = 5;
  job.tasks = std::move(tasks);
  return job;
}

// Measured in `seconds`; `attempt` makes attempt key and trace different from others'.
inline Record SampleRecord(const std::string& task_key, const std::string& attempt,
                           double seconds = 1e-3) {
  Record record;
  record.task_key = task_key;
  record.trial = 7;
  record.attempt_key = attempt;
  record.trace = "split i 4 # " + attempt;
  record.config = R"({"tile_i": 4})";
  record.loop_hash = "0123456789abcdef";
  record.artifact = std::string(64, 'a');
  record.device = "host/cpu";
  record.device_class = "x86/test/2c";
  record.explorer = "annealing";
  record.seed = 0xffffffffffffffffu;
  record.measurement.outcome = Outcome::kOk;
  record.measurement.sample_seconds = {seconds * 1.1, seconds, seconds * 4 / 3};
  record.measurement.sample_calls = {10, 11, 12};
  record.measurement.build_seconds = 0.015;
  record.measurement.run_seconds = 0.25;
  record.measurement.environment = {3400.5, 0.25, 61.5, 55.25, int64_t{1} << 40, "runtime 1"};
  record.tessera_version = "0.1.0";
  record.created = absl::FromUnixMicros(1'700'000'000'123'456);
  return record;
}

inline Record FailedRecord(const std::string& task_key, const std::string& attempt,
                           Outcome outcome) {
  Record record = SampleRecord(task_key, attempt);
  record.measurement.outcome = outcome;
  record.measurement.reason = "killed by signal 11";
  record.measurement.sample_seconds.clear();
  record.measurement.sample_calls.clear();
  record.measurement.environment = Environment();
  return record;
}

inline Event ProposedEvent(int64_t job_id, int64_t sequence) {
  Event event;
  event.job_id = job_id;
  event.sequence = sequence;
  event.kind = EventKind::kProposed;
  event.trial = sequence;
  event.task_index = 0;
  event.config = R"({"tile_i": 8})";
  event.trace = "split i 8";
  event.loop_hash = "fedcba9876543210";
  event.explorer = "annealing";
  return event;
}

inline Event ResultEvent(int64_t job_id, int64_t sequence, const Record& record) {
  Event event;
  event.job_id = job_id;
  event.sequence = sequence;
  event.kind = EventKind::kResult;
  event.trial = record.trial;
  event.task_index = 0;
  event.outcome = record.measurement.outcome;
  event.device = record.device;
  event.cost_seconds = record.measurement.CostSeconds();
  return event;
}

// `digest` of a blob that the store must have.
inline ModelInfo SampleModel(const std::string& name, const std::string& digest) {
  ModelInfo model;
  model.name = name;
  model.digest = digest;
  model.cost_model = "regression";
  model.feature_version = 3;
  model.device_classes = {"x86/test/2c", "arm/test/4c"};
  model.tasks = 31;
  model.records = 12'345;
  model.origin = "the log of 'a' \"test\"";
  model.pairwise_accuracy = 1.0 / 3;
  model.top1 = 0.5;
  model.created = absl::FromUnixMicros(1'700'000'000'222'333);
  return model;
}

// Of records that the store must have.
inline Comparison SampleComparison(const std::string& task_key, std::vector<int64_t> record_ids) {
  Comparison comparison;
  comparison.task_key = task_key;
  comparison.device = "host/cpu";
  comparison.device_class = "x86/test/2c";
  if (record_ids.size() == 1) comparison.purpose = ComparisonPurpose::kSame;
  comparison.promoted = record_ids.back();
  for (size_t i = 0; i < std::max<size_t>(record_ids.size(), 2); ++i) {
    const double seconds = 1e-3 / static_cast<double>(i + 3);
    comparison.sample_seconds.push_back({seconds, seconds * 4 / 3});
  }
  comparison.record_ids = std::move(record_ids);
  comparison.ratio_low = 0.8;
  comparison.ratio = 0.9;
  comparison.ratio_high = 2.0 / 3 + 0.3;
  comparison.tessera_version = "0.1.0";
  comparison.created = absl::FromUnixMicros(1'700'000'000'444'555);
  return comparison;
}

inline Device SampleDevice(const std::string& id) {
  Device device;
  device.id = id;
  device.worker = "worker-1";
  device.device_class = {"x86/test/2c", "a test machine"};
  device.target = "x86-64-v3";
  device.runs = true;
  device.cores = 2;
  device.tessera_version = "0.1.0";
  device.state = "online";
  device.state_reason = "registered";
  device.peak_gflops_per_core = 101.5;
  device.pace = {1, 12};
  device.last_seen = absl::FromUnixMicros(1'700'000'000'654'321);
  return device;
}

}  // namespace tessera::db
