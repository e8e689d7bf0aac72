#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

// The domain types that are stored and sent: plain values, independent of storage and wire.
// Workloads, targets and traces appear as their canonical text; their hashes are identities.

namespace tessera::db {

// A failed measurement is data. Only candidate failures (kBuildError … kWrongAnswer) teach the
// cost model; kInfrastructure never does and is measured again.
enum class Outcome : uint8_t {
  kOk = 0,
  kBuildError = 1,  // lowering or code generation refused it
  kRunError = 2,    // crashed or broke a sandbox rule
  kTimeout = 3,
  kOutOfMemory = 4,
  kWrongAnswer = 5,     // wrong values, guard bytes or inputs overwritten
  kInfrastructure = 6,  // the device, network or service failed, not the candidate
  kCancelled = 7
};
std::string_view ToString(Outcome outcome);  // "ok", "build_error", …
absl::StatusOr<Outcome> ParseOutcome(std::string_view text);
inline bool IsCandidateFailure(Outcome o) {
  return o != Outcome::kOk && o != Outcome::kInfrastructure && o != Outcome::kCancelled;
}

enum class CacheMode : uint8_t { kWarm = 0, kCold = 1 };
std::string_view ToString(CacheMode mode);  // "warm", "cold"
absl::StatusOr<CacheMode> ParseCacheMode(std::string_view text);

// What is tuned: workload × target × threads × cache mode.
struct Task {
  std::string name;           // for people: "C2"
  std::string workload_hash;  // 16 hex digits
  std::string workload;       // canonical text
  std::string target;         // canonical text
  int threads = 1;
  CacheMode cache_mode = CacheMode::kWarm;
  double weight = 1;  // how often it occurs in what the job is for

  // Identity: SHA-256 over the fields above except name and weight, 64 hex digits.
  std::string Key() const;
  bool operator==(const Task&) const = default;
};

// Where time was measured: microarchitecture, driver, clock policy.
struct DeviceClass {
  std::string name;         // canonical: "x86/zen4/avx512/2c"
  std::string description;  // CPU model, caches, governor
  bool operator==(const DeviceClass&) const = default;
};
// What devices of a class are: "x86" of "x86/zen5/avx512/2c". Models of one family say nothing of
// another.
inline std::string_view FamilyOf(std::string_view device_class) {
  return device_class.substr(0, device_class.find('/'));
}

// The circumstances of one measurement, as far as they could be read; unread values are negative.
struct Environment {
  double cpu_mhz = -1;
  double load_average = -1;
  double temperature_celsius = -1;
  double reference_gflops = -1;  // of the reference loop, bracketing this measurement
  int64_t peak_memory_bytes = -1;
  std::string runtime_version;  // of compiler/runtime
  bool operator==(const Environment&) const = default;
};

struct Measurement {
  Outcome outcome = Outcome::kInfrastructure;
  std::string reason;                  // empty when kOk
  std::vector<double> sample_seconds;  // one a repeat: seconds per call
  std::vector<int64_t> sample_calls;   // calls a repeat averaged over
  double build_seconds = 0;
  double run_seconds = 0;  // wall time of verification and timing
  Environment environment;

  // Ranking cost: the minimum of the samples; infinity unless kOk.
  double CostSeconds() const;
  bool operator==(const Measurement&) const = default;
};

// Whether `trace` calls no library of others but those that are `allowed` (base/third_party.h).
bool CallsOnly(std::string_view trace, std::string_view allowed);

// One measured config, appended once, never changed.
struct Record {
  int64_t id = 0;  // given by the store, ascending
  std::string task_key;
  int64_t job_id = 0;
  int64_t trial = 0;        // unique within the job, from 0 in the order proposed
  std::string attempt_key;  // idempotency: "<job>/<trial>/<attempt>/<fence>", unique
  std::string trace;        // canonical text
  std::string config;       // named knobs as JSON, may be empty
  std::string loop_hash;    // 16 hex digits
  std::string artifact;     // SHA-256 of the binary, empty if it wasn't built
  std::string device;       // id of the device
  std::string device_class;
  std::string explorer;  // which strategy proposed it
  uint64_t seed = 0;     // of the inputs
  Measurement measurement;
  bool stale = false;  // arrived after its lease had been given up
  std::string tessera_version;
  absl::Time created;  // stamped by the store where it is the epoch; whole microseconds
  // Of its device (Pace::ratio) as it is known when the record is read; never stored with it.
  double pace = 1;

