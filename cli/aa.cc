#include "cli/aa.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "cli/device_class.h"
#include "cli/tables.h"

namespace tessera::cli {
namespace {

constexpr double kConfidence = 0.95;
constexpr int kAttempts = 3;  // at one pair, while its device fails

absl::StatusOr<std::string> OnlineClass(Client& client) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  std::set<std::string> classes;
  for (const db::Device& device : devices) {
    if (device.runs && device.state == "online") classes.insert(device.device_class.name);
  }
  if (classes.size() == 1) return *classes.begin();
  if (classes.empty()) {
    return absl::FailedPreconditionError(
        "no device that runs kernels is online; start tessera-worker");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("devices of several classes are online: ", absl::StrJoin(classes, ", "),
                   "; choose one by --device-class"));
}

AaSummary Summarize(const std::vector<const db::Comparison*>& comparisons) {
  AaSummary summary;
  summary.pairs = static_cast<int>(comparisons.size());
  if (comparisons.empty()) return summary;
  std::vector<double> ratios;
  for (const db::Comparison* comparison : comparisons) {
    ratios.push_back(comparison->ratio);
    summary.false_winners += comparison->ratio_high < 1;
  }
  std::sort(ratios.begin(), ratios.end());
  summary.median_ratio = Median(ratios);
  summary.median_interval = MedianInterval(ratios, kConfidence, Rng(0));
  const auto cut = static_cast<size_t>((1 - kConfidence) / 2 * static_cast<double>(ratios.size()));
  summary.range = {ratios[cut], ratios[ratios.size() - 1 - cut]};
  return summary;
}

std::string RatioText(double ratio) { return absl::StrFormat("%.4f", ratio); }

nlohmann::ordered_json ToJson(const AaSummary& summary) {
  return {{"pairs", summary.pairs},
          {"false_winners", summary.false_winners},
          {"median_ratio", summary.median_ratio},
          {"median_low", summary.median_interval.low},
          {"median_high", summary.median_interval.high},
          {"ratio_low", summary.range.low},
          {"ratio_high", summary.range.high}};
}

}  // namespace

absl::StatusOr<AaCampaign> AaCampaign::Create(Client& client, const std::string& wanted,
                                              const std::string& device_class, int64_t after) {
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, device_class));
  AaCampaign campaign;
  campaign.after_ = after;
  campaign.device_class_ = device_class;
  if (device_class.empty()) {
    TESSERA_ASSIGN_OR_RETURN(campaign.device_class_, OnlineClass(client));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> all, client.ListTasks());
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> tasks, FindTasks(all, wanted));
  const std::map<std::string, std::string> labels = TaskLabels(all);
  for (db::Task& task : tasks) {
    const std::string key = task.Key();
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> best,
                             client.Best(key, campaign.device_class_, 1));
    if (best.empty()) continue;
    Entry& entry = campaign.entries_.emplace_back();
    entry.task = std::move(task);
    entry.label = labels.at(key);
    entry.record = best[0].id;
    if (after < 0) continue;
    TESSERA_ASSIGN_OR_RETURN(
        std::vector<db::Comparison> made,
        client.ListComparisons(key, campaign.device_class_, db::ComparisonPurpose::kSame));
    std::erase_if(made, [&](const db::Comparison& one) { return one.id <= after; });
    entry.pairs = static_cast<int>(made.size());
    std::ranges::move(made, std::back_inserter(campaign.comparisons_));
  }
  if (campaign.entries_.empty()) {
    return absl::NotFoundError(absl::StrCat("no program of any task was measured on ",
                                            campaign.device_class_,
                                            " yet; `tessera tune` does that"));
  }
  std::ranges::sort(campaign.comparisons_, {}, &db::Comparison::id);
  return campaign;
}

AaCampaign::Entry* AaCampaign::Next() {
  Entry* next = nullptr;
  for (Entry& entry : entries_) {
    if (!entry.left_out && (next == nullptr || entry.pairs < next->pairs)) next = &entry;
  }
  return next;
}

