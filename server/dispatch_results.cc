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
namespace {

// About the program.
bool SaysNothing(const db::Measurement& measurement) {
  return measurement.outcome == db::Outcome::kInfrastructure ||
         measurement.outcome == db::Outcome::kCancelled;
}

}  // namespace

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
    HandleTrialBuild(lease.subject, worker.hello.tessera_version, checked, actions);
  }
}

void Dispatcher::HandleTrialBuild(uint64_t number, const std::string& version,
                                  const proto::BuildResult& result, Actions& actions) {
  const auto it = trials_.find(number);
  if (it == trials_.end()) return;
  Trial& trial = it->second;
  Program& program = *trial.ToBuild();
  program.version = version;
  const bool has_other_loops = !program.loop_hash.empty() && result.loop_hash != program.loop_hash;
  // Builders refuse what they make other loops of. The trace of a record may be of an older
  // release: its program is no more, and the others can be compared.
  if (trial.is_comparison() && has_other_loops && !result.loop_hash.empty()) {
    TakeBuild(number,
              {.outcome = db::Outcome::kBuildError,
               .reason = absl::StrCat("compiled to other loops now, ", result.loop_hash,
                                      ", than when it was measured, ", program.loop_hash)},
              actions);
    return;
  }
  const bool is_built = result.outcome == db::Outcome::kOk;
  if (!is_built && result.outcome != db::Outcome::kBuildError) {
    Retry(number, result.reason, actions);
    return;
  }
  if (!is_built && !trial.is_comparison()) {
    db::Measurement measurement = Failure(db::Outcome::kBuildError, result.reason);
    measurement.build_seconds = result.build_seconds;
    Complete(number, measurement, nullptr, actions);
    return;
  }
  if (is_built && has_other_loops) {
    Retry(number,
          absl::StrCat("the builder's loops ", result.loop_hash, " are not the server's ",
                       program.loop_hash, "; run the same release on both"),
          actions);
    return;
  }
  TakeBuild(number, result, actions);
}

