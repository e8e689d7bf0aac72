#include "cli/model_layouts.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "cli/progress_view.h"
#include "compiler/te/c_names.h"

namespace tessera::cli {
namespace {

// What a task of a budget in common has to show what it can (tuner/trial_budget.h).
constexpr int kRivalTrials = 8;
constexpr int64_t kRivalShare = 10;  // budget ÷ trials of kernels in rivals' forms, at least

// Kernels that a place has records of, whatever their names and the models that they are of.
class LoggedKernels {
 public:
  static absl::StatusOr<LoggedKernels> Of(Client& client, const KernelPlace& place,
                                          db::CacheMode cache) {
    LoggedKernels kernels(client, place);
    TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> classes,
                             client.ListDeviceClasses({}));
    // Times of different classes don't compare.
    if (std::ranges::count(classes, place.device_class, &RecordedClass::name) == 0) return kernels;
    TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> tasks, client.ListTasks());
    const std::string target = ir::ToString(place.target);
    for (db::Task& task : tasks) {
      if (task.target != target || task.threads != place.threads || task.cache_mode != cache) {
        continue;
      }
      kernels.tasks_[task.workload_hash].push_back(std::move(task));
    }
    return kernels;
  }

  bool empty() const { return tasks_.empty(); }

  std::optional<double> SecondsOf(const te::Workload& workload) {
    const std::vector<Known>& known = KnownOf(workload);
    if (known.empty()) return std::nullopt;
    return std::ranges::min(known, {}, &Known::seconds).seconds;
  }

  // The kernel by the name that it has records of: its own, else that of the fastest.
  absl::StatusOr<te::Workload> AsRecorded(const te::Workload& workload) {
    const std::vector<Known>& known = KnownOf(workload);
    const std::string own = te::Print(workload);
    const bool has_own =
        std::ranges::any_of(known, [&](const Known& one) { return one.task->workload == own; });
    if (known.empty() || has_own) return workload;
    return te::ParseWorkload(std::ranges::min(known, {}, &Known::seconds).task->workload);
  }

  // Of the first call that failed.
  const absl::Status& status() const { return status_; }

 private:
  struct Known {
    const db::Task* task = nullptr;
    double seconds = 0;  // of its fastest record
  };

  LoggedKernels(Client& client, const KernelPlace& place)
      : client_(&client), device_class_(place.device_class), allowed_(place.allowed) {}

  // Each asked for once.
  const std::vector<Known>& KnownOf(const te::Workload& workload) {
    const std::string hash = HashToHex(te::StructuralHash(workload.dag));
    const auto [found, is_new] = known_.try_emplace(hash);
    const auto tasks = tasks_.find(hash);
    if (!is_new || tasks == tasks_.end()) return found->second;
    for (const db::Task& task : tasks->second) {
      if (!status_.ok()) break;
      const absl::StatusOr<std::vector<db::Record>> best =
          client_->Best(task.Key(), device_class_, 1, allowed_);
      status_ = best.status();
      if (best.ok() && !best->empty()) {
        found->second.push_back({&task, best->front().CostSeconds()});
      }
    }
    return found->second;
  }

  Client* client_;
  std::string device_class_, allowed_;
  std::map<std::string, std::vector<db::Task>> tasks_;  // by hash of the workload, as the next
  std::map<std::string, std::vector<Known>> known_;
  absl::Status status_;
};

// Of channels, as layouts in tasks' texts have them ("0 1/16 2 3 1%16").
std::set<std::string> BlocksOf(const std::vector<db::Task>& tasks) {
  std::set<std::string> blocks;
  for (const db::Task& task : tasks) {
    for (size_t at = 0; (at = task.workload.find(" layout(", at)) != std::string::npos;) {
      const std::string layout = task.workload.substr(at, task.workload.find(')', at) - at);
      const size_t block = layout.rfind('%');
      if (block != std::string::npos) blocks.insert(layout.substr(block));
      at += layout.size();
    }
  }
  return blocks;
}

// How often each is run of what tasks compute, by hash.
absl::StatusOr<std::map<uint64_t, double>> RunsWithoutLayouts(const std::vector<db::Task>& tasks) {
  std::map<uint64_t, double> runs;
  for (const db::Task& task : tasks) {
    // As te::Print writes layouts; no name is one of its words.
    std::string text = task.workload;
    for (size_t at = 0; (at = text.find(" layout(", at)) != std::string::npos;) {
      text.erase(at, text.find(')', at) + 1 - at);
    }
    const absl::StatusOr<te::Workload> workload = te::ParseWorkload(text);
    if (!workload.ok()) {
      return absl::DataLossError(
          absl::StrCat("task ", task.name, ": ", workload.status().message()));
    }
    if (te::ExecutedOperations(workload->dag) == 0) continue;
    runs[te::StructuralHash(workload->dag)] += task.weight;
  }
  return runs;
}

using Hashes = std::set<uint64_t>;

Hashes HashesOf(const std::vector<te::Workload>& kernels) {
  Hashes hashes;
  for (const te::Workload& kernel : kernels) hashes.insert(te::StructuralHash(kernel.dag));
  return hashes;
}

}  // namespace

