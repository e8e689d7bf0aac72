#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "compiler/ir/target.h"

// One function a subcommand. Results go to standard output, progress and remarks to standard error.
// main.cc turns a returned status into one line and an exit code; with an empty message, it has
// been said already.

namespace tessera::cli {

inline constexpr char kDefaultServer[] = "127.0.0.1:7654";

struct UpOptions {
  std::string listen = kDefaultServer;
  std::string data = "tessera-data";
  std::string isa;    // ceiling of the worker; empty: what the machine has
  int cores = 0;      // for the worker; 0: all
  std::string allow;  // libraries of others that it may load (base/third_party.h); empty: none
  bool worker = true;
};
// Starts a server and a local worker, prints "ready ADDRESS" and runs until interrupted.
absl::Status RunUp(const UpOptions& options);

// How a model's products become ones of i8 (graph/quantize.h).
struct QuantizationSource {
  std::string samples;  // folder (samples.h); empty: they don't
  std::string ranges = "percentile";
  bool float_first = false, float_last = false;
  std::vector<std::string> keep;  // names of products that stay floats
};

// Operators come from a job file, from words ("matmul m=512 n=512 k=512"), or are the kernels of a
// model (model_source.h).
struct OperatorSource {
  std::string file;
  std::vector<std::string> words;
  // Of a model: "batch=1" or "batch=1,4", "image=1,3,224,224", "rate=16000".
  std::vector<std::string> dimensions, shapes, values;
  bool backward = false;    // of a model: the kernels of its gradients instead
  std::string layouts;      // of a model: the target as which values are stored; empty: its own
  QuantizationSource int8;  // of a model
};

struct GraphOptions {
  OperatorSource source;
  std::string target;  // empty: none, all values are row-major
  // By whose records values are stored, as `tessera build` stores them; empty: as estimated.
  std::string device_class;
  std::string server = kDefaultServer;  // that has them, and runs samples
  int threads = 1;                      // of the kernels that were measured
  bool text = false;                    // the graph itself
  std::string report;  // file for the accuracy of a quantised model, JSON; empty: none
};
// What a model's file becomes.
absl::Status RunGraph(const GraphOptions& options);

struct TuneOptions {
  std::string server = kDefaultServer;
  OperatorSource source;
  std::string target;        // empty: that of a connected device
  std::string device_class;  // empty: that of the connected devices
  int trials = 0;            // 0: what the file says
  int64_t budget = 0;        // trials of all operators together; 0: as `trials` says
  int threads = 0;
  int64_t seed = -1;
  double max_seconds = 0;
  std::string explorer, cost_model, prior, scheduler;  // empty: the default
  std::string key;                                     // idempotency
  bool as_request = false;  // what was asked for before is not tuned again
  std::string allow;        // libraries of others that programs may call; empty: none
  std::string report;       // file for the JSON report
  bool detach = false;
};
absl::Status RunTune(const TuneOptions& options);

struct RequestOptions {
  std::string server = kDefaultServer;
  OperatorSource source;
  std::string target, device_class;  // as of TuneOptions
  int64_t budget = 500;              // trials of all operators together
  std::string max_wait = "20m";      // for tuning, then it goes on with what was measured
  int threads = 0;                   // 0: the file's
  double min_speedup = 0;            // over the default schedules; 0: none is demanded
  std::string max_latency;           // "5ms"; empty: none is demanded
  double max_error = 0;              // of a model's library; 0: none is demanded
  std::string allow;                 // as of TuneOptions
  std::string name;                  // as of BuildOptions
  std::string out = "dist";
  bool static_library = false;  // as of BuildOptions
  std::string report;           // file for the JSON report
  bool alone = false;           // as of BuildOptions
};
// Tunes what was not tuned before and builds the library; a repeated call goes on with the same
// job, or finds it done. Exit code 3 where what was demanded is not met: nothing is written then.
absl::Status RunRequest(const RequestOptions& options);

struct JobOptions {
  std::string server = kDefaultServer;
  int64_t job = 0;  // 0: all
  bool cancel = false;
  bool json = false;
};
absl::Status RunWatch(const JobOptions& options);
absl::Status RunJobs(const JobOptions& options);

struct BestOptions {
  std::string server = kDefaultServer;
  std::string task;  // name, prefix of the key, or empty: all
  std::string device_class;
  int count = 1;
  std::string allow;  // as of TuneOptions
  bool trace = false;
  bool json = false;
};
absl::Status RunBest(const BestOptions& options);

struct LogOptions {
  std::string server = kDefaultServer;
  std::string task;
  std::string device_class;
  std::vector<std::string> outcomes;
  int64_t job = 0;
  int64_t after = -1;  // ids above, the oldest first; negative: the newest
  int64_t limit = 1000;
  std::string format = "table";  // table, csv, jsonl
};
absl::Status RunLog(const LogOptions& options);

struct ImportanceOptions {
  std::string server = kDefaultServer;
  std::string task;  // name, or prefix of the key
  std::string device_class;
  int count = 20;  // features
  bool json = false;
};
absl::Status RunImportance(const ImportanceOptions& options);

struct AaOptions {
  std::string server = kDefaultServer;
  std::string task;          // name, or prefix of the key; empty: all
  std::string device_class;  // empty: that of the connected devices
  int pairs = 200;           // over all tasks
  int64_t after = -1;  // goes on with the campaign of the comparisons above; negative: a new one
  bool json = false;
};
absl::Status RunAa(const AaOptions& options);

struct BuildOptions {
  std::string server = kDefaultServer;
  int64_t job = 0;        // its tasks …
  OperatorSource source;  // … or these, or a model
  std::vector<std::string> device_classes;
  std::string target;
  std::string cpu;    // of a library for a device: the target of what runs on the CPU
  int threads = 0;    // 0: the file's
  std::string allow;  // as of TuneOptions
  std::string name;   // empty: "ops", or the model's file's
  std::string out = "dist";
  bool static_library = false;  // libNAME.a, too
  double max_error = 0;         // of a model (error_demand.h); 0: none is demanded
  bool alone = false;           // a model's programs are chosen by what they took alone
};
absl::Status RunBuild(const BuildOptions& options);

struct VerifyOptions {
  std::string folder;
  bool json = false;
  int max_seconds = 600;  // that the library may run
};
// Whether a library's files are those of its manifest, and whether it computes here what the
// manifest says: runs the library. DataLoss where it is not so.
absl::Status RunVerify(const VerifyOptions& options);

struct DevicesOptions {
  std::string server = kDefaultServer;
  std::string drain, resume, reason;
  bool all = false;  // those that were not seen for long, too
  bool json = false;
};
absl::Status RunDevices(const DevicesOptions& options);

struct ModelTrainOptions {
  std::string server = kDefaultServer;
  std::string name;  // of the model
  std::string cost_model = "xgboost";
  std::vector<std::string> device_classes;  // empty: all
  std::vector<std::string> without;         // tasks, whose workloads are left out
  std::string note;                         // of where it comes from, for people
  int programs = 2048;                      // of a task and device class at most
  int folds = 5;                            // 0: it is not judged
  uint64_t seed = 0;
  bool json = false;
};
absl::Status RunModelTrain(const ModelTrainOptions& options);

struct ModelOptions {
  std::string server = kDefaultServer;
  std::string name;  // of the model; to import: empty: the file's
  std::string file;  // to export: empty: NAME.tsm
  bool json = false;
};
absl::Status RunModelList(const ModelOptions& options);
absl::Status RunModelShow(const ModelOptions& options);
absl::Status RunModelExport(const ModelOptions& options);
absl::Status RunModelImport(const ModelOptions& options);

inline constexpr char kDefaultSpaceTarget[] = "x86/avx512";

struct SpaceOptions {
  std::string server = kDefaultServer;  // runs samples
  OperatorSource source;
  std::string target;  // empty: kDefaultSpaceTarget
  int threads = 1;
  int samples = 10'000;
  uint64_t seed = 0;
};
// "c9 on x86/avx512 …, 1 thread", and whether nobody chose that target.
std::string SpaceTitle(const std::string& op, const ir::Target& target, int threads,
                       bool is_default);
absl::Status RunSpace(const SpaceOptions& options);

struct DatasetOptions {
  std::string server = kDefaultServer;
  std::string task;  // name, or prefix of the key
  std::string device_class;
  std::vector<int64_t> jobs;  // none: of all
  std::string kind = "sampled";
  std::string commit;  // of the build that measured
  std::string remark;
  std::string out;  // file
};
absl::Status RunDataset(const DatasetOptions& options);

struct ReplayOptions {
  std::vector<std::string> data;  // files
  std::vector<std::string> explorers = {"annealing"}, cost_models = {"xgboost"};
  std::string prior;                    // file of a model; empty: none
  std::vector<std::string> schedulers;  // that spread the trials of one job over all of `data`
  int seeds = 10;
  int trials = 256;
  int in_flight = 8;
  std::string out = "replay";  // folder
};
absl::Status RunReplay(const ReplayOptions& options);

struct RankingOptions {
  std::vector<std::string> data;    // files
  std::vector<std::string> others;  // files that are learned from alone
  std::vector<std::string> cost_models = {"xgboost"};
  std::string hold_out = "workload";
  std::vector<int> target_rows = {0, 32, 128};
  int draws = 5;
  int max_rows = 2000;
  std::string out = "replay";  // folder
};
absl::Status RunRanking(const RankingOptions& options);

struct CodesignOptions {
  OperatorSource source;
  std::string device = "XC7Z020";
  int variants = 64;  // that are tuned
  int trials = 32;    // of each operator, of those that stay to the end
  uint64_t seed = 0;
  int threads = 0;  // 0: one a core
  bool transfer = true;
  std::string resume;    // file that keeps what was measured; empty: none
  std::string csv, svg;  // files; empty: none
  bool json = false;
};
absl::Status RunCodesign(const CodesignOptions& options);

}  // namespace tessera::cli
