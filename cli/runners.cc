#include "cli/runners.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tessera::cli {
namespace {

using db::RunnerPhase;

struct Wait {
  RunnerPhase phase;
  const char* what_for;
};
constexpr Wait kWaits[] = {{RunnerPhase::kBuild, "builds"},
                           {RunnerPhase::kProposal, "proposals"},
                           {RunnerPhase::kStore, "the log"},
                           {RunnerPhase::kWorker, "artifacts and cores"},
                           {RunnerPhase::kOthers, "other jobs"}};
constexpr double kLeastShare = 0.005;

}  // namespace

std::string RunnersText(absl::Span<const db::RunnerTime> runners) {
  db::RunnerTime sum;
  for (const db::RunnerTime& runner : runners) {
    for (size_t p = 0; p < sum.seconds.size(); ++p) sum.seconds[p] += runner.seconds[p];
  }
  const double total = sum.Total();
  if (total <= 0) return "";
  const auto share = [&](RunnerPhase phase) { return sum.Of(phase) / total; };
  std::string text = absl::StrFormat("runners %.0f%% busy", share(RunnerPhase::kRun) * 100);
  const char* separator = ", waited for ";
  for (const Wait& wait : kWaits) {
    if (share(wait.phase) < kLeastShare) continue;
    absl::StrAppendFormat(&text, "%s%s %.0f%%", separator, wait.what_for, share(wait.phase) * 100);
    separator = ", ";
  }
  return text;
}

nlohmann::json RunnersJson(absl::Span<const db::RunnerTime> runners) {
  nlohmann::json list = nlohmann::json::array();
  for (const db::RunnerTime& runner : runners) {
    nlohmann::json entry = {{"device", runner.device}};
    for (int p = 0; p < db::kRunnerPhaseCount; ++p) {
      const auto phase = static_cast<RunnerPhase>(p);
      entry[absl::StrCat(std::string(db::ToString(phase)), "_seconds")] = runner.Of(phase);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace tessera::cli