void Dispatcher::TakeBuild(uint64_t number, const proto::BuildResult& result, Actions& actions) {
  Trial& trial = trials_.find(number)->second;
  // One that is compared with itself is built once.
  const std::string trace = trial.ToBuild()->trace;
  for (Program& same : trial.programs) {
    if (same.IsToBuild() && same.trace == trace) same.built = result;
  }
  trial.phase = trial.ToBuild() == nullptr ? Phase::kToRun : Phase::kToBuild;
  if (trial.is_comparison() && trial.phase == Phase::kToRun && !trial.MayDecide()) {
    EndComparison(number,
                  absl::FailedPreconditionError(
                      absl::StrCat("of ", trial.programs.size(), " programs ", trial.CountBuilt(),
                                   " can be built; the last failure: ", result.reason)),
                  actions);
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
    GiveBack(number, db::Outcome::kInfrastructure, why, actions);
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
    const bool is_record = result.lease.trial != proto::kNoTrial;
    if (pending != unacknowledged_.end() || !is_record || !leases_.MayHaveRun(name, fence)) {
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
  const auto it = trials_.find(held->subject);
  const size_t planned = it == trials_.end() ? result.measurements.size() : it->second.CountBuilt();
  if (result.measurements.size() != planned) {
    return absl::InvalidArgumentError(
        absl::StrCat("run result measurements: ", result.measurements.size(), " for a plan of ",
                     planned, " artifacts; send one of each"));
  }
  if (it != trials_.end() && it->second.is_comparison()) {
    for (const db::Measurement& measurement : result.measurements) {
      const size_t samples = measurement.sample_seconds.size();
      if (samples <= static_cast<size_t>(it->second.turns)) continue;
      return absl::InvalidArgumentError(absl::StrCat("run result measurements: ", samples,
                                                     " samples for a plan of ", it->second.turns,
                                                     " turns; send one a turn at most"));
    }
  }
  const Lease lease = *leases_.Take(fence);
  double run_seconds = 0;
  for (const db::Measurement& measurement : result.measurements) {
    run_seconds += measurement.run_seconds;
  }
  idle_time_.Ran(lease.job_id, lease.device, run_seconds, clock_.Now());
  if (it == trials_.end()) {
    worker.link->Send(proto::Acknowledge{fence});
  } else if (it->second.is_comparison()) {
    HandleComparison(lease, worker, result, *device, actions);
  } else {
    HandleTrialRun(lease, worker, result.measurements[0], *device, actions);
  }
  return absl::OkStatus();
}

void Dispatcher::HandleTrialRun(const Lease& lease, Worker& worker,
                                const db::Measurement& measurement, const db::Device& device,
                                Actions& actions) {
  Trial& trial = trials_.find(lease.subject)->second;
  if (SaysNothing(measurement)) {
    worker.link->Send(proto::Acknowledge{lease.fence});
    RetryRun(lease, measurement.reason, actions);
    return;
  }
  if (measurement.outcome == db::Outcome::kRunError && trial.crashed_on.empty() &&
      PickRunner(trial, lease.device, Asked::kAny).worker != nullptr) {
    worker.link->Send(proto::Acknowledge{lease.fence});
    trial.crashed_on = lease.device;
    trial.crash_reason = measurement.reason;
    trial.phase = Phase::kToRun;
    return;
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
          reference->second.best_seconds[device.device_class.name].try_emplace(device.id, seconds);
      if (!first) best->second = std::min(best->second, seconds);
    }
  }
  db::Measurement whole = measurement;
  whole.build_seconds = trial.programs[0].built.build_seconds;
  db::Record record = Complete(lease.subject, whole, &device, actions);
  const std::string key = record.attempt_key;
  unacknowledged_[key] = {worker.hello.worker, lease.fence, std::move(record)};
}

void Dispatcher::HandleComparison(const Lease& lease, Worker& worker,
                                  const proto::RunResult& result, const db::Device& device,
                                  Actions& actions) {
  // Before its verdict is on disk: a comparison that is lost is made again.
  worker.link->Send(proto::Acknowledge{lease.fence});
  const Trial& trial = trials_.find(lease.subject)->second;
  tuner::ComparisonRun run = {device.id, device.device_class.name, {}};
  size_t next = 0;
  for (const Program& program : trial.programs) {
    if (!program.IsBuilt()) {
      run.measurements.push_back(Failure(db::Outcome::kBuildError, program.built.reason));
      continue;
    }
    run.measurements.push_back(result.measurements[next++]);
    if (SaysNothing(run.measurements.back())) {
      RetryRun(lease, run.measurements.back().reason, actions);
      return;
    }
  }
  EndComparison(lease.subject, std::move(run), actions);
}

void Dispatcher::RetryRun(const Lease& lease, const std::string& reason, Actions& actions) {
  // The runner may have found the artifacts gone: ask for them anew.
  const auto reference = references_.find(trials_.find(lease.subject)->second.task_key);
  if (reference != references_.end() && reference->second.ready &&
      !artifacts_.Contains(reference->second.built.artifact.digest)) {
    reference->second.ready = false;
  }
  Retry(lease.subject, reason, actions);
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

absl::Status Dispatcher::HandleModels(Worker& worker, const proto::ModelResult& result,
                                      Actions& actions) {
  const Lease* held = leases_.Find(result.fence);
  if (held == nullptr || held->kind != LeaseKind::kModels || held->worker != worker.hello.worker) {
    worker.link->Send(proto::Acknowledge{result.fence});
    return absl::OkStatus();
  }
  const auto models = models_.find(held->subject);
  const size_t planned = models == models_.end() ? result.timings.size() : models->second.libraries;
  if (held->device != result.device || result.timings.size() != planned) {
    return absl::InvalidArgumentError(
        absl::StrCat("model result: ", result.timings.size(), " timings of device \"",
                     result.device, "\" for a plan of ", planned, " libraries for ", held->device,
                     "; send one of each, and name the plan's device"));
  }
  worker.link->Send(proto::Acknowledge{result.fence});
  auto node = models_.extract(leases_.Take(result.fence)->subject);
  if (node.empty()) return absl::OkStatus();
  actions.push_back([done = std::move(node.mapped().done), result] { done(result); });
  return absl::OkStatus();
}

void Dispatcher::StoreStale(const proto::RunResult& result, const db::Device& device,
                            const std::shared_ptr<WorkerLink>& link) {
  const proto::LeaseId& lease = result.lease;
  const auto store = [&]() -> absl::Status {
    if (SaysNothing(result.measurements[0])) return absl::OkStatus();
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
    record.measurement = result.measurements[0];
    record.stale = true;
    record.tessera_version = std::string(Version());
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
