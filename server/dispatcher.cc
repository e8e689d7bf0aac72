#include "server/dispatcher.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "base/view.h"

namespace tessera::server {
namespace {

constexpr size_t kMaxIdleReferences = 256;

}  // namespace

Dispatcher::Dispatcher(db::Store& store, ContentStore& artifacts, DeviceRegistry& devices,
                       Clock& clock, DispatcherOptions options)
    : store_(store),
      artifacts_(artifacts),
      devices_(devices),
      clock_(clock),
      options_(options),
      leases_(options_.first_fence) {}

Dispatcher::~Dispatcher() {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    while (!trials_.empty()) {
      Complete(trials_.begin()->first, Failure(db::Outcome::kCancelled, "the server stops"),
               nullptr, actions);
    }
    for (auto& [number, library] : libraries_) {
      actions.push_back(
          [done = std::move(library.done)] { done(absl::UnavailableError("the server stops")); });
    }
  }
  Perform(actions);
}

db::Measurement Dispatcher::Failure(db::Outcome outcome, std::string_view reason) {
  db::Measurement measurement;
  measurement.outcome = outcome;
  measurement.reason = std::string(reason);
  return measurement;
}

void Dispatcher::Perform(const Actions& actions) {
  for (const auto& action : actions) action();
}

void Dispatcher::OnCapacity(std::function<void()> listener) {
  absl::MutexLock lock(&mutex_);
  on_capacity_ = std::move(listener);
}

absl::Status Dispatcher::Connect(const proto::Hello& hello,
                                 const std::shared_ptr<WorkerLink>& link) {
  std::vector<ir::Target> targets;
  for (const db::Device& device : hello.devices) {
    absl::StatusOr<ir::Target> target = ir::ParseTarget(device.target);
    if (!target.ok()) return Annotate(target.status(), "device " + device.id);
    targets.push_back(*std::move(target));
  }
  std::shared_ptr<WorkerLink> replaced;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, other] : workers_) {
      if (other.link == nullptr || other.hello.instance == hello.instance ||
          other.last_seen + options_.lease_timeout < clock_.Now()) {
        continue;
      }
      for (const db::Device& device : hello.devices) {
        for (const db::Device& taken : other.hello.devices) {
          if (name == hello.worker || taken.id == device.id) {
            return absl::AlreadyExistsError(absl::StrCat(
                "worker \"", hello.worker, "\" (device ", device.id, "): worker \"", name,
                "\" with device ", taken.id,
                " is connected already; give this one another --name, or wait ",
                absl::FormatDuration(options_.lease_timeout), " if it was just killed"));
          }
        }
      }
    }
  }
  TESSERA_RETURN_IF_ERROR(devices_.Connect(hello.devices, link.get()));
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    Worker& worker = workers_[hello.worker];
    replaced = std::exchange(worker.link, link);
    worker.hello = hello;
    worker.targets = std::move(targets);
    worker.last_seen = clock_.Now();
    link->Send(proto::Welcome{.server_version = std::string(kVersion),
                              .heartbeat_seconds = absl::ToDoubleSeconds(options_.heartbeat),
                              .lease_seconds = absl::ToDoubleSeconds(options_.lease_timeout)});
    for (const Lease& lease : leases_.TakeMissing(hello.worker, hello.held)) {
      Lose(lease, "the worker came back without it", actions);
    }
    for (uint64_t fence : hello.held) {
      const Lease* lease = leases_.Find(fence);
      if (lease == nullptr || lease->worker != hello.worker) link->Send(proto::Cancel{fence});
    }
    leases_.Confirm(hello.worker, hello.held, clock_.Now());
    Pump();
    if (on_capacity_) actions.push_back(on_capacity_);
  }
  LogInfo(absl::StrCat("worker ", hello.worker, " connected with ", hello.devices.size(),
                       " device(s), ", hello.build_slots, " build slot(s), holding ",
                       hello.held.size()));
  if (replaced != nullptr) replaced->Abort();
  Perform(actions);
  return absl::OkStatus();
}

void Dispatcher::Disconnect(const WorkerLink* link) {
  std::vector<db::Device> devices;
  {
    absl::MutexLock lock(&mutex_);
    Worker* worker = WorkerOf(link);
    if (worker == nullptr) return;
    worker->link = nullptr;
    devices = worker->hello.devices;
    LogInfo(absl::StrCat("worker ", worker->hello.worker, " disconnected"));
  }
  devices_.Disconnect(devices, link);
}

