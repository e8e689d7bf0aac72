#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/statistics.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "db/record/record.h"

namespace tessera::cli {

// Of a campaign: what can be read back at once when it goes on.
inline constexpr int kMaxPairs = kMaxListedComparisons;

// What some pairs of an A/A campaign say.
struct AaSummary {
  int pairs = 0;
  int false_winners = 0;  // pairs whose second would have been promoted over itself
  double median_ratio = 1;
  Interval median_interval = {1, 1};  // where that lies, with 95 % confidence
  Interval range = {1, 1};            // of the ratios of 95 % of the pairs
};

// Programs of the log that are measured against themselves, task by task in turn. Each is the
// fastest of its task. Every pair is stored by the server.
class AaCampaign {
 public:
  // Of the tasks that `wanted` names (FindTasks) and that have a record on the device class; where
  // that is empty, that of the devices that are online. `after` < 0: a new campaign, else that
  // whose comparisons have ids above. InvalidArgument where the class is to be chosen; NotFound
  // where no task has a record; FailedPrecondition without a device.
  static absl::StatusOr<AaCampaign> Create(Client& client, const std::string& wanted,
                                           const std::string& device_class, int64_t after);

  // Until there are `pairs` of them. `show` is called after each. Tasks whose program does not run
  // any more are left out; a pair whose device fails is tried three times. What was measured stays
  // when this fails; Cancelled after Interrupt.
  absl::Status Run(Client& client, int pairs, const std::function<void(const AaCampaign&)>& show);

  const std::string& device_class() const { return device_class_; }
  int64_t after() const { return after_; }  // for Create, to go on; negative before the first pair
  int pairs() const { return static_cast<int>(comparisons_.size()); }
  // "mm: why" of tasks that were left out.
  const std::vector<std::string>& left_out() const { return left_out_; }

  AaSummary Summary() const;
  std::string Table() const;
  std::string Json() const;

 private:
  struct Entry {
    db::Task task;
    std::string label;
    int64_t record = 0;
    int pairs = 0;
    bool left_out = false;
  };

  AaSummary SummaryOf(const std::string& task_key) const;  // empty: of all
  // That has the fewest pairs; null if all were left out.
  Entry* Next();

  std::string device_class_;
  int64_t after_ = -1;
  std::vector<Entry> entries_;
  std::vector<db::Comparison> comparisons_;  // in the order of their ids
  std::vector<std::string> left_out_;
};

// "; `tessera aa …` goes on", with what `options` asked for; empty before the first pair.
std::string HowToGoOn(const AaOptions& options, const AaCampaign& campaign);

}  // namespace tessera::cli
