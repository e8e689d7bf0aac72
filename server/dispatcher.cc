#include "server/dispatcher.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "base/view.h"

namespace tessera::server {

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
      GiveBack(trials_.begin()->first, db::Outcome::kCancelled, "the server stops", actions);
    }
    for (auto& [number, library] : libraries_) {
      actions.push_back(
          [done = std::move(library.done)] { done(absl::UnavailableError("the server stops")); });
    }
    for (auto& [number, models] : models_) {
      actions.push_back(
          [done = std::move(models.done)] { done(absl::UnavailableError("the server stops")); });
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
  std::vector<db::Device> replaced_devices;
  Actions actions;
  {
    // Check and entry in one go: of two that come at once the second is refused.
    absl::MutexLock lock(&mutex_);
    TESSERA_RETURN_IF_ERROR(CheckIsFree(hello));
    devices_.Connect(hello.devices, link.get());
    Worker& worker = workers_[hello.worker];
    replaced = std::exchange(worker.link, link);
    replaced_devices = std::exchange(worker.hello, hello).devices;
    worker.targets = std::move(targets);
    worker.last_seen = clock_.Now();
    link->Send(proto::Welcome{.server_version = std::string(Version()),
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
  if (hello.tessera_version != Version()) {
    LogWarning(absl::StrCat("worker ", hello.worker, " is of version ", hello.tessera_version,
                            ", this server of ", AbslView(Version()),
                            "; install the same on both"));
  }
  if (replaced != nullptr) {
    devices_.Disconnect(replaced_devices, replaced.get());  // those that it brought alone
    replaced->Abort();
  }
  devices_.Store(hello.devices);
  Perform(actions);
  return absl::OkStatus();
}

absl::Status Dispatcher::CheckIsFree(const proto::Hello& hello) {
  for (const auto& [name, other] : workers_) {
    if (other.link == nullptr || other.hello.instance == hello.instance ||
        other.last_seen + options_.lease_timeout < clock_.Now()) {
      continue;
    }
    for (const db::Device& device : hello.devices) {
      for (const db::Device& taken : other.hello.devices) {
        if (name == hello.worker || taken.id == device.id) {
          return absl::AlreadyExistsError(
              absl::StrCat("worker \"", hello.worker, "\" (device ", device.id, "): worker \"",
                           name, "\" with device ", taken.id,
                           " is connected already; give this one another --name, or wait ",
                           absl::FormatDuration(options_.lease_timeout), " if it was just killed"));
        }
      }
    }
  }
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
      TESSERA_RETURN_IF_ERROR(HandleRun(*worker, *run, actions));
    } else if (const auto* library = std::get_if<proto::LibraryResult>(&message)) {
      HandleLibrary(*worker, *library, actions);
    } else if (const auto* models = std::get_if<proto::ModelResult>(&message)) {
      TESSERA_RETURN_IF_ERROR(HandleModels(*worker, *models, actions));
    } else {
      return absl::InvalidArgumentError("worker message: a second hello on one stream");
    }
    Pump();
  }
  Perform(actions);
  return absl::OkStatus();
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
          [done = std::move(node.mapped().done), why] { done(absl::AbortedError(why)); });
      return;
    }
    case LeaseKind::kModels: {
      auto node = models_.extract(lease.subject);
      if (node.empty()) return;
      actions.push_back(
          [done = std::move(node.mapped().done), why] { done(absl::AbortedError(why)); });
      return;
    }
  }
}

void Dispatcher::Retry(uint64_t number, std::string_view reason, Actions& actions) {
  const auto it = trials_.find(number);
  if (it == trials_.end()) return;
  Trial& trial = it->second;
  if (++trial.failures >= options_.max_attempts) {
    GiveBack(
        number, db::Outcome::kInfrastructure,
        absl::StrCat("gave up after ", trial.failures, " attempts, the last: ", AbslView(reason)),
        actions);
    return;
  }
  for (Program& program : trial.programs) {
    if (program.IsBuilt() && !artifacts_.Contains(program.built.artifact.digest)) {
      program.built = {};
    }
  }
  trial.phase = trial.ToBuild() == nullptr ? Phase::kToRun : Phase::kToBuild;
}