absl::Status Dispatcher::Receive(const WorkerLink* link, const proto::WorkerMessage& message) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    Worker* worker = WorkerOf(link);
    if (worker == nullptr) return absl::OkStatus();
    worker->last_seen = clock_.Now();
    if (const auto* heartbeat = std::get_if<proto::Heartbeat>(&message)) {
      leases_.Confirm(worker->hello.worker, heartbeat->held, clock_.Now());
    } else if (const auto* build = std::get_if<proto::BuildResult>(&message)) {
      HandleBuild(*worker, *build, actions);
    } else if (const auto* run = std::get_if<proto::RunResult>(&message)) {
      HandleRun(*worker, *run, actions);
    } else if (const auto* library = std::get_if<proto::LibraryResult>(&message)) {
      HandleLibrary(*worker, *library, actions);
    } else {
      return absl::InvalidArgumentError("worker message: a second hello on one stream");
    }
    Pump();
  }
  Perform(actions);
  return absl::OkStatus();
}

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

void Dispatcher::HandleRun(Worker& worker, const proto::RunResult& result, Actions& actions) {
  const uint64_t fence = result.lease.fence;
  const Lease* held = leases_.Find(fence);
  if (held == nullptr || held->kind != LeaseKind::kRun || held->worker != worker.hello.worker) {
    if (unacknowledged_.contains(result.lease.AttemptKey())) return;  // sent twice, commit pending
    actions.push_back([this, result, device = worker.hello.devices.front(), link = worker.link] {
      StoreStale(result, device, link);
    });
    return;
  }
  const Lease lease = *leases_.Take(fence);
  const auto it = trials_.find(lease.subject);
  if (it == trials_.end()) {
    worker.link->Send(proto::Acknowledge{fence});
    return;
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
    return;
  }
  if (measurement.outcome == db::Outcome::kRunError && trial.crashed_on.empty() &&
      PickRunner(trial, lease.device, Asked::kAny).worker != nullptr) {
    worker.link->Send(proto::Acknowledge{fence});
    trial.crashed_on = lease.device;
    trial.crash_reason = measurement.reason;
    trial.phase = Phase::kToRun;
    return;
  }
  const auto device =
      std::find_if(worker.hello.devices.begin(), worker.hello.devices.end(),
                   [&](const db::Device& candidate) { return candidate.id == lease.device; });
  if (measurement.outcome == db::Outcome::kOk) {
    if (!trial.crashed_on.empty()) {
      actions.push_back([this, suspect = trial.crashed_on, reason = trial.crash_reason] {
        devices_.Strike(suspect, reason);
      });
    }
    devices_.ClearStrikes(lease.device);
    const auto reference = references_.find(trial.task_key);
    const double seconds = measurement.CostSeconds();
    if (device != worker.hello.devices.end() && reference != references_.end() &&
        std::isfinite(seconds) && seconds > 0) {
      const auto [best, first] =
          reference->second.best_seconds.try_emplace(device->device_class.name, seconds);
      if (!first) best->second = std::min(best->second, seconds);
    }
  }
  db::Measurement whole = measurement;
  whole.build_seconds = trial.built.build_seconds;
  db::Record record = Complete(lease.subject, whole,
                               device == worker.hello.devices.end() ? nullptr : &*device, actions);
  const std::string key = record.attempt_key;
  unacknowledged_[key] = {worker.hello.worker, fence, std::move(record)};
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

void Dispatcher::Lose(const Lease& lease, std::string_view reason, Actions& actions) {
  LogWarning(absl::StrCat("lease ", lease.fence, " of worker ", lease.worker,
                          " is lost: ", AbslView(reason)));
  SendTo(lease.worker, proto::Cancel{lease.fence});
  const std::string why =
      absl::StrCat("lease of worker ", lease.worker, " lost: ", AbslView(reason));
  switch (lease.kind) {
    case LeaseKind::kReference:
      RetryReference(lease.task_key, why, actions);
      return;
    case LeaseKind::kBuild:
    case LeaseKind::kRun:
      Retry(lease.subject, why, actions);
      return;
    case LeaseKind::kLibrary: {
      auto node = libraries_.extract(lease.subject);
      if (node.empty()) return;
      actions.push_back(
          [done = std::move(node.mapped().done), why] { done(absl::UnavailableError(why)); });
      return;
    }
  }
}

void Dispatcher::Retry(uint64_t number, std::string_view reason, Actions& actions) {
  const auto it = trials_.find(number);
  if (it == trials_.end()) return;
  Trial& trial = it->second;
  if (++trial.failures >= options_.max_attempts) {
    Complete(number,
             Failure(db::Outcome::kInfrastructure,
                     absl::StrCat("gave up after ", trial.failures,
                                  " attempts, the last: ", AbslView(reason))),
             nullptr, actions);
    return;
  }
  const bool built =
      !trial.built.artifact.digest.empty() && artifacts_.Contains(trial.built.artifact.digest);
  trial.phase = built ? Phase::kToRun : Phase::kToBuild;
}

db::Record Dispatcher::Complete(uint64_t number, const db::Measurement& measurement,
                                const db::Device* device, Actions& actions) {
  auto node = trials_.extract(number);
  Trial& trial = node.mapped();
  const tuner::TrialRequest& request = trial.request;
  // Without a lease so far there is no fence that makes the attempt unique: take a number.
  const uint64_t fence = trial.fence != 0
                             ? trial.fence
                             : leases_.Take(leases_.Grant({}, clock_.Now(), {}).fence)->fence;
  db::Record record;
  record.task_key = trial.task_key;
  record.job_id = request.job_id;
  record.trial = request.trial;
  record.attempt_key =
      proto::LeaseId{request.job_id, request.task_index, request.trial, trial.failures, fence}
          .AttemptKey();
  record.trace = request.trace;
  record.config = request.config;
  record.loop_hash = request.loop_hash;
  record.artifact = trial.built.artifact.digest;
  if (device != nullptr) {
    record.device = device->id;
    record.device_class = device->device_class.name;
  }
  record.explorer = request.explorer;
  record.seed = InputSeed(trial.task_key);
  record.measurement = measurement;
  record.tessera_version = std::string(kVersion);
  record.created = clock_.Now();
  actions.push_back([done = std::move(trial.done), record] { done(record); });

  if (references_.size() > kMaxIdleReferences) {
    std::set<std::string> used;
    for (const auto& [other, waiting] : trials_) used.insert(waiting.task_key);
    std::erase_if(references_, [&](const auto& entry) {
      return !entry.second.building && !used.contains(entry.first);
    });
  }
  return record;
}

void Dispatcher::EndLeases(uint64_t trial) {
  for (LeaseKind kind : {LeaseKind::kBuild, LeaseKind::kRun}) {
    for (const Lease& lease : leases_.TakeSubject(kind, trial)) {
      SendTo(lease.worker, proto::Cancel{lease.fence});
    }
  }
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

void Dispatcher::Stored(const db::Record& record) {
  absl::MutexLock lock(&mutex_);
  const auto it = unacknowledged_.find(record.attempt_key);
  if (it == unacknowledged_.end()) return;
  SendTo(it->second.worker, proto::Acknowledge{it->second.fence});
  unacknowledged_.erase(it);
}

void Dispatcher::Abandon(int64_t job_id) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    std::vector<uint64_t> cancelled;
    for (const auto& [number, trial] : trials_) {
      if (trial.request.job_id == job_id) cancelled.push_back(number);
    }
    for (uint64_t number : cancelled) {
      EndLeases(number);
      Complete(number, Failure(db::Outcome::kCancelled, "the job was cancelled"), nullptr, actions);
    }
    // The job took these and ended before it stored them, or nobody said that it did.
    for (auto it = unacknowledged_.begin(); it != unacknowledged_.end();) {
      const auto entry = it++;
      if (entry->second.record.job_id != job_id) continue;
      actions.push_back([this, result = std::move(entry->second)] { StoreStale(result); });
      unacknowledged_.erase(entry);
    }
    Pump();
  }
  Perform(actions);
}

