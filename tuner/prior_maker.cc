#include "tuner/prior_maker.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "base/view.h"
#include "tuner/explorer.h"
#include "tuner/prior_store.h"
#include "tuner/store_trouble.h"
#include "tuner/trained_model.h"

namespace tessera::tuner {
namespace {

constexpr int kNearTasks = 4;
// From the nearest that has some, the next, …: programs of one task resemble each other.
constexpr int kQuota[] = {3, 2, 1};
static_assert(3 + 2 + 1 == kMaxFirstConfigs);
// Of records of a task, each as many as programs may be known, that are searched for the newest of
// use: others are of other builds, stale, or of one program.
constexpr int kMaxPages = 16;
constexpr size_t kMaxTasksToSearch = 4096;  // of the log, the newest

// A target begins with the same word as classes that run it.
std::string_view FamilyOf(const db::Task& task) {
  const std::string_view target = task.target;
  return target.substr(0, target.find_first_of("/ "));
}

// What a job's devices are.
std::string_view FamilyOf(const db::Job& job) {
  if (!job.options.device_class.empty()) return db::FamilyOf(job.options.device_class);
  return job.tasks.empty() ? "" : FamilyOf(job.tasks[0]);
}

// Of a model that somebody chose for the job. One that doesn't say what it was trained on passes.
absl::Status CheckFamily(const db::ModelInfo& model, const db::Job& job) {
  if (model.device_classes.empty()) return absl::OkStatus();
  for (const db::Task& task : job.tasks) {
    const std::string_view family = FamilyOf(task);
    const bool knows = std::ranges::any_of(
        model.device_classes, [&](const auto& name) { return db::FamilyOf(name) == family; });
    if (knows) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("it was trained on ", absl::StrJoin(model.device_classes, ", "), "; task ",
                     task.name, " is for ", AbslView(family),
                     ", of which it says nothing. Choose one of `tessera model list`, or auto"));
  }
  return absl::OkStatus();
}

// How well a model matches a job's devices: 2 for its own class, 1 for one of its kind, 0 for
// others.
int MatchOf(const db::ModelInfo& model, const db::Job& job) {
  int match = 0;
  for (const std::string& other : model.device_classes) {
    if (other == job.options.device_class) return 2;
    if (db::FamilyOf(other) == FamilyOf(job)) match = 1;
  }
  return match;
}

// Whether this build can use it for the programs of the job.
absl::Status CheckModel(db::Store& store, const db::ModelInfo& model, const db::Job& job) {
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes, store.GetBlob(model.digest));
  TESSERA_RETURN_IF_ERROR(ReadModel(model, bytes).status());
  TESSERA_ASSIGN_OR_RETURN(const int version, FeatureVersionOf(job));
  if (model.feature_version == version) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("model \"", model.name, "\": of feature version ", model.feature_version,
                   "; the job's programs have ", version));
}

bool Teaches(const db::Record& record) {
  const db::Outcome outcome = record.measurement.outcome;
  return !record.stale && !record.config.empty() &&
         (outcome == db::Outcome::kOk || db::IsCandidateFailure(outcome));
}

// Programs of a space with their times, from records of this build.
class KnownPrograms {
 public:
  explicit KnownPrograms(const SearchSpace& space) : space_(space) {}

  size_t size() const { return programs_.size(); }

  // The program's loop hash; nothing where the record is of no use.
  absl::StatusOr<std::optional<uint64_t>> Add(const db::Record& record) {
    if (!Teaches(record) || record.tessera_version != Version()) return std::nullopt;
    const double cost_seconds = record.measurement.CostSeconds();
    const double comparable_seconds = record.CostSeconds();
    if (const auto place = programs_.find(record.loop_hash); place != programs_.end()) {
      Dated& known = place->second;
      if (comparable_seconds < known.comparable_seconds) {
        known.comparable_seconds = comparable_seconds;
        known.program.cost_seconds = cost_seconds;
        known.program.device = record.device;
      }
      known.since = std::min(known.since, record.id);
      return known.program.loop_hash;
    }
    const absl::StatusOr<Point> point = space_.Parse(record.config);
    if (!point.ok()) return std::nullopt;
    TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, space_.LoopHash(*point));
    // The config meant another program.
    if (HashToHex(loop_hash) != record.loop_hash) return std::nullopt;
    programs_.emplace(record.loop_hash,
                      Dated{record.id,
                            comparable_seconds,
                            {loop_hash, record.config, cost_seconds, record.device}});
    return loop_hash;
  }

  std::vector<KnownProgram> OldestFirst() && {
    std::map<int64_t, KnownProgram> by_age;
    for (auto& [hash, known] : programs_) by_age.emplace(known.since, std::move(known.program));
    std::vector<KnownProgram> programs;
    for (auto& [since, program] : by_age) programs.push_back(std::move(program));
    return programs;
  }

 private:
  struct Dated {
    int64_t since = 0;              // the first record of it
    double comparable_seconds = 0;  // of the fastest
    KnownProgram program;
  };
  const SearchSpace& space_;
  std::map<std::string, Dated> programs_;  // by loop hash, as records have it
};

}  // namespace

