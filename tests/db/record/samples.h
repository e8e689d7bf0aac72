#pragma once

#include <cstdint>
#include <limits>
#include <string>
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
  job.options.threads = 2;
  job.options.seed = 0xfedcba9876543210u;
  job.options.explorer = "random";
  job.options.cost_model = "random";
  job.options.max_seconds = 12.5;
  job.options.device_class = "x86/test/2c";
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
  event.cost_seconds = record.measurement.CostSeconds();
  return event;
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
  device.last_seen = absl::FromUnixMicros(1'700'000'000'654'321);
  return device;
}

}  // namespace tessera::db
