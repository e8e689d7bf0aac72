// How the dispatcher hands out work.

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/view.h"
#include "server/dispatcher.h"

namespace tessera::server {
namespace {

constexpr size_t kMaxIdleReferences = 256;
constexpr double kFirstTurnSeconds = 120;  // of a library of a model

// Past this much of a request's own limit a worker is taken for wedged even though it beats.
absl::Duration Longest(double seconds) { return absl::Seconds(3 * seconds) + absl::Minutes(1); }

bool Builds(const proto::Hello& hello, const DeviceRegistry& devices) {
  return hello.build_slots > 0 &&
         std::any_of(hello.devices.begin(), hello.devices.end(), [&](const db::Device& device) {
           return device.builds && devices.Accepts(device.id);
         });
}

bool CanRun(const db::Device& device, const ir::Target& target, int threads) {
  const absl::StatusOr<ir::Target> own = ir::ParseTarget(device.target);
  return own.ok() && ir::CanRun(*own, target, threads);
}

// "x86/avx2 with 2 threads". The levels of caches decide nothing.
std::string SettingOf(const db::Task& task) {
  return absl::StrCat(task.target.substr(0, task.target.find(' ')), " with ", task.threads,
                      task.threads == 1 ? " thread" : " threads");
}

// A worker with a device that can run the target.
std::string WorkerFor(const ir::Target& target) {
  const std::string text = ir::ToString(target);
  if (ir::IsCpu(target.kind)) {
    return absl::StrCat("`tessera worker` on a machine that has ", text.substr(0, text.find(' ')));
  }
  if (target.kind != ir::TargetKind::kVta) {
    return absl::StrCat("`tessera worker --runner ", AbslView(ir::KindName(target.kind)),
                        "` on a machine that has ", text);
  }
  const absl::StatusOr<ir::Target> usual = ir::ParseTarget(ir::KindName(target.kind));
  if (usual.ok() && target == *usual) return "`tessera worker --runner vta-sim`";
  return absl::StrCat("`tessera worker --runner vta-sim --config FILE`, FILE being that of ", text);
}

// How to get a device back, or a first one by `worker`.
std::string StepToGet(const std::vector<db::Device>& known,
                      const std::function<bool(const db::Device&)>& is_wanted,
                      const std::string& worker) {
  std::string offline;
  for (const db::Device& device : known) {
    if (device.state == "online" || !is_wanted(device)) continue;
    if (device.state != "offline") {
      return absl::StrCat(device.id, " is ", device.state, ": `tessera devices --resume ",
                          device.id, "` has it used again");
    }
    offline = absl::StrCat(device.id, " is offline: start its worker again");
  }
  return offline.empty() ? absl::StrCat("start one: ", worker) : offline;
}

}  // namespace

uint64_t InputSeed(std::string_view task_key) { return StableHash(task_key); }

bool Dispatcher::Suits(const Worker& worker, size_t device, const ir::Target& target, int threads,
                       std::string_view device_class) {
  const db::Device& one = worker.hello.devices[device];
  return one.runs && (device_class.empty() || one.device_class.name == device_class) &&
         ir::CanRun(worker.targets[device], target, threads);
}

int Dispatcher::Appetite(const db::Task& task, std::string_view device_class) {
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(task.target);
  if (!target.ok()) return 0;
  absl::MutexLock lock(&mutex_);
  int runners = 0;
  int build_slots = 0;
  // Of the runners, by target and class.
  std::map<std::pair<std::string_view, std::string_view>, std::pair<const Worker*, size_t>> counted;
  for (const auto& [name, worker] : workers_) {
    if (!Speaks(worker, LongestSilence(Asked::kRoom))) continue;
    if (Builds(worker.hello, devices_)) build_slots += worker.hello.build_slots;
    for (size_t i = 0; i < worker.hello.devices.size(); ++i) {
      const db::Device& device = worker.hello.devices[i];
      if (!devices_.Accepts(device.id) || !Suits(worker, i, *target, task.threads, device_class)) {
        continue;
      }
      ++runners;
      counted[{device.target, device.device_class.name}] = {&worker, i};
    }
  }
  if (runners == 0 || build_slots == 0) return 0;
  // Trials for other devices, which may have gone, only share the builders.
  int competing = 0;
  int built_for_others = 0;
  for (const auto& [number, trial] : trials_) {
    const bool competes = std::any_of(counted.begin(), counted.end(), [&](const auto& entry) {
      const auto& [worker, device] = entry.second;
      return Suits(*worker, device, trial.target, trial.request.task.threads,
                   trial.request.device_class);
    });
    competing += competes;
    built_for_others += !competes && trial.phase < Phase::kToRun;
  }
  const int at_builders = std::max(0, build_slots * options_.builds_per_slot - built_for_others);
  const int wanted = runners * (options_.run_depth + options_.built_ahead) + at_builders;
  return std::max(0, wanted - competing);
}

absl::Status Dispatcher::CheckCanRun(const db::Task& task, std::string_view device_class) {
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(task.target);
  if (!target.ok() || device_class.empty()) return target.status();
  std::set<std::string> others;
  for (const db::Device& device : devices_.List()) {
    if (!device.runs || device.device_class.name != device_class) continue;
    if (CanRun(device, *target, task.threads)) return absl::OkStatus();
    others.insert(device.target);
  }
  if (others.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("device class ", AbslView(device_class), " can't run ", SettingOf(task),
                   ", of task ", task.name, ": its devices are ", absl::StrJoin(others, ", "),
                   "; name the target or the device class alone, or others, or fewer threads"));
}

std::string Dispatcher::Missing(const db::Task& task, std::string_view device_class) {
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(task.target);
  if (!target.ok()) return std::string(target.status().message());
  bool runs = false;
  bool builds = false;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, worker] : workers_) {
    if (worker.link == nullptr) continue;
    builds = builds || Builds(worker.hello, devices_);
    for (size_t i = 0; i < worker.hello.devices.size(); ++i) {
      const db::Device& device = worker.hello.devices[i];
      runs = runs ||
             (devices_.Accepts(device.id) && Suits(worker, i, *target, task.threads, device_class));
    }
  }
  if (!runs) {
    return absl::StrCat(
        "no connected device ",
        device_class.empty() ? "" : absl::StrCat("of class ", AbslView(device_class), " "),
        "takes ", SettingOf(task), "; ",
        StepToGet(
            devices_.List(),
            [&](const db::Device& device) {
              return device.runs &&
                     (device_class.empty() || device.device_class.name == device_class) &&
                     CanRun(device, *target, task.threads);
            },
            WorkerFor(*target)));
  }
  if (builds) return "";
  return absl::StrCat("no connected device builds; ",
                      StepToGet(
                          devices_.List(), [](const db::Device& device) { return device.builds; },
                          "`tessera worker --roles builder --name builder`"));
}