absl::StatusOr<ModelLayouts> PlanByLog(Client& client, JobFile& file, const KernelPlace& place,
                                       graph::Unmeasured unmeasured) {
  TESSERA_ASSIGN_OR_RETURN(LoggedKernels logged, LoggedKernels::Of(client, place, file.cache));
  if (logged.empty()) return PlanFor(file, place.target);
  graph::KnownSeconds known;
  if (!file.layouts) {
    known = [&](const te::Workload& workload) { return logged.SecondsOf(workload); };
  }
  absl::StatusOr<ModelLayouts> layouts = PlanFor(file, place.target, known, unmeasured);
  TESSERA_RETURN_IF_ERROR(layouts.status());
  for (JobOperator& op : file.operators) {
    TESSERA_ASSIGN_OR_RETURN(op.workload, logged.AsRecorded(op.workload));
  }
  TESSERA_RETURN_IF_ERROR(logged.status());
  return layouts;
}

std::string LayoutsText(const ModelLayouts& layouts) {
  if (layouts.values == 0) return "";
  std::string text = absl::StrCat("layouts: ", layouts.blocked, " of ", layouts.values,
                                  " values in blocks of channels, ");
  if (layouts.changed == 0) return absl::StrCat(text, "as estimated");
  absl::StrAppend(&text, layouts.changed, " of them otherwise than estimated, as measured");
  if (layouts.seconds > 0 && layouts.estimated_seconds > 0) {
    absl::StrAppend(&text, ": their kernels take ", TimeText(layouts.seconds), " rather than ",
                    TimeText(layouts.estimated_seconds));
  }
  return text;
}

absl::StatusOr<bool> AreSameButForLayouts(const std::vector<db::Task>& some,
                                          const std::vector<db::Task>& others) {
  TESSERA_ASSIGN_OR_RETURN(const auto one, RunsWithoutLayouts(some));
  TESSERA_ASSIGN_OR_RETURN(const auto other, RunsWithoutLayouts(others));
  const std::set<std::string> blocks = BlocksOf(some), other_blocks = BlocksOf(others);
  const bool have_same = blocks.empty() || other_blocks.empty() || blocks == other_blocks;
  return one == other && have_same;
}

absl::StatusOr<RivalTrials> SpendOnRivals(Client& client, const JobFile& file,
                                          const KernelPlace& place, int64_t budget) {
  RivalTrials spent{.trials = kRivalTrials, .budget_left = budget};
  const auto operators = static_cast<int64_t>(file.operators.size());
  if (file.model.empty() || file.layouts || budget < operators * kRivalTrials) return spent;
  TESSERA_ASSIGN_OR_RETURN(LoggedKernels logged, LoggedKernels::Of(client, place, file.cache));
  graph::KnownSeconds known;
  if (!logged.empty()) {
    known = [&](const te::Workload& workload) { return logged.SecondsOf(workload); };
  }
  std::vector<graph::RivalLayouts> rivals;
  for (const graph::Bucket& bucket : file.model) {
    absl::StatusOr<std::vector<graph::RivalLayouts>> found =
        graph::FindRivalLayouts(bucket.graph, place.target, known);
    TESSERA_RETURN_IF_ERROR(Annotate(found.status(), file.name));
    std::ranges::move(*found, std::back_inserter(rivals));
  }
  TESSERA_RETURN_IF_ERROR(logged.status());
  std::ranges::stable_sort(rivals, std::greater<>(), &graph::RivalLayouts::stake_seconds);

  std::map<uint64_t, const JobOperator*> chosen;  // what is tuned anyway
  std::set<std::string> names;
  for (const JobOperator& op : file.operators) {
    chosen.emplace(te::StructuralHash(op.workload.dag), &op);
    names.insert(op.spec.name);
  }
  Hashes taken;
  int64_t rival_kernels = 0;
  for (const graph::RivalLayouts& rival : rivals) {
    int64_t more = 0;
    for (const uint64_t hash : HashesOf(rival.kernels)) {
      more += chosen.contains(hash) || taken.contains(hash) ? 0 : 1;
    }
    if (more == 0 || (rival_kernels + more) * kRivalTrials * kRivalShare > budget) continue;
    rival_kernels += more;
    ++spent.rivals;
    for (const auto* kernels : {&rival.chosen, &rival.kernels}) {
      for (const te::Workload& kernel : *kernels) {
        const uint64_t hash = te::StructuralHash(kernel.dag);
        if (!taken.insert(hash).second) continue;
        const auto found = chosen.find(hash);
        if (found != chosen.end()) {
          spent.operators.push_back(*found->second);
          continue;
        }
        JobOperator op;
        op.spec.name = absl::StrCat(kernel.name, "_rival");
        while (!names.insert(op.spec.name).second) op.spec.name += '_';
        op.workload = kernel;
        op.workload.name = op.spec.name;
        op.weight = 0;  // what is chosen runs in its place
        spent.operators.push_back(std::move(op));
      }
    }
  }
  spent.budget_left -= static_cast<int64_t>(spent.operators.size()) * kRivalTrials;
  // What is chosen then may have other kernels than the estimate's choice, but hardly more.
  if (spent.budget_left < operators + rival_kernels) {
    return RivalTrials{.trials = kRivalTrials, .budget_left = budget};
  }
  return spent;
}

}  // namespace tessera::cli