void Dispatcher::CancelLibrary(uint64_t library) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    for (const Lease& lease : leases_.TakeSubject(LeaseKind::kLibrary, library)) {
      SendTo(lease.worker, proto::Cancel{lease.fence});
    }
    libraries_.erase(library);
    Pump();
  }
  Perform(actions);
}

absl::Status Dispatcher::Drain(std::string_view device, std::string_view reason) {
  const absl::Status status = devices_.Drain(device, reason);
  absl::MutexLock lock(&mutex_);
  for (const db::Device& known : devices_.List()) {
    if (known.id == device) SendTo(known.worker, proto::Drain{known.id, true});
  }
  return status;
}

absl::Status Dispatcher::Resume(std::string_view device) {
  const absl::Status status = devices_.Resume(device);
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    for (const db::Device& known : devices_.List()) {
      if (known.id == device) SendTo(known.worker, proto::Drain{known.id, false});
    }
    Pump();
    if (on_capacity_) actions.push_back(on_capacity_);
  }
  Perform(actions);
  return status;
}

void Dispatcher::Tick() {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_.Now();
    // First of all, so that nothing is handed to those that have gone.
    for (auto it = workers_.begin(); it != workers_.end();) {
      Worker& worker = it->second;
      if (worker.last_seen + 2 * options_.lease_timeout >= now) {
        ++it;
        continue;
      }
      if (worker.link != nullptr) {
        LogWarning(absl::StrCat("worker ", it->first, " is silent: disconnected"));
        actions.push_back([this, devices = worker.hello.devices, link = worker.link] {
          devices_.Disconnect(devices, link.get());
          link->Abort();
        });
      }
      it = workers_.erase(it);
    }
    for (const Lease& lease : leases_.TakeExpired(now, options_.lease_timeout)) {
      Lose(lease,
           absl::StrCat("no word of it for ", absl::FormatDuration(options_.lease_timeout),
                        ", or past its deadline"),
           actions);
    }
    GiveBackUntaken(now, actions);
    Pump();
  }
  Perform(actions);
  devices_.StoreChanges();
}

}  // namespace tessera::server
