#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "db/record/record.h"
#include "db/record/runner_time.h"

// What server and workers say to each other, as plain values (the messages of proto/worker.proto
// state each field's meaning). A fence names one request or lease; no fence is given twice.

namespace tessera::proto {

// Raised with whatever one side sends and a release before would refuse or misread. 2: the result
// of a run names its device. 3: items of a selection name their device class and target, for
// several versions of one library. 4: artifacts prepare constants and may widen tolerances. 5:
// plans of several artifacts, a measurement each, and repeats by promise. 7: plans of models,
// static libraries.
inline constexpr int kProtocolVersion = 7;

// The trial of a lease under which programs are compared.
inline constexpr int64_t kNoTrial = -1;

struct LayoutDim {
  int axis = 0;
  int64_t divisor = 1;
  int64_t extent = 1;
  bool operator==(const LayoutDim&) const = default;
};

// One argument of a kernel; inputs come before outputs.
struct BufferSpec {
  std::string name;
  std::string type;               // "f32"
  std::vector<int64_t> shape;     // logical
  std::vector<LayoutDim> layout;  // stored, outermost first; empty: row-major
  bool is_output = false;
  bool is_constant = false;
  bool operator==(const BufferSpec&) const = default;
};

struct Tolerance {
  double absolute = 0;
  double relative = 0;
  bool operator==(const Tolerance&) const = default;
};

// A built kernel: a shared object by its SHA-256 and what its caller must provide.
struct Artifact {
  std::string digest;
  int64_t size = 0;
  std::string symbol;
  int64_t shared_workspace_bytes = 0;
  int64_t private_workspace_bytes = 0;  // a thread
  std::vector<BufferSpec> buffers;
  std::string prepare_symbol;           // empty: none
  std::vector<int64_t> prepared_bytes;  // of arguments behind `buffers` that it fills
  std::vector<Tolerance> tolerances;    // empty: those of the task
  bool operator==(const Artifact&) const = default;
};

// A value of one output element as the reference evaluator computed it.
struct OracleSample {
  int output = 0;
  int64_t index = 0;  // row-major, logical
  double value = 0;
  bool operator==(const OracleSample&) const = default;
};

struct BuildRequest {
  uint64_t fence = 0;
  std::string workload;
  std::string target;
  std::string trace;      // empty: the default schedule
  std::string loop_hash;  // empty: not checked
  int threads = 1;
  bool is_reference = false;
  uint64_t seed = 0;
  int sample_count = 0;  // an output, of a reference
  double max_seconds = 30;
  bool operator==(const BuildRequest&) const = default;
};

struct BuildResult {
  uint64_t fence = 0;
  db::Outcome outcome = db::Outcome::kInfrastructure;
  std::string reason;
  Artifact artifact;  // when kOk
  std::string loop_hash;
  double build_seconds = 0;
  std::vector<Tolerance> tolerances;
  std::vector<OracleSample> samples;
  bool operator==(const BuildResult&) const = default;
};

struct LeaseId {
  int64_t job_id = 0;
  int task_index = 0;
  int64_t trial = 0;  // or kNoTrial
  int attempt = 0;
  uint64_t fence = 0;
  bool operator==(const LeaseId&) const = default;
  // "<job>/<trial>/<attempt>/<fence>": the idempotency key of the record.
  std::string AttemptKey() const;
};

struct RunPlan {
  LeaseId lease;
  std::string device;
  std::string workload_hash;
  std::vector<Artifact> artifacts;  // of a trial one, of a comparison the incumbent first
  Artifact reference;
  std::vector<Tolerance> tolerances;
  std::vector<OracleSample> samples;
  uint64_t seed = 0;
  int threads = 1;
  db::CacheMode cache_mode = db::CacheMode::kWarm;
  int repeats = 3;
  int contender_repeats = 3;
  double screen_seconds = 0.001;
  double min_repeat_seconds = 0.001;
  double max_seconds = 10;
  int64_t max_memory_bytes = int64_t{4} << 30;
  double best_seconds = 0;
  bool operator==(const RunPlan&) const = default;
};

struct RunResult {
  LeaseId lease;
  std::string device;                         // the plan's
  std::vector<db::Measurement> measurements;  // one an artifact
};

struct LibraryRequest {
  uint64_t fence = 0;
  std::string name;
  db::Selection selection;
  bool static_library = false;  // lib<name>.a, too
};

struct LibraryResult {
  uint64_t fence = 0;
  std::string error;  // empty: built
  std::vector<db::LibraryFile> files;
  bool operator==(const LibraryResult&) const = default;
};

struct ModelPlan {
  uint64_t fence = 0;
  std::string device;
  std::string name;
  std::string bucket;
  std::vector<db::LibraryFile> libraries;
  std::vector<BufferSpec> buffers;  // row-major, without constants
  int steps = 0;
  std::vector<Tolerance> tolerances;
  std::vector<OracleSample> samples;
  uint64_t seed = 0;
  int threads = 1;
  int turns = 5;
  double min_turn_seconds = 0.1;
  double max_seconds = 60;
  int64_t max_memory_bytes = int64_t{4} << 30;
  bool operator==(const ModelPlan&) const = default;
};

struct ModelTiming {
  db::Measurement measurement;
  std::vector<double> step_seconds;
};

struct ModelResult {
  uint64_t fence = 0;
  std::string device;
  std::vector<ModelTiming> timings;
};

struct Hello {
  int protocol_version = kProtocolVersion;
  std::string worker;
  std::string instance;
  std::string tessera_version;
  std::vector<db::Device> devices;
  int build_slots = 0;
  std::vector<uint64_t> held;
};

struct Heartbeat {
  std::vector<uint64_t> held;
};

struct Welcome {
  std::string server_version;
  double heartbeat_seconds = 2;
  double lease_seconds = 10;
};

struct Cancel {
  uint64_t fence = 0;
};

struct Acknowledge {
  uint64_t fence = 0;
};

struct Drain {
  std::string device;
  bool draining = true;
};

// Worker → server, server → worker.
using WorkerMessage =
    std::variant<Hello, Heartbeat, BuildResult, RunResult, LibraryResult, ModelResult>;
using ServerMessage = std::variant<Welcome, BuildRequest, RunPlan, LibraryRequest, ModelPlan,
                                   Cancel, Acknowledge, Drain>;

// What WatchJob shows.
struct TaskProgress {
  std::string name;
  std::string task_key;
  int64_t trials_done = 0;
  int64_t trials_total = 0;
  double best_seconds = 0;  // 0: nothing measured yet
  // How often it runs in a run of what the job is for; older servers don't tell.
  std::optional<double> weight;
  std::vector<std::pair<db::Outcome, int64_t>> failures;
  bool done = false;
  int64_t promoted = 0;         // record that a comparison left as the fastest; 0: none was made
  std::string end_reason = {};  // of a task that is done; empty: its trials are used up
};

// What a run of a job's model took on a device, or one of each of its buckets together.
struct ModelTime {
  double seconds = 0;          // with the best that was measured of each kernel by then
  double default_seconds = 0;  // with default schedules; 0: could not be measured
  int64_t trials = 0;          // of the job, that were done by then
  bool operator==(const ModelTime&) const = default;
};

struct JobProgress {
  int64_t job_id = 0;
  db::JobState state = db::JobState::kQueued;
  std::string message;
  std::vector<TaskProgress> tasks;
  double trials_per_second = 0;
  double remaining_seconds = -1;  // negative: unknown
  std::vector<db::RunnerTime> runners;
  std::optional<ModelTime> model;  // none: not measured yet, or the job is of no model
};

}  // namespace tessera::proto
