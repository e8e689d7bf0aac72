#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "db/record/record.h"

// Devices of one class are alike, but seldom equally fast. What their times are worth beside each
// other is known from programs that several of them have measured: docs/measurement.md, "Devices of
// one class".

namespace tessera::db {

// With fewer programs one that was disturbed could not be told from a slow device.
inline constexpr int kMinPacePrograms = 3;

// By device, from calibrations of one class, the newest first: each is a device's times of some
// programs. The logarithm of a time is that of its program plus that of its device's pace, which
// medians find by turns; the class is the median of its devices. A device is left out unless it has
// measured kMinPacePrograms programs that others have measured, too. A function of its argument.
std::map<std::string, Pace> EstimatePaces(absl::Span<const Comparison> calibrations);

// How much longer the device takes than the others of its class: its pace ÷ the median of theirs.
// 1 where its pace is not known, or none of theirs. Offline and drained devices don't count.
double SlowerThanOthers(absl::Span<const Device> devices, const Device& device);
// From here on that is worth a word to whoever runs the farm.
inline constexpr double kMuchSlower = 1.1;
// That word, for a device that takes `slower` times as long as the others.
std::string SlowText(const Device& device, double slower);

// Pace::ratio of devices as long as they are of the class that it was measured in; 1 of others.
class PaceTable {
 public:
  void Add(std::string device, std::string device_class, double ratio);
  double Of(const Record& record) const;
  double slowest() const { return slowest_; }  // of all, 1 or more

 private:
  std::map<std::string, std::pair<std::string, double>, std::less<>> ratios_;
  double slowest_ = 1;
};

// The records of Store::Best, from candidates that come by measured time and, where that is equal,
// by age. Sets the pace of each.
class BestRecords {
 public:
  // Records whose traces call what is not `allowed` are passed over.
  BestRecords(int count, const PaceTable& paces, std::string_view allowed)
      : count_(count), paces_(paces), allowed_(allowed) {}

  // False, and nothing done: neither this nor any that comes later can be among them.
  bool Offer(Record record);
  std::vector<Record> Take() &&;  // fastest first

 private:
  using Rank = std::pair<double, int64_t>;  // time, id

  const int count_;
  const PaceTable& paces_;
  const std::string_view allowed_;
  std::map<Rank, Record> best_;
  absl::flat_hash_map<std::string, Rank> rank_of_trace_;
};

}  // namespace tessera::db