bool Dispatcher::HasExactTimes(std::string_view device_class) {
  return std::ranges::any_of(devices_.List(), [&](const db::Device& device) {
    return device.device_class.name == device_class && device.exact_times;
  });
}

std::map<std::string, double> Dispatcher::Paces(std::string_view device_class) {
  std::map<std::string, double> paces;
  for (const db::Device& device : devices_.List()) {
    const bool is_of_class = device_class.empty() || device.device_class.name == device_class;
    if (is_of_class && device.pace.programs > 0) paces[device.id] = device.pace.ratio;
  }
  return paces;
}

double Dispatcher::BestSeconds(const Reference& reference, const db::Device& on) const {
  const auto of_class = reference.best_seconds.find(on.device_class.name);
  if (of_class == reference.best_seconds.end()) return 0;
  double best = HUGE_VAL;
  for (const auto& [device, seconds] : of_class->second) {
    best = std::min(best, seconds / devices_.PaceOf(device));
  }
  return best * devices_.PaceOf(on.id);
}

Dispatcher::Program* Dispatcher::Trial::ToBuild() {
  const auto found = std::ranges::find_if(programs, &Program::IsToBuild);
  return found == programs.end() ? nullptr : &*found;
}

int Dispatcher::Trial::CountBuilt() const {
  return static_cast<int>(std::ranges::count_if(programs, &Program::IsBuilt));
}

void Dispatcher::Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) {
  Trial trial{.request = request, .done = std::move(done), .max_seconds = options_.run_seconds};
  trial.programs.push_back({.trace = request.trace, .loop_hash = request.loop_hash});
  absl::MutexLock lock(&mutex_);
  Add(std::move(trial));
}