  // What ranks it beside records of other devices of its class.
  double CostSeconds() const { return measurement.CostSeconds() / pace; }
  bool operator==(const Record&) const = default;
};

enum class JobState : uint8_t { kQueued = 0, kRunning = 1, kDone = 2, kFailed = 3, kCancelled = 4 };
std::string_view ToString(JobState state);
absl::StatusOr<JobState> ParseJobState(std::string_view text);
// Done, failed or cancelled: nothing comes after it.
bool HasEnded(JobState state);

struct JobOptions {
  int trials_per_task = 64;
  int extra_trials = 0;  // of all tasks together: as many of the first have one more
  int threads = 1;
  uint64_t seed = 0;
  std::string explorer = "annealing";  // tuner/explorer.h lists them
  std::string cost_model = "xgboost";  // costmodel/cost_model.h lists them
  double max_seconds = 0;              // 0 = no limit
  std::string idempotency_key;         // equal keys return the same job
  std::string device_class;            // whose devices measure its trials; empty: of any
  std::string scheduler = "fair";      // tuner/task_scheduler.h lists them
  // What is known before the first trial: "auto" (the newest fitting model, measured programs of
  // the tasks and of near ones), "none", or a model's name.
  std::string prior = "auto";
  std::string pins;  // knobs and the options that they keep to, as JSON; empty: all are free
  // Libraries of others that its programs may call (base/third_party.h), as of ParseAllowed.
  std::string allow;
  bool operator==(const JobOptions&) const = default;

  int TrialsOf(int task) const { return trials_per_task + (task < extra_trials ? 1 : 0); }
};

struct Job {
  int64_t id = 0;
  std::string name;
  JobState state = JobState::kQueued;
  std::string message;  // why it failed; of one that goes on, asked of a server, what it waits for
  JobOptions options;
  std::vector<Task> tasks;
  // Digest of a blob with what options.prior meant when the job was made; empty: nothing.
  std::string prior;
  int64_t selection = 0;  // of a model whose kernels the tasks are; 0: they are of none
  absl::Time created;     // stamped by the store
  absl::Time updated;     // of state and message, stamped by the store
  bool operator==(const Job&) const = default;

