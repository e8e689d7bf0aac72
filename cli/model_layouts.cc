#include "cli/model_layouts.h"

#include <algorithm>
#include <functional>
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

// Seconds of a place's fastest records, each asked for once.
class LoggedSeconds {
 public:
  LoggedSeconds(Client& client, const KernelPlace& place, db::CacheMode cache)
      : client_(client), device_class_(place.device_class), allowed_(place.allowed) {
    task_.target = ir::ToString(place.target);
    task_.threads = place.threads;
    task_.cache_mode = cache;
  }

  std::optional<double> Of(const te::Workload& workload) {
    const uint64_t hash = te::StructuralHash(workload.dag);
    const auto [found, is_new] = seconds_.try_emplace(hash);
    if (!is_new || !status_.ok()) return found->second;
    task_.workload_hash = HashToHex(hash);
    const absl::StatusOr<std::vector<db::Record>> best =
        client_.Best(task_.Key(), device_class_, 1, allowed_);
    status_ = best.status();
    if (best.ok() && !best->empty()) found->second = best->front().CostSeconds();
    return found->second;
  }
  // Of the first call that failed.
  const absl::Status& status() const { return status_; }

 private:
  Client& client_;
  const std::string device_class_, allowed_;
  db::Task task_;
  std::map<uint64_t, std::optional<double>> seconds_;  // by hash of the workload
  absl::Status status_;
};

absl::StatusOr<bool> HasRecords(Client& client, const std::string& device_class) {
  if (device_class.empty()) return false;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> classes, client.ListDeviceClasses({}));
  return std::ranges::count(classes, device_class, &RecordedClass::name) > 0;
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
  TESSERA_ASSIGN_OR_RETURN(const bool has_records, HasRecords(client, place.device_class));
  if (!has_records) return PlanFor(file, place.target);
  LoggedSeconds logged(client, place, file.cache);
  const absl::StatusOr<ModelLayouts> layouts = PlanFor(
      file, place.target, [&](const te::Workload& workload) { return logged.Of(workload); },
      unmeasured);
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

absl::StatusOr<RivalTrials> SpendOnRivals(const JobFile& file, const ir::Target& target,
                                          int64_t budget) {
  RivalTrials spent{.trials = kRivalTrials, .budget_left = budget};
  const auto operators = static_cast<int64_t>(file.operators.size());
  if (file.model.empty() || budget < operators * kRivalTrials) return spent;
  std::vector<graph::RivalLayouts> rivals;
  for (const graph::Bucket& bucket : file.model) {
    absl::StatusOr<std::vector<graph::RivalLayouts>> found =
        graph::FindRivalLayouts(bucket.graph, target);
    TESSERA_RETURN_IF_ERROR(Annotate(found.status(), file.name));
    std::ranges::move(*found, std::back_inserter(rivals));
  }
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