absl::Status AaCampaign::Run(Client& client, int pairs,
                             const std::function<void(const AaCampaign&)>& show) {
  int failed = 0;  // attempts in a row
  while (this->pairs() < pairs) {
    Entry* const entry = Next();
    if (entry == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(
          "no program can be measured against itself: ", absl::StrJoin(left_out_, "; ")));
    }
    absl::StatusOr<db::Comparison> comparison = client.CompareWithItself(entry->record);
    if (absl::IsFailedPrecondition(comparison.status())) {
      entry->left_out = true;
      left_out_.push_back(absl::StrCat(entry->label, ": ", comparison.status().message()));
      continue;
    }
    if (absl::IsAborted(comparison.status()) && ++failed < kAttempts) continue;
    if (!comparison.ok()) return comparison.status();
    failed = 0;
    ++entry->pairs;
    if (after_ < 0) after_ = comparison->id - 1;
    comparisons_.push_back(*std::move(comparison));
    show(*this);
  }
  return absl::OkStatus();
}

AaSummary AaCampaign::SummaryOf(const std::string& task_key) const {
  std::vector<const db::Comparison*> chosen;
  for (const db::Comparison& comparison : comparisons_) {
    if (task_key.empty() || comparison.task_key == task_key) chosen.push_back(&comparison);
  }
  return Summarize(chosen);
}

AaSummary AaCampaign::Summary() const { return SummaryOf(""); }

std::string AaCampaign::Table() const {
  const AaSummary all = Summary();
  if (all.pairs == 0) return "no pair was measured\n";
  std::string text = absl::StrFormat(
      "%s: %d pairs, a program against itself each\n"
      "%d false winners (%.1f %%)\n"
      "ratio: median %s, which lies in %s to %s; of 95 %% of the pairs %s to %s\n\n",
      device_class_, all.pairs, all.false_winners, 100.0 * all.false_winners / all.pairs,
      RatioText(all.median_ratio), RatioText(all.median_interval.low),
      RatioText(all.median_interval.high), RatioText(all.range.low), RatioText(all.range.high));
  cli::Table table({"task", ">pairs", ">false", ">median", ">from", ">to"});
  for (const Entry& entry : entries_) {
    const AaSummary one = SummaryOf(entry.task.Key());
    if (one.pairs == 0) continue;
    table.Add({entry.label, absl::StrCat(one.pairs), absl::StrCat(one.false_winners),
               RatioText(one.median_ratio), RatioText(one.range.low), RatioText(one.range.high)});
  }
  return text + table.Text();
}

std::string AaCampaign::Json() const {
  nlohmann::ordered_json tasks = nlohmann::ordered_json::array();
  for (const Entry& entry : entries_) {
    nlohmann::ordered_json task = ToJson(SummaryOf(entry.task.Key()));
    task["task"] = entry.label;
    task["task_key"] = entry.task.Key();
    task["record"] = entry.record;
    tasks.push_back(std::move(task));
  }
  nlohmann::ordered_json pairs = nlohmann::ordered_json::array();
  for (const db::Comparison& comparison : comparisons_) {
    pairs.push_back({{"comparison", comparison.id},
                     {"task_key", comparison.task_key},
                     {"record", comparison.record_ids[0]},
                     {"device", comparison.device},
                     {"turns", comparison.sample_seconds[0].size()},
                     {"ratio", comparison.ratio},
                     {"low", comparison.ratio_low},
                     {"high", comparison.ratio_high}});
  }
  nlohmann::ordered_json json = {{"device_class", device_class_}, {"after", after_}};
  json["summary"] = ToJson(Summary());
  json["tasks"] = std::move(tasks);
  json["left_out"] = left_out_;
  json["pairs"] = std::move(pairs);
  return json.dump(2) + "\n";
}

std::string HowToGoOn(const AaOptions& options, const AaCampaign& campaign) {
  if (campaign.pairs() == 0) return "";
  std::string command = "tessera aa";
  if (!options.task.empty()) absl::StrAppend(&command, " \"", options.task, "\"");
  absl::StrAppend(&command, " --device-class ", campaign.device_class(), " --pairs ", options.pairs,
                  " --after ", campaign.after());
  if (options.server != kDefaultServer) absl::StrAppend(&command, " --server ", options.server);
  if (options.json) absl::StrAppend(&command, " --json");
  return absl::StrCat("; `", command, "` goes on");
}

}  // namespace tessera::cli
