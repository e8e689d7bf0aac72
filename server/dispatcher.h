#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/content_store.h"
#include "base/version.h"
#include "db/record/store.h"
#include "proto/session.h"
#include "server/devices.h"
#include "server/idle_time.h"
#include "server/leases.h"
#include "server/worker_link.h"
#include "tuner/measurer.h"

namespace tessera::server {

struct DispatcherOptions {
  absl::Duration heartbeat = absl::Seconds(2);
  absl::Duration lease_timeout = absl::Seconds(10);  // of silence
  int run_depth = 2;        // plans at a runner: one runs, the others wait beside it
  int builds_per_slot = 2;  // requests at a builder, a slot
  int built_ahead = 2;      // built trials that wait here, a runner
  int max_attempts = 3;     // at a trial or reference, while the infrastructure fails
  // How trials race: docs/measurement.md.
  int repeats = 2;
  int contender_repeats = 5;
  double screen_seconds = 0.001;
  double min_repeat_seconds = 0.005;
  // With 20 turns and samples that vary by 2 %, a program that is 5 % faster than the incumbent,
  // with three rivals beside it, is found so 999 times in 1,000 (tests/tuner/promotion_test.cc).
  int comparison_turns = 20;
  // What is calibrated has several programs in each turn, whose medians count.
  int calibration_turns = 8;
  double run_seconds = 20;  // wall time of one trial's plan
  double comparison_seconds = 60;
  double calibration_seconds = 20;
  double build_seconds = 30;
  double reference_seconds = 120;
  double library_seconds = 600;
  int oracle_samples = 32;   // an output
  uint64_t first_fence = 1;  // above all fences of earlier server runs
};

// Has trials built by builders and measured by runners: the life of a trial between the tuner and
// the devices. Building and running overlap; what a worker was given is leased under a fence, and
// what is lost is handed out again. A comparison is a trial of several programs, built one after
// the other and run in one plan; a program of it that can't be built is left out of the plan.
//
// Infrastructure failures (a lost worker, a missing artifact, disagreement about the loops) are
// tried again here and nowhere else: it is known here what is built and which devices there are.
// After max_attempts the trial, or all trials that wait for a reference, are given back as
// kInfrastructure, which the job takes as final. A crash is tried once more on
// another device if there is one; the second crash is final, and if the second device succeeds the
// first gets a strike. A run's result without a live lease is stored as stale if its fence may have
// been that worker's to run (LeaseTable::MayHaveRun); under any other fence it is dropped, because
// it could take the place of another's record. A worker that is silent gets nothing, and is
// disconnected after two lease time-outs. A trial that waits for a device while none is connected
// that takes it is given back as kCancelled after about a lease time-out.
//
// Thread-safe. Callbacks, links' peers and the store are called without the lock held; sending on
// a link only enqueues.
class Dispatcher final : public tuner::Measurer {
 public:
  Dispatcher(db::Store& store, ContentStore& artifacts, DeviceRegistry& devices, Clock& clock,
             DispatcherOptions options);
  ~Dispatcher() override;

  int Appetite(const db::Task& task, std::string_view device_class) override;
  absl::Status CheckCanRun(const db::Task& task, std::string_view device_class) override;
  std::string Missing(const db::Task& task, std::string_view device_class) override;
  bool HasExactTimes(std::string_view device_class) override;
  std::map<std::string, double> Paces(std::string_view device_class) override;
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override;
  void Compare(const tuner::ComparisonRequest& request,
               std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done) override {
    StartComparison(request, std::move(done));
  }
  // As Compare; returns a number for CancelComparison.
  uint64_t StartComparison(const tuner::ComparisonRequest& request,
                           std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done);
  // Gives it back, if it has not ended.
  void CancelComparison(uint64_t comparison);
  // Its worker may forget the result.
  void Stored(const db::Record& record) override;
  // Gives back all trials of the job as kCancelled. Results that come later are stored as stale,
  // and so are those that came before and that the job did not store.
  void Abandon(int64_t job_id) override;
  std::vector<db::RunnerTime> RunnerTimes(int64_t job_id) override;

  // Called when devices may take more than before.
  void OnCapacity(std::function<void()> listener);

  // A worker (again) opened a stream. What it holds and this side does not know is cancelled; what
  // this side thinks it holds and it does not is handed out again. ALREADY_EXISTS while another
  // process of that name is alive.
  absl::Status Connect(const proto::Hello& hello, const std::shared_ptr<WorkerLink>& link);
  // Whatever a stale link says is ignored. InvalidArgument for a second Hello and for the result of
  // a device that is not the worker's or not the plan's.
  absl::Status Receive(const WorkerLink* link, const proto::WorkerMessage& message);
  // Leases live on until they time out: the worker may come back with its results.
  void Disconnect(const WorkerLink* link);