uint64_t Dispatcher::StartComparison(
    const tuner::ComparisonRequest& request,
    std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done) {
  Trial trial{.request = {.job_id = request.job_id,
                          .trial = proto::kNoTrial,
                          .task_index = request.task_index,
                          .task = request.task,
                          .device_class = request.device_class},
              .compared = std::move(done),
              .device = request.device};
  const bool calibrates = request.purpose == db::ComparisonPurpose::kCalibration;
  trial.turns = calibrates ? options_.calibration_turns : options_.comparison_turns;
  trial.max_seconds = calibrates ? options_.calibration_seconds : options_.comparison_seconds;
  for (const db::Record& program : request.programs) {
    trial.programs.push_back({.trace = program.trace, .loop_hash = program.loop_hash});
  }
  absl::MutexLock lock(&mutex_);
  return Add(std::move(trial));
}

uint64_t Dispatcher::Add(Trial trial) {
  const db::Task& task = trial.request.task;
  trial.task_key = task.Key();
  if (absl::StatusOr<ir::Target> target = ir::ParseTarget(task.target); target.ok()) {
    trial.target = *std::move(target);
  }
  Reference& reference =
      references_.try_emplace(trial.task_key, Reference{.task = task}).first->second;
  // What failed while nobody waited does not count against those that wait now.
  if (++reference.trials == 1) reference.failures = 0;
  reference.last_use = next_use_++;
  const uint64_t number = next_number_++;
  trials_.emplace(number, std::move(trial));
  Pump();
  return number;
}

void Dispatcher::Pump() {
  EvictReferences();
  for (auto& [task_key, reference] : references_) {
    const bool wanted = reference.trials > 0 && !reference.ready && !reference.building;
    if (wanted && !SendReference(reference, task_key)) break;
  }
  bool builders_full = false;
  for (auto& [number, trial] : trials_) {
    if (trial.phase == Phase::kToBuild && !builders_full) {
      builders_full = !SendBuild(number, trial);
    } else if (trial.phase == Phase::kToRun) {
      const auto reference = references_.find(trial.task_key);
      if (reference != references_.end() && reference->second.ready) {
        SendRun(number, trial, reference->second);
      }
    }
  }
  ObserveIdle();
}

void Dispatcher::EvictReferences() {
  while (references_.size() > kMaxIdleReferences) {
    size_t idle = 0;
    auto oldest = references_.end();
    for (auto it = references_.begin(); it != references_.end(); ++it) {
      const Reference& reference = it->second;
      if (reference.trials > 0 || reference.building) continue;
      ++idle;
      if (oldest == references_.end() || reference.last_use < oldest->second.last_use) oldest = it;
    }
    if (idle <= kMaxIdleReferences) return;
    references_.erase(oldest);
  }
}

bool Dispatcher::HasTakers(const Trial& trial) {
  if (PickRunner(trial, "", Asked::kAny).worker == nullptr) return false;
  if (trial.phase == Phase::kToRun) {
    const auto reference = references_.find(trial.task_key);
    if (reference != references_.end() && reference->second.ready) return true;
  }
  return PickBuilder(Asked::kAny) != nullptr;
}

void Dispatcher::GiveBackUntaken(absl::Time now, Actions& actions) {
  std::vector<uint64_t> untaken;
  for (auto& [number, trial] : trials_) {
    const bool waits = trial.phase == Phase::kToBuild || trial.phase == Phase::kToRun;
    if (!waits || HasTakers(trial)) {
      trial.untaken_since = absl::InfiniteFuture();
      continue;
    }
    trial.untaken_since = std::min(trial.untaken_since, now);
    if (trial.untaken_since + options_.lease_timeout < now) untaken.push_back(number);
  }
  for (uint64_t number : untaken) {
    GiveBack(number, db::Outcome::kCancelled, "no device for it is connected", actions);
  }
}

