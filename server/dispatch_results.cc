// What comes back to the dispatcher and what becomes of it.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "base/view.h"
#include "server/dispatcher.h"

namespace tessera::server {

void Dispatcher::HandleBuild(Worker& worker, const proto::BuildResult& result, Actions& actions) {
  worker.link->Send(proto::Acknowledge{result.fence});
  const Lease* held = leases_.Find(result.fence);
  const bool expected = held != nullptr && held->worker == worker.hello.worker &&
                        (held->kind == LeaseKind::kBuild || held->kind == LeaseKind::kReference);
  if (!expected) return;  // late: it was handed out again, and what was built is stored by content
  const Lease lease = *leases_.Take(result.fence);
  proto::BuildResult checked = result;
  if (result.outcome == db::Outcome::kOk && !artifacts_.Contains(result.artifact.digest)) {
    checked.outcome = db::Outcome::kInfrastructure;
    checked.reason = absl::StrCat("artifact ", result.artifact.digest, " was not uploaded");
  }
  if (lease.kind == LeaseKind::kReference) {
    HandleReference(lease.task_key, checked, actions);
  } else {
    HandleTrialBuild(lease.subject, checked, actions);
  }
}

void Dispatcher::HandleTrialBuild(uint64_t number, const proto::BuildResult& result,
                                  Actions& actions) {
  const auto it = trials_.find(number);
  if (it == trials_.end()) return;
  Trial& trial = it->second;
  if (result.outcome == db::Outcome::kBuildError) {
    db::Measurement measurement = Failure(db::Outcome::kBuildError, result.reason);
    measurement.build_seconds = result.build_seconds;
    Complete(number, measurement, nullptr, actions);
  } else if (result.outcome != db::Outcome::kOk) {
    Retry(number, result.reason, actions);
  } else if (!trial.request.loop_hash.empty() && result.loop_hash != trial.request.loop_hash) {
    Retry(number,
          absl::StrCat("the builder's loops ", result.loop_hash, " are not the server's ",
                       trial.request.loop_hash, "; run the same release on both"),
          actions);
  } else {
    trial.built = result;
    trial.phase = Phase::kToRun;
  }
}

void Dispatcher::HandleReference(const std::string& task_key, const proto::BuildResult& result,
                                 Actions& actions) {
  const auto it = references_.find(task_key);
  if (it == references_.end()) return;
  it->second.building = false;
  if (result.outcome == db::Outcome::kOk) {
    it->second.built = result;
    it->second.ready = true;
    it->second.failures = 0;
  } else if (result.outcome == db::Outcome::kBuildError) {
    GiveBackWithoutReference(task_key, result.reason, actions);
  } else {
    RetryReference(task_key, result.reason, actions);
  }
}

void Dispatcher::RetryReference(const std::string& task_key, std::string_view reason,
                                Actions& actions) {
  const auto it = references_.find(task_key);
  if (it == references_.end()) return;
  it->second.building = false;
  if (++it->second.failures < options_.max_attempts) return;
  GiveBackWithoutReference(task_key,
                           absl::StrCat("gave up after ", it->second.failures,
                                        " attempts, the last: ", AbslView(reason)),
                           actions);
}

// Without a reference nothing can be verified. The next trial asks for it again.
void Dispatcher::GiveBackWithoutReference(const std::string& task_key, std::string_view reason,
                                          Actions& actions) {
  const auto it = references_.find(task_key);
  if (it == references_.end()) return;
  const std::string why =
      absl::StrCat("no reference for task ", it->second.task.name, ": ", AbslView(reason));
  LogWarning(why);
  std::vector<uint64_t> waiting;
  for (const auto& [number, trial] : trials_) {
    if (trial.task_key == task_key) waiting.push_back(number);
  }
  references_.erase(it);
  for (uint64_t number : waiting) {
    EndLeases(number);
    Complete(number, Failure(db::Outcome::kInfrastructure, why), nullptr, actions);
  }
}

absl::Status Dispatcher::HandleRun(Worker& worker, const proto::RunResult& result,
                                   Actions& actions) {
  const std::string& name = worker.hello.worker;
  const std::vector<db::Device>& devices = worker.hello.devices;
  const auto device =
      std::find_if(devices.begin(), devices.end(),
                   [&](const db::Device& candidate) { return candidate.id == result.device; });
  if (device == devices.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "run result device: \"", result.device, "\" is not one that worker ", name,
        " said hello with (",
        absl::StrJoin(devices, ", ",
                      [](std::string* out, const db::Device& known) { out->append(known.id); }),
        "); name the plan's device"));
  }
  const uint64_t fence = result.lease.fence;
  const Lease* held = leases_.Find(fence);
  if (held == nullptr) {
    const auto pending = unacknowledged_.find(result.lease.AttemptKey());
    if (pending != unacknowledged_.end() && pending->second.worker == name) {
      return absl::OkStatus();  // sent twice, commit pending
    }
    if (pending != unacknowledged_.end() || !leases_.MayHaveRun(name, fence)) {
      worker.link->Send(proto::Acknowledge{fence});
    } else {
      actions.push_back([this, result, device = *device, link = worker.link] {
        StoreStale(result, device, link);
      });
    }
    return absl::OkStatus();
  }
  if (held->kind != LeaseKind::kRun || held->worker != name) {
    worker.link->Send(proto::Acknowledge{fence});
    return absl::OkStatus();
  }
  if (held->device != result.device) {
    return absl::InvalidArgumentError(absl::StrCat("run result device: \"", result.device,
                                                   "\" for a plan of device ", held->device,
                                                   "; name the plan's device"));
  }
  const Lease lease = *leases_.Take(fence);
  idle_time_.Ran(lease.job_id, lease.device, result.measurement.run_seconds, clock_.Now());
  const auto it = trials_.find(lease.subject);
  if (it == trials_.end()) {
    worker.link->Send(proto::Acknowledge{fence});
    return absl::OkStatus();
  }
  Trial& trial = it->second;
  const db::Measurement& measurement = result.measurement;
  if (measurement.outcome == db::Outcome::kInfrastructure ||
      measurement.outcome == db::Outcome::kCancelled) {
    worker.link->Send(proto::Acknowledge{fence});
    // The runner may have found the artifacts gone: ask for them anew.
    const auto reference = references_.find(trial.task_key);
    if (reference != references_.end() && reference->second.ready &&
        !artifacts_.Contains(reference->second.built.artifact.digest)) {
      reference->second.ready = false;
    }
    Retry(lease.subject, measurement.reason, actions);
    return absl::OkStatus();
  }
  if (measurement.outcome == db::Outcome::kRunError && trial.crashed_on.empty() &&
      PickRunner(trial, lease.device, Asked::kAny).worker != nullptr) {
    worker.link->Send(proto::Acknowledge{fence});
    trial.crashed_on = lease.device;
    trial.crash_reason = measurement.reason;
    trial.phase = Phase::kToRun;
    return absl::OkStatus();
  }
  if (measurement.outcome == db::Outcome::kOk) {
    if (!trial.crashed_on.empty()) {
      actions.push_back([this, suspect = trial.crashed_on, reason = trial.crash_reason] {
        devices_.Strike(suspect, reason);
      });
    }
    devices_.ClearStrikes(lease.device);
    const auto reference = references_.find(trial.task_key);
    const double seconds = measurement.CostSeconds();
    if (reference != references_.end() && std::isfinite(seconds) && seconds > 0) {
      const auto [best, first] =
          reference->second.best_seconds.try_emplace(device->device_class.name, seconds);
      if (!first) best->second = std::min(best->second, seconds);
    }
  }
  db::Measurement whole = measurement;
  whole.build_seconds = trial.built.build_seconds;
  db::Record record = Complete(lease.subject, whole, &*device, actions);
  const std::string key = record.attempt_key;
  unacknowledged_[key] = {worker.hello.worker, fence, std::move(record)};
  return absl::OkStatus();
}