void Dispatcher::GiveBack(uint64_t number, db::Outcome outcome, std::string_view reason,
                          Actions& actions) {
  const auto it = trials_.find(number);
  if (it == trials_.end()) return;
  if (!it->second.is_comparison()) {
    Complete(number, Failure(outcome, reason), nullptr, actions);
  } else {
    EndComparison(number,
                  outcome == db::Outcome::kCancelled ? absl::CancelledError(AbslView(reason))
                                                     : absl::UnavailableError(AbslView(reason)),
                  actions);
  }
}

void Dispatcher::EndComparison(uint64_t number, absl::StatusOr<tuner::ComparisonRun> run,
                               Actions& actions) {
  auto node = trials_.extract(number);
  Leave(node.mapped());
  actions.push_back(
      [compared = std::move(node.mapped().compared), run = std::move(run)] { compared(run); });
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
  record.artifact = trial.programs[0].built.artifact.digest;
  if (device != nullptr) {
    record.device = device->id;
    record.device_class = device->device_class.name;
  }
  record.explorer = request.explorer;
  record.seed = InputSeed(trial.task_key);
  record.measurement = measurement;
  record.tessera_version = trial.programs[0].version;
  record.created = clock_.Now();
  actions.push_back([done = std::move(trial.done), record] { done(record); });

  Leave(trial);
  return record;
}

void Dispatcher::Leave(const Trial& trial) {
  // It is gone when the trial is given back for want of it.
  if (const auto used = references_.find(trial.task_key); used != references_.end()) {
    --used->second.trials;
    used->second.last_use = next_use_++;
  }
}

void Dispatcher::EndLeases(uint64_t trial) {
  for (LeaseKind kind : {LeaseKind::kBuild, LeaseKind::kRun}) {
    for (const Lease& lease : leases_.TakeSubject(kind, trial)) {
      SendTo(lease.worker, proto::Cancel{lease.fence});
    }
  }
}

void Dispatcher::CancelReference(const std::string& task_key) {
  const auto it = references_.find(task_key);
  if (it == references_.end() || it->second.trials > 0 || !it->second.building) return;
  for (const Lease& lease : leases_.TakeReference(task_key)) {
    SendTo(lease.worker, proto::Cancel{lease.fence});
  }
  it->second.building = false;
}

void Dispatcher::Stored(const db::Record& record) {
  absl::MutexLock lock(&mutex_);
  const auto it = unacknowledged_.find(record.attempt_key);
  if (it == unacknowledged_.end()) return;
  SendTo(it->second.worker, proto::Acknowledge{it->second.fence});
  unacknowledged_.erase(it);
  ObserveIdle();
}

void Dispatcher::Abandon(int64_t job_id) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    std::vector<uint64_t> cancelled;
    std::set<std::string> task_keys;
    for (const auto& [number, trial] : trials_) {
      if (trial.request.job_id != job_id) continue;
      cancelled.push_back(number);
      task_keys.insert(trial.task_key);
    }
    for (uint64_t number : cancelled) {
      EndLeases(number);
      GiveBack(number, db::Outcome::kCancelled, "the job was cancelled", actions);
    }
    for (const std::string& task_key : task_keys) CancelReference(task_key);
    // The job took these and ended before it stored them, or nobody said that it did.
    for (auto it = unacknowledged_.begin(); it != unacknowledged_.end();) {
      const auto entry = it++;
      if (entry->second.record.job_id != job_id) continue;
      actions.push_back([this, result = std::move(entry->second)] { StoreStale(result); });
      unacknowledged_.erase(entry);
    }
    idle_time_.End(job_id);
    Pump();
  }
  Perform(actions);
}

void Dispatcher::CancelComparison(uint64_t comparison) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = trials_.find(comparison);
    if (it == trials_.end()) return;
    const std::string task_key = it->second.task_key;
    EndLeases(comparison);
    GiveBack(comparison, db::Outcome::kCancelled, "nobody waits for the comparison", actions);
    CancelReference(task_key);
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

void Dispatcher::CancelModels(uint64_t models) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    for (const Lease& lease : leases_.TakeSubject(LeaseKind::kModels, models)) {
      SendTo(lease.worker, proto::Cancel{lease.fence});
    }
    models_.erase(models);
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