bool Dispatcher::SendReference(Reference& reference, const std::string& task_key) {
  Worker* builder = PickBuilder(Asked::kRoom);
  if (builder == nullptr) return false;
  const Lease lease = leases_.Grant(
      {.kind = LeaseKind::kReference, .worker = builder->hello.worker, .task_key = task_key},
      clock_.Now(), Longest(options_.reference_seconds));
  reference.building = true;
  builder->link->Send(proto::BuildRequest{.fence = lease.fence,
                                          .workload = reference.task.workload,
                                          .target = reference.task.target,
                                          .threads = reference.task.threads,
                                          .is_reference = true,
                                          .seed = InputSeed(task_key),
                                          .sample_count = options_.oracle_samples,
                                          .max_seconds = options_.reference_seconds});
  return true;
}

bool Dispatcher::SendBuild(uint64_t number, Trial& trial) {
  Worker* builder = PickBuilder(Asked::kRoom);
  if (builder == nullptr) return false;
  const Lease lease =
      leases_.Grant({.kind = LeaseKind::kBuild, .worker = builder->hello.worker, .subject = number},
                    clock_.Now(), Longest(options_.build_seconds));
  const Program& program = *trial.ToBuild();
  trial.phase = Phase::kBuilding;
  trial.fence = lease.fence;
  builder->link->Send(proto::BuildRequest{.fence = lease.fence,
                                          .workload = trial.request.task.workload,
                                          .target = trial.request.task.target,
                                          .trace = program.trace,
                                          .loop_hash = program.loop_hash,
                                          .threads = trial.request.task.threads,
                                          .max_seconds = options_.build_seconds});
  return true;
}

bool Dispatcher::SendRun(uint64_t number, Trial& trial, const Reference& reference) {
  // A crashed candidate goes to another device while there is one.
  RunnerChoice runner = PickRunner(trial, trial.crashed_on, Asked::kRoom);
  if (runner.worker == nullptr) {
    // … and to the same one when the others have gone; a second crash there is final.
    if (PickRunner(trial, trial.crashed_on, Asked::kAny).worker == nullptr)
      trial.crashed_on.clear();
    return false;
  }
  const Lease lease = leases_.Grant({.kind = LeaseKind::kRun,
                                     .worker = runner.worker->hello.worker,
                                     .device = runner.device->id,
                                     .subject = number,
                                     .job_id = trial.request.job_id},
                                    clock_.Now(), Longest(trial.max_seconds));
  trial.phase = Phase::kRunning;
  trial.fence = lease.fence;
  std::vector<proto::Artifact> artifacts;
  for (const Program& program : trial.programs) {
    if (program.IsBuilt()) artifacts.push_back(program.built.artifact);
  }
  runner.worker->link->Send(
      proto::RunPlan{.lease = {.job_id = trial.request.job_id,
                               .task_index = trial.request.task_index,
                               .trial = trial.request.trial,
                               .attempt = trial.failures,
                               .fence = lease.fence},
                     .device = runner.device->id,
                     .workload_hash = trial.request.task.workload_hash,
                     .artifacts = std::move(artifacts),
                     .reference = reference.built.artifact,
                     .tolerances = reference.built.tolerances,
                     .samples = reference.built.samples,
                     .seed = InputSeed(trial.task_key),
                     .threads = trial.request.task.threads,
                     .cache_mode = trial.request.task.cache_mode,
                     .repeats = trial.is_comparison() ? trial.turns : options_.repeats,
                     .contender_repeats = options_.contender_repeats,
                     .screen_seconds = options_.screen_seconds,
                     .min_repeat_seconds = options_.min_repeat_seconds,
                     .max_seconds = trial.max_seconds,
                     .best_seconds = BestSeconds(reference, *runner.device)});
  return true;
}

absl::Duration Dispatcher::LongestSilence(Asked asked) const {
  return asked == Asked::kRoom ? options_.lease_timeout / 2 : options_.lease_timeout;
}

bool Dispatcher::Speaks(const Worker& worker, absl::Duration longest_silence) const {
  return worker.link != nullptr && worker.last_seen + longest_silence >= clock_.Now();
}