  // Has the library of a request without a fence built. FailedPrecondition when no builder is
  // connected. `done` is called once. Returns a number for CancelLibrary.
  absl::StatusOr<uint64_t> BuildLibrary(
      proto::LibraryRequest request,
      std::function<void(absl::StatusOr<proto::LibraryResult>)> done);
  void CancelLibrary(uint64_t library);

  // Has libraries of a model timed, on the plan's device, where that is empty on one of the class
  // (empty: any) that takes the target and the plan's threads. FailedPrecondition when none
  // is connected. `done` is called once. Returns a number for CancelModels.
  absl::StatusOr<uint64_t> MeasureModels(
      proto::ModelPlan plan, const ir::Target& target, std::string_view device_class,
      std::function<void(absl::StatusOr<proto::ModelResult>)> done);
  void CancelModels(uint64_t models);

  // As of DeviceRegistry.
  absl::Status Drain(std::string_view device, std::string_view reason);
  absl::Status Resume(std::string_view device);

  // Hands out again what was lost, gives back what nobody takes. Call it a few times a lease
  // time-out.
  void Tick();

 private:
  enum class Phase : uint8_t { kToBuild, kBuilding, kToRun, kRunning };

  struct Program {
    std::string trace, loop_hash;
    proto::BuildResult built;                      // of kInfrastructure: to be built
    std::string version = std::string(Version());  // of the builder
    bool IsBuilt() const { return built.outcome == db::Outcome::kOk; }
    bool IsToBuild() const { return built.outcome == db::Outcome::kInfrastructure; }
  };

  // A trial of a job, or a comparison.
  struct Trial {
    tuner::TrialRequest request;  // of a comparison: trial kNoTrial, and nothing of a program
    std::function<void(db::Record)> done;
    std::function<void(absl::StatusOr<tuner::ComparisonRun>)> compared;  // of a comparison
    std::vector<Program> programs;                                       // of a trial one
    std::string device;      // that it is for; empty: any that suits
    int turns = 0;           // of a comparison
    double max_seconds = 0;  // of its plan
    std::string task_key;
    ir::Target target;
    Phase phase = Phase::kToBuild;
    int failures = 0;        // of the infrastructure
    uint64_t fence = 0;      // of the latest lease
    std::string crashed_on;  // device of the first crash
    std::string crash_reason;
    absl::Time untaken_since = absl::InfiniteFuture();  // waiting, and no device was there for it

    bool is_comparison() const { return compared != nullptr; }
    // The first that has to be built; null if none has.
    Program* ToBuild();
    int CountBuilt() const;
    // Of a comparison: more was built than nothing or the incumbent alone, which would stay.
    bool MayDecide() const { return CountBuilt() >= (programs[0].IsBuilt() ? 2 : 1); }
  };

  // The default schedule of a task, against which outputs are checked, with the oracle's samples.
  // Kept while trials of the task are here, and of a bounded number of other tasks: those that were
  // used last. Built for trials alone.
  struct Reference {
    db::Task task;
    int trials = 0;         // here, of the task
    uint64_t last_use = 0;  // grows with each trial that comes or goes
    bool building = false;
    bool ready = false;
    int failures = 0;  // of the infrastructure, in a row, since a trial waits
    proto::BuildResult built;
    // Of the task's trials since this is here, as measured, by device class and device.
    std::map<std::string, std::map<std::string, double>, std::less<>> best_seconds;
  };

  struct Worker {
    proto::Hello hello;
    std::shared_ptr<WorkerLink> link;  // null: not connected
    std::vector<ir::Target> targets;   // of hello.devices
    absl::Time last_seen;
  };

  struct Library {
    proto::LibraryRequest request;
    std::function<void(absl::StatusOr<proto::LibraryResult>)> done;
  };

  struct Models {
    size_t libraries = 0;
    std::function<void(absl::StatusOr<proto::ModelResult>)> done;
  };

  // A result that its job was given and is not on disk as far as is known.
  struct Unacknowledged {
    std::string worker;
    uint64_t fence;
    db::Record record;
  };

  // For one that takes work now, or whether there is one at all, full or not heard of lately.
  enum class Asked : uint8_t { kRoom, kAny };

  struct RunnerChoice {
    Worker* worker = nullptr;
    const db::Device* device = nullptr;
  };

  // What to do once the lock is released.
  using Actions = std::vector<std::function<void()>>;
  static void Perform(const Actions& actions);
  static db::Measurement Failure(db::Outcome outcome, std::string_view reason);