absl::StatusOr<std::optional<db::ModelInfo>> PriorMaker::ChooseModel(const db::Job& job) {
  const db::JobOptions& options = job.options;
  TESSERA_ASSIGN_OR_RETURN(const auto explorer, MakeExplorer(options.explorer));
  const bool can_use = explorer->UsesModel() && options.cost_model == kWithPrior;
  if (options.prior != kAutoPrior) {
    const auto refuse = [&](const absl::Status& status) {
      return Annotate(status, absl::StrCat("prior ", options.prior));
    };
    if (!can_use) {
      return refuse(absl::InvalidArgumentError(absl::StrCat(
          "explorer ", options.explorer, " with cost model ", options.cost_model,
          " can't begin with a model; choose one that learns, with ", AbslView(kWithPrior))));
    }
    absl::StatusOr<db::ModelInfo> named = store_.GetModelInfo(options.prior);
    if (!named.ok()) return refuse(named.status());
    absl::Status usable = CheckFamily(*named, job);
    if (usable.ok()) usable = CheckModel(store_, *named, job);
    if (!usable.ok()) return refuse(usable);
    return std::move(*named);
  }
  if (!can_use) return std::nullopt;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::ModelInfo> models, store_.ListModels());
  for (const int wanted : {2, 1}) {
    for (const db::ModelInfo& model : models) {
      if (MatchOf(model, job) != wanted) continue;
      const absl::Status usable = CheckModel(store_, model, job);
      if (usable.ok()) return model;
      if (MayPass(usable)) return usable;
      LogWarning(absl::StrCat("passed over as a prior: ", usable.ToString()));
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<KnownProgram>> PriorMaker::KnownOf(const std::string& task_key,
                                                              const std::string& device_class,
                                                              const SearchSpace& space, int limit) {
  if (device_class.empty()) return std::vector<KnownProgram>();  // times of several machines
  const auto wanted_newest = static_cast<size_t>(limit - limit / 4);
  const auto wanted_fastest = static_cast<size_t>(limit / 4);
  KnownPrograms known(space);
  db::RecordFilter newest;
  newest.task_key = task_key;
  newest.device_class = device_class;
  newest.newest_first = true;
  newest.limit = limit;
  for (int page = 0; page < kMaxPages && known.size() < wanted_newest; ++page) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> records, store_.QueryRecords(newest));
    for (const db::Record& record : records) {
      if (known.size() == wanted_newest) break;
      TESSERA_RETURN_IF_ERROR(known.Add(record).status());
    }
    if (static_cast<int64_t>(records.size()) < newest.limit) break;
    newest.before_id = records.back().id;
  }
  // Some of the fastest are of no use, either.
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> fastest,
                           store_.Best(newest.task_key, device_class, limit));
  Hashes taken;
  for (const db::Record& record : fastest) {
    if (taken.size() == wanted_fastest) break;
    TESSERA_ASSIGN_OR_RETURN(const std::optional<uint64_t> program, known.Add(record));
    if (program) taken.insert(*program);
  }
  return std::move(known).OldestFirst();
}

absl::StatusOr<std::vector<std::string>> PriorMaker::FirstConfigs(const KeyedTask& task,
                                                                  absl::Span<const KeyedTask> all,
                                                                  const std::string& device_class,
                                                                  const SearchSpace& space,
                                                                  Hashes known) {
  std::vector<std::string> keys = {task.key};
  for (const size_t near : nearest_.Find(task, all, kNearTasks)) keys.push_back(all[near].key);
  std::vector<std::string> configs;
  size_t gave = 0;  // tasks
  for (size_t i = 0; i < keys.size() && gave < std::size(kQuota); ++i) {
    const int wanted = kQuota[gave];
    // Some of them become the same program here.
    TESSERA_ASSIGN_OR_RETURN(std::vector<db::Record> best,
                             store_.Best(keys[i], i == 0 ? "" : device_class, 4 * wanted));
    if (best.empty() && !device_class.empty()) {
      TESSERA_ASSIGN_OR_RETURN(best, store_.Best(keys[i], "", 4 * wanted));
    }
    int taken = 0;
    for (const db::Record& record : best) {
      if (taken == wanted) break;
      if (record.config.empty()) continue;
      const absl::StatusOr<Point> point = space.Adapt(record.config);
      if (!point.ok()) continue;
      TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, space.LoopHash(*point));
      if (!known.insert(loop_hash).second) continue;
      configs.push_back(space.Config(*point));
      ++taken;
    }
    gave += taken > 0 ? 1 : 0;
  }
  return configs;
}

absl::StatusOr<std::string> PriorMaker::Make(
    const db::Job& job, absl::Span<const std::shared_ptr<const SearchSpace>> spaces) {
  if (job.options.prior == kNoPrior || job.tasks.empty()) return "";
  Prior prior;
  TESSERA_ASSIGN_OR_RETURN(const std::optional<db::ModelInfo> model, ChooseModel(job));
  if (model) {
    prior.cost_model = model->cost_model;
    prior.model = model->digest;
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> all, store_.ListTasks());
  absl::Span<const db::Task> tasks = all;
  if (tasks.size() > kMaxTasksToSearch) tasks.remove_prefix(tasks.size() - kMaxTasksToSearch);
  const std::vector<KeyedTask> logged = WithKeys(tasks);
  const std::string& device_class = job.options.device_class;
  const int limit = std::min(kMaxKnownOfTask, kMaxKnown / static_cast<int>(job.tasks.size()));
  for (size_t t = 0; t < job.tasks.size(); ++t) {
    TaskPrior& known = prior.tasks.emplace_back();
    const KeyedTask task(job.tasks[t]);
    TESSERA_ASSIGN_OR_RETURN(known.known, KnownOf(task.key, device_class, *spaces[t], limit));
    Hashes hashes;
    for (const KnownProgram& program : known.known) hashes.insert(program.loop_hash);
    TESSERA_ASSIGN_OR_RETURN(known.first_configs, FirstConfigs(task, logged, device_class,
                                                               *spaces[t], std::move(hashes)));
  }
  if (prior.IsEmpty()) return "";
  const std::string owner =
      absl::StrCat("prior ", ++made_, " of a job made at ", absl::ToUnixMicros(job.created));
  return PutPrior(store_, owner, prior);
}

}  // namespace tessera::tuner