  // Of all tasks together.
  int64_t Trials() const {
    return static_cast<int64_t>(tasks.size()) * options.trials_per_task + options.extra_trials;
  }
};

// The tuner's durable, totally ordered log of one job (architecture, decision 8). `sequence`
// counts from 1 without gaps within a job.
enum class EventKind : uint8_t {
  kProposed = 0,    // trial, task_index, config, trace, loop_hash, explorer
  kResult = 1,      // trial, task_index, record_id, outcome, cost_seconds
  kModelReady = 2,  // task_index, model (digest of the stored model), through_sequence
  kLeaseLost = 3,   // trial, task_index: to be handed out again
  kTaskDone = 4,    // task_index, reason
  kCancel = 5,
  kCompared = 6,  // task_index, record_id of the program that was promoted
  kPaced = 7      // device, pace
};
std::string_view ToString(EventKind kind);  // "proposed", "result", …
absl::StatusOr<EventKind> ParseEventKind(std::string_view text);

struct Event {
  int64_t job_id = 0;
  int64_t sequence = 0;
  EventKind kind = EventKind::kProposed;
  int64_t trial = -1;
  int task_index = -1;
  std::string config, trace, loop_hash, explorer;  // kProposed
  int64_t record_id = 0;                           // kResult, kCompared
  Outcome outcome = Outcome::kInfrastructure;      // kResult
  double cost_seconds = 0;                         // kResult
  std::string model;                               // kModelReady
  int64_t through_sequence = 0;                    // kModelReady
  // kTaskDone: why, in words for people; empty where the task's trials are used up.
  std::string reason;
  std::string device;  // kResult where a device measured it, kPaced
  double pace = 1;     // kPaced: Pace::ratio, from here on
  bool operator==(const Event&) const = default;
};

// How fast a device is beside others of its class.
struct Pace {
  double ratio = 1;  // its seconds ÷ those of the class: above 1 it is slower
  int programs = 0;  // by which that is known; 0: it is not
  bool operator==(const Pace&) const = default;
};

struct Device {
  std::string id;      // chosen by the worker, stable: "<hostname>/cpu"
  std::string worker;  // name of the worker process
  DeviceClass device_class;
  std::string target;   // canonical text
  bool runs = false;    // has a runner
  bool builds = false;  // has a builder
  int cores = 0;
  std::string tessera_version;
  std::string state;  // "online", "offline", "draining", "quarantined"
  std::string state_reason;
  // Of a CPU the measured FMA peak; of an accelerator all of its arithmetic, by its clock. 0: it is
  // not known.
  double peak_gflops_per_core = 0;
  // Its times are computed, of every call the same. Never stored: known since its worker connected.
  bool exact_times = false;
  Pace pace;
  absl::Time last_seen;
  bool operator==(const Device&) const = default;
};

// A decision about what goes into a library, from which alone it is built (decision 14).
struct SelectionItem {
  std::string op;  // symbol
  Task task;
  std::string trace;      // empty: the default schedule
  int64_t record_id = 0;  // 0: no record, a default schedule
  double seconds = 0;     // measured; 0 if none
  std::string device_class;
  double in_place_seconds = 0;  // of all its steps in a run of the model; 0: not measured there
  std::string device = {};      // that measured the record; empty without one
  bool operator==(const SelectionItem&) const = default;
};
// A model whose kernels the operators are. What the digests name is among the server's artifacts,
// as long as there is room: whoever made the selection can bring it again.
struct SelectionModel {
  std::string graph;                   // of its text (docs/graph.md)
  std::vector<std::string> constants;  // that the text names
  bool operator==(const SelectionModel&) const = default;
};
// What a run of a model, or one of each of its buckets together, took as a whole on one device.
struct InPlace {
  std::string key;  // of all that the choice depended on
  std::string device;
  double seconds = 0;          // as selected
  double alone_seconds = 0;    // with the records that were chosen by kernels measured alone
  double default_seconds = 0;  // with default schedules
  bool operator==(const InPlace&) const = default;
};
struct Selection {
  int64_t id = 0;
  std::string name;
  // Each operator once for each version of the library: a target with a device class. All of one
  // operator have the same workload, and their traces store its inputs and outputs the same way.
  std::vector<SelectionItem> items;
  std::optional<SelectionModel> model;  // the library is of it, not of its operators
  std::optional<InPlace> in_place;      // of a model whose choices were measured there
  absl::Time created;
  bool operator==(const Selection&) const = default;
};

// A file of a library that was built: an artifact, as long as there is room for it.
struct LibraryFile {
  std::string name;
  std::string digest;
  int64_t size = 0;
  bool operator==(const LibraryFile&) const = default;
};

// A cost model that was trained on measured programs of many tasks.
struct ModelInfo {
  std::string name;        // unique: 1 to 64 of a-z, 0-9, '.', '_', '-'; neither "auto" nor "none"
  std::string digest;      // of its blob
  std::string cost_model;  // costmodel/cost_model.h lists them
  int feature_version = 0;
  std::vector<std::string> device_classes;  // that its programs were measured on, by name
  int64_t tasks = 0, records = 0;           // that it was trained on
  std::string origin;                       // for people: what it was trained from
  // Of models trained without the judged workloads, in [0, 1]; negative: not judged.
  double pairwise_accuracy = -1, top1 = -1, top5 = -1;
  absl::Time created;  // stamped by the store where it is the epoch
  bool operator==(const ModelInfo&) const = default;
};

enum class ComparisonPurpose : uint8_t {
  kPromotion = 0,    // the best programs of a task, to find the fastest
  kSame = 1,         // one program twice (A/A), to see what noise does
  kCalibration = 2,  // a few programs that other devices of the class are given, too (pace.h)
};
std::string_view ToString(ComparisonPurpose purpose);  // "promotion", "same", "calibration"
absl::StatusOr<ComparisonPurpose> ParseComparisonPurpose(std::string_view text);

// Programs of one task measured side by side, turn by turn. Appended once, never changed.
struct Comparison {
  int64_t id = 0;  // given by the store, ascending
  int64_t job_id = 0;
  std::string task_key;
  std::string device;
  std::string device_class;
  ComparisonPurpose purpose = ComparisonPurpose::kPromotion;
  std::vector<int64_t> record_ids;  // the programs, the incumbent first; of kSame the only one
  // [programs][turns]; of kSame two of one. One that left early has fewer, one that failed none.
  std::vector<std::vector<double>> sample_seconds;
  int64_t promoted = 0;  // the winner's record id; the incumbent's where none beat it
  // Seconds of the winner, or where none won of the best rival, ÷ those of the incumbent (of kSame
  // second ÷ first), with the bounds that the verdict goes by (tuner/promotion.h).
  double ratio_low = 0, ratio = 0, ratio_high = 0;
  std::string tessera_version;
  absl::Time created;  // stamped by the store where it is the epoch
  bool operator==(const Comparison&) const = default;
};

struct RecordFilter {
  std::string task_key;  // empty = any; the same for the others
  std::string workload_hash;
  std::string device_class;
  int64_t job_id = 0;
  std::vector<Outcome> outcomes;
  int64_t after_id = 0;  // only ids above
  int64_t limit = 1000;  // below 1: none
  bool newest_first = false;
  int64_t before_id = 0;  // only ids below; 0 = any
};

}  // namespace tessera::db