  // dispatch_work.cc: handing out.
  // Returns its number.
  uint64_t Add(Trial trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of references without trials the longest unused go, past a number.
  void EvictReferences() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendReference(Reference& reference, const std::string& task_key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendBuild(uint64_t number, Trial& trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendRun(uint64_t number, Trial& trial, const Reference& reference)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A worker that has said nothing for longer may be hung. For room it is half a lease time-out:
  // when the leases of a silent worker are lost, it has not been given any for a while.
  absl::Duration LongestSilence(Asked asked) const;
  bool Speaks(const Worker& worker, absl::Duration longest_silence) const;
  Worker* PickBuilder(Asked asked) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Seconds on the device of the fastest program that its class has measured; 0: of none.
  double BestSeconds(const Reference& reference, const db::Device& on) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunnerChoice PickRunner(const Trial& trial, std::string_view except, Asked asked)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether what is compiled for the target may be measured on that device, one of the worker's.
  static bool Suits(const Worker& worker, size_t device, const ir::Target& target, int threads,
                    std::string_view device_class);
  // Whether a connected device accepts the trial, which waits, and a builder if it needs one.
  bool HasTakers(const Trial& trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The job hands those out again when there is a device, and says meanwhile what it waits for.
  void GiveBackUntaken(absl::Time now, Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendTo(const std::string& worker, proto::ServerMessage message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Worker* WorkerOf(const WorkerLink* link) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // dispatch_idle.cc: what devices do and wait for.
  // After whatever changes that.
  void ObserveIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // dispatch_results.cc: what comes back.
  void HandleBuild(Worker& worker, const proto::BuildResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleTrialBuild(uint64_t number, const std::string& version,
                        const proto::BuildResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Into the program that is to be built next; ends a comparison that is of no use then.
  void TakeBuild(uint64_t number, const proto::BuildResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleReference(const std::string& task_key, const proto::BuildResult& result,
                       Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the reference built again, or gives its task's trials back after max_attempts.
  void RetryReference(const std::string& task_key, std::string_view reason, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBackWithoutReference(const std::string& task_key, std::string_view reason,
                                Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // InvalidArgument, and nothing done, when the device is not the worker's or not the lease's, or
  // when the plan's artifacts are more or fewer than what was measured.
  absl::Status HandleRun(Worker& worker, const proto::RunResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleTrialRun(const Lease& lease, Worker& worker, const db::Measurement& measurement,
                      const db::Device& device, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleComparison(const Lease& lease, Worker& worker, const proto::RunResult& result,
                        const db::Device& device, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetryRun(const Lease& lease, const std::string& reason, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleLibrary(Worker& worker, const proto::LibraryResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // InvalidArgument, and nothing done, when the device or the number of timings is not the plan's.
  absl::Status HandleModels(Worker& worker, const proto::ModelResult& result, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StoreStale(Unacknowledged result);
  void StoreStale(const proto::RunResult& result, const db::Device& device,
                  const std::shared_ptr<WorkerLink>& link);

  // dispatcher.cc: who connects, the loss of a lease, the end of a trial.
  // ALREADY_EXISTS while another process of the worker's name or with one of its devices is alive.
  absl::Status CheckIsFree(const proto::Hello& hello) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lose(const Lease& lease, std::string_view reason, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Hands the trial out again, or gives it back after max_attempts.
  void Retry(uint64_t number, std::string_view reason, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends a trial with its record, which is returned.
  db::Record Complete(uint64_t number, const db::Measurement& measurement, const db::Device* device,
                      Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends a trial or comparison without a result.
  void GiveBack(uint64_t number, db::Outcome outcome, std::string_view reason, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndComparison(uint64_t number, absl::StatusOr<tuner::ComparisonRun> run, Actions& actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // It needs its task's reference no more.
  void Leave(const Trial& trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLeases(uint64_t trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the builder give up the reference if no trial waits for it.
  void CancelReference(const std::string& task_key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  db::Store& store_;
  ContentStore& artifacts_;
  DeviceRegistry& devices_;
  Clock& clock_;
  const DispatcherOptions options_;

  absl::Mutex mutex_;  // guards all below; devices_ and artifacts_' index may be asked under it
  LeaseTable leases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Worker, std::less<>> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Trial> trials_ ABSL_GUARDED_BY(mutex_);             // oldest first
  std::map<std::string, Reference> references_ ABSL_GUARDED_BY(mutex_);  // by task key
  std::map<uint64_t, Library> libraries_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Models> models_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Unacknowledged> unacknowledged_ ABSL_GUARDED_BY(mutex_);
  IdleTime idle_time_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_capacity_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_use_ ABSL_GUARDED_BY(mutex_) = 1;  // of a reference
};

// The seed of a task's inputs: the same in every trial, so that its reference serves all of them.
uint64_t InputSeed(std::string_view task_key);

}  // namespace tessera::server