void Dispatcher::HandleLibrary(Worker& worker, const proto::LibraryResult& result,
                               Actions& actions) {
  worker.link->Send(proto::Acknowledge{result.fence});
  const Lease* held = leases_.Find(result.fence);
  if (held == nullptr || held->kind != LeaseKind::kLibrary || held->worker != worker.hello.worker) {
    return;
  }
  auto node = libraries_.extract(leases_.Take(result.fence)->subject);
  if (node.empty()) return;
  actions.push_back([done = std::move(node.mapped().done), result] {
    if (result.error.empty()) {
      done(result);
    } else {
      done(absl::FailedPreconditionError(result.error));
    }
  });
}

void Dispatcher::StoreStale(const proto::RunResult& result, const db::Device& device,
                            const std::shared_ptr<WorkerLink>& link) {
  const proto::LeaseId& lease = result.lease;
  const auto store = [&]() -> absl::Status {
    if (result.measurement.outcome == db::Outcome::kInfrastructure ||
        result.measurement.outcome == db::Outcome::kCancelled) {
      return absl::OkStatus();  // says nothing about the program
    }
    TESSERA_ASSIGN_OR_RETURN(db::Job job, store_.GetJob(lease.job_id));
    TESSERA_ASSIGN_OR_RETURN(const db::Event proposed,
                             store_.FindProposal(lease.job_id, lease.trial));
    if (proposed.task_index != lease.task_index ||
        lease.task_index >= static_cast<int>(job.tasks.size())) {
      return absl::NotFoundError(absl::StrCat("job ", lease.job_id, " has not proposed trial ",
                                              lease.trial, " for its task ", lease.task_index));
    }
    db::Record record;
    record.task_key = job.tasks[lease.task_index].Key();
    record.job_id = lease.job_id;
    record.trial = lease.trial;
    record.attempt_key = lease.AttemptKey();
    record.trace = proposed.trace;
    record.config = proposed.config;
    record.loop_hash = proposed.loop_hash;
    record.device = device.id;
    record.device_class = device.device_class.name;
    record.explorer = proposed.explorer;
    record.seed = InputSeed(record.task_key);
    record.measurement = result.measurement;
    record.stale = true;
    record.tessera_version = std::string(kVersion);
    record.created = clock_.Now();
    return store_.Append({record}, {}).status();
  };
  const absl::Status status = store();
  if (!status.ok()) {
    LogWarning(
        absl::StrCat("late result ", lease.AttemptKey(), ": not stored: ", status.message()));
    // Worth another try only if it was the store's fault.
    if (!absl::IsNotFound(status) && !absl::IsInvalidArgument(status)) return;
  }
  link->Send(proto::Acknowledge{lease.fence});
}

void Dispatcher::StoreStale(Unacknowledged result) {
  result.record.stale = true;
  // Without effect where the job has stored it, because the attempt is the same.
  const absl::Status status = store_.Append({result.record}, {}).status();
  if (!status.ok()) {
    // The worker keeps it and sends it again when it reconnects.
    LogWarning(absl::StrCat("result ", result.record.attempt_key,
                            " of an ended job: not stored: ", status.message()));
    return;
  }
  absl::MutexLock lock(&mutex_);
  SendTo(result.worker, proto::Acknowledge{result.fence});
}

}  // namespace tessera::server
