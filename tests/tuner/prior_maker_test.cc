#include "tuner/prior_maker.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "base/hash.h"
#include "base/log.h"
#include "base/version.h"
#include "compiler/te/operators.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "db/record/memory_store.h"
#include "tuner/config_search_space.h"
#include "tuner/prior_store.h"

namespace tessera::test {
namespace {

constexpr char kClass[] = "x86/zen5/avx512/2c";

db::Task ConvolutionTask(int size, std::string_view isa = "avx512") {
  const te::Workload workload = *te::MakeWorkload({"conv",
                                                   "conv2d",
                                                   {{"ic", "32"},
                                                    {"oc", "32"},
                                                    {"size", absl::StrCat(size)},
                                                    {"k", "3"},
                                                    {"pad", "1"},
                                                    {"algorithm", "direct"}}});
  db::Task task;
  task.name = absl::StrCat("conv", size);
  task.workload = te::Print(workload);
  task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
  task.target = ir::ToString(*ir::X86Target(isa));
  return task;
}

// A store with what earlier jobs measured.
class Log {
 public:
  // Measures `count` sampled programs, the i-th in 1 + i ms, or so many times as slow.
  std::vector<db::Record> Measure(const db::Task& task, int count, const std::string& device_class,
                                  std::string_view version = Version(), double slower = 1) {
    db::Job job;
    job.name = "earlier";
    job.tasks = {task};
    const int64_t id = *store.CreateJob(job);
    const auto space = *tuner::MakeSearchSpace(task);
    std::vector<db::Record> records;
    Rng rng(++seed_);
    std::set<uint64_t> hashes;
    while (static_cast<int>(records.size()) < count) {
      const tuner::Point point = space->Sample(rng);
      const uint64_t hash = *space->LoopHash(point);
      if (!hashes.insert(hash).second) continue;
      db::Record record;
      record.task_key = task.Key();
      record.job_id = id;
      record.trial = static_cast<int64_t>(records.size());
      record.attempt_key = absl::StrCat(id, "/", record.trial);
      record.trace = *space->Trace(point);
      record.config = space->Config(point);
      record.loop_hash = HashToHex(hash);
      record.device_class = device_class;
      record.tessera_version = std::string(version);
      record.measurement.outcome = db::Outcome::kOk;
      record.measurement.sample_seconds = {1e-3 * slower * (1 + static_cast<double>(record.trial))};
      records.push_back(std::move(record));
    }
    REQUIRE(store.Append(records, {}).ok());
    return records;
  }

  // Nothing if nothing is known.
  std::shared_ptr<const tuner::Prior> PriorOf(const db::Task& task, db::JobOptions options = {}) {
    const auto digest = Make(task, std::move(options));
    INFO(digest.status());
    REQUIRE(digest.ok());
    db::Job job;
    job.tasks = {task};
    job.prior = *digest;
    return tuner::GetPrior(store, job)->prior;
  }

  absl::StatusOr<std::string> Make(const db::Task& task, db::JobOptions options) {
    db::Job job;
    job.options = std::move(options);
    job.tasks = {task};
    const auto space = *tuner::MakeSearchSpace(task);
    return maker.Make(job, {space});
  }

  db::ModelInfo AddModel(const std::string& name, const std::string& device_class,
                         int feature_version = costmodel::kCpuFeatureVersion) {
    Rng rng(++seed_);
    costmodel::TrainingData data;
    data.columns = costmodel::FeatureCount(feature_version == costmodel::kGpuFeatureVersion
                                               ? ir::TargetKind::kOpenCl
                                               : ir::TargetKind::kX86);
    for (int i = 0; i < 30 * data.columns; ++i) {
      data.rows.push_back(static_cast<float>(rng.Uniform()));
    }
    for (int i = 0; i < 30; ++i) data.labels.push_back(static_cast<float>(rng.Uniform()));
    const auto model = *costmodel::MakeCostModel("xgboost", seed_);
    REQUIRE(model->Fit(data).ok());
    db::ModelInfo info;
    info.name = name;
    info.digest = *store.PutBlob(*model->Save());
    info.cost_model = "xgboost";
    info.feature_version = feature_version;
    info.device_classes = {device_class};
    info.created = absl::FromUnixSeconds(seed_);
    REQUIRE(store.PutModel(info).ok());
    return info;
  }

  db::MemoryStore store{Clock::Real()};
  tuner::PriorMaker maker{store};