Dispatcher::Worker* Dispatcher::PickBuilder(Asked asked) {
  const absl::Duration longest_silence = LongestSilence(asked);
  Worker* best = nullptr;
  double best_load = 0;
  for (auto& [name, worker] : workers_) {
    if (!Speaks(worker, longest_silence) || !Builds(worker.hello, devices_)) continue;
    const double load = static_cast<double>(leases_.CountBuilds(name)) / worker.hello.build_slots;
    if (asked == Asked::kRoom && load >= options_.builds_per_slot) continue;
    if (best == nullptr || load < best_load) {
      best = &worker;
      best_load = load;
    }
  }
  return best;
}

Dispatcher::RunnerChoice Dispatcher::PickRunner(const Trial& trial, std::string_view except,
                                                Asked asked) {
  const absl::Duration longest_silence = LongestSilence(asked);
  RunnerChoice best;
  int best_load = 0;
  for (auto& [name, worker] : workers_) {
    if (!Speaks(worker, longest_silence)) continue;
    for (size_t i = 0; i < worker.hello.devices.size(); ++i) {
      const db::Device& device = worker.hello.devices[i];
      if (device.id == except || (!trial.device.empty() && device.id != trial.device) ||
          !devices_.Accepts(device.id) ||
          !Suits(worker, i, trial.target, trial.request.task.threads, trial.request.device_class)) {
        continue;
      }
      const int load = leases_.CountRuns(device.id);
      if (asked == Asked::kRoom && load >= options_.run_depth) continue;
      if (best.worker == nullptr || load < best_load) {
        best = {&worker, &device};
        best_load = load;
      }
    }
  }
  return best;
}

absl::StatusOr<uint64_t> Dispatcher::BuildLibrary(
    proto::LibraryRequest request, std::function<void(absl::StatusOr<proto::LibraryResult>)> done) {
  absl::MutexLock lock(&mutex_);
  Worker* builder = PickBuilder(Asked::kAny);
  if (builder == nullptr) {
    return absl::FailedPreconditionError(
        "no builder is connected; start tessera-worker with --roles builder,runner");
  }
  const uint64_t number = next_number_++;
  const Lease lease = leases_.Grant(
      {.kind = LeaseKind::kLibrary, .worker = builder->hello.worker, .subject = number},
      clock_.Now(), absl::Seconds(options_.library_seconds));
  Library& library = libraries_[number];
  library.request = std::move(request);
  library.request.fence = lease.fence;
  library.done = std::move(done);
  builder->link->Send(library.request);
  return number;
}

absl::StatusOr<uint64_t> Dispatcher::MeasureModels(
    proto::ModelPlan plan, const ir::Target& target, std::string_view device_class,
    std::function<void(absl::StatusOr<proto::ModelResult>)> done) {
  Trial wanted;  // whose device would take the models
  wanted.target = target;
  wanted.request.task.threads = plan.threads;
  wanted.request.device_class = std::string(device_class);
  wanted.device = plan.device;
  absl::MutexLock lock(&mutex_);
  const RunnerChoice runner = PickRunner(wanted, "", Asked::kAny);
  if (runner.worker == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no connected device ",
        device_class.empty() ? "" : absl::StrCat("of class ", AbslView(device_class), " "), "runs ",
        ir::ToString(target), " with ", plan.threads, " threads; start its worker"));
  }
  // Each library has its first turn, however long that takes.
  const double first_turn_seconds = kFirstTurnSeconds * static_cast<double>(plan.libraries.size());
  const uint64_t number = next_number_++;
  const Lease lease = leases_.Grant({.kind = LeaseKind::kModels,
                                     .worker = runner.worker->hello.worker,
                                     .device = runner.device->id,
                                     .subject = number},
                                    clock_.Now(), Longest(plan.max_seconds + first_turn_seconds));
  models_[number] = {plan.libraries.size(), std::move(done)};
  plan.fence = lease.fence;
  plan.device = runner.device->id;
  runner.worker->link->Send(std::move(plan));
  return number;
}

void Dispatcher::SendTo(const std::string& worker, proto::ServerMessage message) {
  const auto it = workers_.find(worker);
  if (it != workers_.end() && it->second.link != nullptr) {
    it->second.link->Send(std::move(message));
  }
}

Dispatcher::Worker* Dispatcher::WorkerOf(const WorkerLink* link) {
  for (auto& [name, worker] : workers_) {
    if (worker.link.get() == link) return &worker;
  }
  return nullptr;
}

}  // namespace tessera::server