 private:
  uint64_t seed_ = 0;
};

db::JobOptions OnClass(const std::string& prior = "auto") {
  db::JobOptions options;
  options.device_class = kClass;
  options.prior = prior;
  return options;
}

TEST_CASE("where nothing was measured nothing is known", "[tuner]") {
  Log log;
  CHECK(*log.Make(ConvolutionTask(14), OnClass()) == "");
  log.Measure(ConvolutionTask(14), 5, kClass);
  CHECK(*log.Make(ConvolutionTask(14), OnClass("none")) == "");
}

TEST_CASE("programs of the task are known with their times, the oldest first", "[tuner]") {
  Log log;
  const db::Task task = ConvolutionTask(14);
  std::vector<db::Record> records = log.Measure(task, 6, kClass);
  // What is no program of the space, taught nothing, is of another class or of another build.
  db::Record baseline = records[0];
  baseline.attempt_key = "baseline";
  baseline.config.clear();
  db::Record lost = records[0];
  lost.attempt_key = "lost";
  lost.measurement = {};
  db::Record failed = records[1];
  failed.attempt_key = "failed";
  failed.measurement = {};
  failed.measurement.outcome = db::Outcome::kRunError;
  db::Record again = records[2];  // faster than before
  again.attempt_key = "again";
  again.measurement.sample_seconds = {0.5e-3};
  REQUIRE(log.store.Append({baseline, lost, failed, again}, {}).ok());
  log.Measure(task, 4, "x86/zen5/avx2/2c");
  log.Measure(task, 4, kClass, "0.0.9");

  const auto prior = log.PriorOf(task, OnClass());
  REQUIRE(prior != nullptr);
  REQUIRE(prior->tasks.size() == 1);
  const std::vector<tuner::KnownProgram>& known = prior->tasks[0].known;
  REQUIRE(known.size() == 6);
  for (int i = 0; i < 6; ++i) {
    CHECK(HashToHex(known[i].loop_hash) == records[i].loop_hash);
    CHECK(known[i].config == records[i].config);
    CHECK(known[i].cost_seconds == (i == 2 ? 0.5e-3 : 1e-3 * (1 + i)));
  }
  // Those of the other class and build are worth a trial.
  CHECK(prior->tasks[0].first_configs.size() == 3);
  // A job of any device knows no times, but what was fast.
  const auto any = log.PriorOf(task, {});
  CHECK(any->tasks[0].known.empty());
  CHECK(any->tasks[0].first_configs.size() == 3);
}

TEST_CASE("of many known programs the newest and the fastest stay", "[tuner]") {
  Log log;
  const db::Task task = ConvolutionTask(28);
  const std::vector<db::Record> records = log.Measure(task, 1500, kClass);
  const std::vector<tuner::KnownProgram> known = log.PriorOf(task, OnClass())->tasks[0].known;
  CHECK(known.size() == tuner::kMaxKnownOfTask);
  CHECK(HashToHex(known[0].loop_hash) == records[0].loop_hash);
  CHECK(HashToHex(known[255].loop_hash) == records[255].loop_hash);
  CHECK(HashToHex(known[256].loop_hash) == records[1500 - 768].loop_hash);
  CHECK(HashToHex(known.back().loop_hash) == records.back().loop_hash);
}

TEST_CASE("what is of no use does not push out what is known", "[tuner]") {
  Log log;
  const db::Task task = ConvolutionTask(28);
  const std::vector<db::Record> records = log.Measure(task, 20, kClass, Version(), 1e6);
  // Newer and faster ones of another build, and one program again and again.
  log.Measure(task, 1100, kClass, "0.0.9");
  std::vector<db::Record> again(900, records[3]);
  for (size_t i = 0; i < again.size(); ++i) again[i].attempt_key = absl::StrCat("again ", i);
  REQUIRE(log.store.Append(again, {}).ok());
  const std::vector<tuner::KnownProgram> known = log.PriorOf(task, OnClass())->tasks[0].known;
  REQUIRE(known.size() == records.size());
  for (size_t i = 0; i < known.size(); ++i) {
    CHECK(HashToHex(known[i].loop_hash) == records[i].loop_hash);
  }
}

TEST_CASE("the best programs of near tasks come first, in this task's space", "[tuner]") {
  Log log;
  const db::Task task = ConvolutionTask(14), near = ConvolutionTask(16), far = ConvolutionTask(112);
  const std::vector<db::Record> of_far = log.Measure(far, 8, kClass);
  const std::vector<db::Record> of_near = log.Measure(near, 8, kClass);
  const auto prior = log.PriorOf(task, OnClass());
  const auto space = *tuner::MakeSearchSpace(task);
  const std::vector<std::string>& configs = prior->tasks[0].first_configs;
  REQUIRE(configs.size() == 5);
  CHECK(configs[0] == space->Config(*space->Adapt(of_near[0].config)));
  std::set<uint64_t> hashes;
  for (const std::string& config : configs) {
    hashes.insert(*space->LoopHash(*space->Parse(config)));
  }
  CHECK(hashes.size() == configs.size());
  CHECK(prior->tasks[0].known.empty());
}

TEST_CASE("the newest model of the device class is chosen, else one of its kind", "[tuner]") {
  SetLogLevel("off");
  Log log;
  const db::Task task = ConvolutionTask(14);
  const auto chosen = [&](const db::JobOptions& options) -> std::string {
    const auto prior = log.PriorOf(task, options);
    return prior == nullptr ? "" : prior->model;
  };
  log.AddModel("arm", "aarch64/a76/neon/4c");
  CHECK(chosen(OnClass()) == "");
  CHECK(chosen({}) == "");  // of any class that runs the target
  const db::ModelInfo kind = log.AddModel("x86", "x86/zen4/avx2/8c");
  CHECK(chosen(OnClass()) == kind.digest);
  CHECK(chosen({}) == kind.digest);
  const db::ModelInfo own = log.AddModel("own", kClass);
  log.AddModel("newer", "x86/zen4/avx2/8c");
  CHECK(chosen(OnClass()) == own.digest);
  CHECK(chosen(OnClass("x86")) == kind.digest);
  log.AddModel("old-features", kClass, costmodel::kCpuFeatureVersion - 1);
  CHECK(chosen(OnClass()) == own.digest);
  // A blob that is no model is passed over.
  db::ModelInfo broken = own;
  broken.name = "broken";
  broken.digest = *log.store.PutBlob("no model");
  broken.created = absl::FromUnixSeconds(1000);
  REQUIRE(log.store.PutModel(broken).ok());
  CHECK(chosen(OnClass()) == own.digest);
  // Where the search does not begin with a model there is none.
  db::JobOptions other = OnClass();
  other.cost_model = "regression";
  CHECK(chosen(other) == "");
  other = OnClass();
  other.explorer = "random";
  CHECK(chosen(other) == "");
}

TEST_CASE("a named model that can't be used is refused with the reason", "[tuner]") {
  Log log;
  const db::Task task = ConvolutionTask(14);
  log.AddModel("old", kClass, 1);
  log.AddModel("good", kClass);
  CHECK(log.Make(task, OnClass("no-such")).status().code() == absl::StatusCode::kNotFound);
  const absl::Status old = log.Make(task, OnClass("old")).status();
  CHECK(old.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(old.message()),
             Catch::StartsWith("prior old: ") && Catch::Contains("of feature version 1;"));
  db::JobOptions random = OnClass("good");
  random.explorer = "random";
  CHECK(log.Make(task, random).status() ==
        absl::InvalidArgumentError("prior good: explorer random with cost model xgboost can't "
                                   "begin with a model; choose one that learns, with xgboost"));
  CHECK(log.Make(task, OnClass("good")).ok());
}

TEST_CASE("no job begins with a model of another kind of device", "[tuner]") {
  Log log;
  constexpr char kGpuClass[] = "opencl/a-gpu/1.0";
  const db::Task on_cpu = ConvolutionTask(14);
  db::Task on_gpu = on_cpu;
  on_gpu.target = "opencl";
  const db::ModelInfo cpu = log.AddModel("cpu", kClass);
  const db::ModelInfo gpu = log.AddModel("gpu", kGpuClass, costmodel::kGpuFeatureVersion);
  const auto chosen = [&](const db::Task& task, const std::string& prior) {
    db::JobOptions options;
    options.prior = prior;
    return log.PriorOf(task, options)->model;
  };
  for (const char* prior : {"auto", "cpu"}) CHECK(chosen(on_cpu, prior) == cpu.digest);
  for (const char* prior : {"auto", "gpu"}) CHECK(chosen(on_gpu, prior) == gpu.digest);

  db::JobOptions options;
  options.prior = "cpu";
  CHECK(log.Make(on_gpu, options).status() ==
        absl::InvalidArgumentError(
            absl::StrCat("prior cpu: it was trained on ", kClass,
                         "; task conv14 is for opencl, of which it "
                         "says nothing. Choose one of `tessera model list`, or auto")));
  options.prior = "gpu";
  CHECK(absl::IsInvalidArgument(log.Make(on_cpu, options).status()));
  db::Task on_arm = on_cpu;
  on_arm.target = "aarch64/neon";
  options.prior = "cpu";
  CHECK(absl::IsInvalidArgument(log.Make(on_arm, options).status()));

  // Of the right kind by its class, but of rows that programs for GPUs no longer have.
  log.AddModel("older", kGpuClass, costmodel::kCpuFeatureVersion);
  CHECK(chosen(on_gpu, "auto") == gpu.digest);
  options.prior = "older";
  const absl::Status status = log.Make(on_gpu, options).status();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()),
             Catch::Contains("of feature version 4; the job's programs have 6"));
}

TEST_CASE("the programs of a job have features of one version", "[tuner]") {
  db::Job job;
  CHECK(*tuner::FeatureVersionOf(job) == 0);
  job.tasks = {ConvolutionTask(14), ConvolutionTask(14, "avx2")};
  CHECK(*tuner::FeatureVersionOf(job) == costmodel::kCpuFeatureVersion);
  job.tasks[1].target = "opencl";
  CHECK(absl::IsInvalidArgument(tuner::FeatureVersionOf(job).status()));
  job.tasks[0].target = "cuda";
  CHECK(*tuner::FeatureVersionOf(job) == costmodel::kGpuFeatureVersion);
}

}  // namespace
}  // namespace tessera::test
