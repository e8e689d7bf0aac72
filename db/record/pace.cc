#include "db/record/pace.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_format.h"
#include "base/statistics.h"

namespace tessera::db {
namespace {

// A complete table is solved by one; what devices missed takes a few more.
constexpr int kTurns = 32;

// Logarithms of seconds, by program (a record's id) and device.
using Times = std::map<int64_t, std::map<std::string, double>>;

Times TimesOf(absl::Span<const Comparison> calibrations) {
  Times times;
  for (const Comparison& calibration : calibrations) {
    for (size_t i = 0; i < calibration.record_ids.size(); ++i) {
      const std::vector<double>& samples = calibration.sample_seconds[i];
      if (samples.empty()) continue;
      // The first is the newest.
      times[calibration.record_ids[i]].try_emplace(calibration.device, std::log(Median(samples)));
    }
  }
  return times;
}

// The programs of each device that others have measured, too.
std::map<std::string, int> CountShared(const Times& times) {
  std::map<std::string, int> shared;
  for (const auto& [program, by_device] : times) {
    for (const auto& [device, time] : by_device) shared[device] += by_device.size() > 1 ? 1 : 0;
  }
  return shared;
}

// Leaves devices with enough shared programs, and those programs.
void KeepShared(Times& times) {
  bool changed = true;
  while (changed) {
    changed = false;
    const std::map<std::string, int> shared = CountShared(times);
    for (auto& [program, by_device] : times) {
      changed |= std::erase_if(by_device, [&](const auto& entry) {
                   return shared.at(entry.first) < kMinPacePrograms;
                 }) > 0;
    }
  }
  std::erase_if(times, [](const auto& entry) { return entry.second.size() < 2; });
}

}  // namespace

std::map<std::string, Pace> EstimatePaces(absl::Span<const Comparison> calibrations) {
  Times times = TimesOf(calibrations);
  KeepShared(times);
  std::map<std::string, Pace> paces;
  if (times.empty()) return paces;
  std::map<std::string, double> log_pace;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::map<std::string, std::vector<double>> of_device;
    for (const auto& [program, by_device] : times) {
      std::vector<double> of_program;
      for (const auto& [device, time] : by_device) of_program.push_back(time - log_pace[device]);
      const double level = Median(std::move(of_program));
      for (const auto& [device, time] : by_device) of_device[device].push_back(time - level);
    }
    for (auto& [device, offsets] : of_device) {
      paces[device].programs = static_cast<int>(offsets.size());
      log_pace[device] = Median(std::move(offsets));
    }
  }
  std::vector<double> all;
  for (const auto& [device, log] : log_pace) all.push_back(log);
  const double of_class = Median(std::move(all));
  for (auto& [device, pace] : paces) pace.ratio = std::exp(log_pace[device] - of_class);
  return paces;
}

double SlowerThanOthers(absl::Span<const Device> devices, const Device& device) {
  const auto counts = [](const Device& one) {
    return one.pace.programs > 0 && one.state != "offline" && one.state != "draining";
  };
  std::vector<double> others;
  for (const Device& other : devices) {
    if (other.id == device.id || other.device_class.name != device.device_class.name) continue;
    if (counts(other)) others.push_back(other.pace.ratio);
  }
  if (others.empty() || !counts(device)) return 1;
  return device.pace.ratio / Median(std::move(others));
}

std::string SlowText(const Device& device, double slower) {
  return absl::StrFormat(
      "%s takes %.2f times as long as the others of its class, by %d programs; look for heat, a "
      "lower clock or other load there, or leave it out: `tessera devices --drain %s`",
      device.id, slower, device.pace.programs, device.id);
}

void PaceTable::Add(std::string device, std::string device_class, double ratio) {
  ratios_[std::move(device)] = {std::move(device_class), ratio};
  slowest_ = std::max(slowest_, ratio);
}

double PaceTable::Of(const Record& record) const {
  const auto found = ratios_.find(record.device);
  const bool known = found != ratios_.end() && found->second.first == record.device_class;
  return known ? found->second.second : 1;
}

bool BestRecords::Offer(Record record) {
  const bool is_full = static_cast<int>(best_.size()) >= count_;
  if (count_ < 1 || (is_full && record.measurement.CostSeconds() / paces_.slowest() >
                                    best_.rbegin()->first.first)) {
    return false;
  }
  if (!CallsOnly(record.trace, allowed_)) return true;
  record.pace = paces_.Of(record);
  const Rank rank = {record.CostSeconds(), record.id};
  if (const auto same = rank_of_trace_.find(record.trace); same != rank_of_trace_.end()) {
    if (same->second < rank) return true;
    best_.erase(same->second);
  }
  rank_of_trace_[record.trace] = rank;
  best_.emplace(rank, std::move(record));
  if (static_cast<int>(best_.size()) > count_) {
    const auto slowest = std::prev(best_.end());
    rank_of_trace_.erase(slowest->second.trace);
    best_.erase(slowest);
  }
  return true;
}

std::vector<Record> BestRecords::Take() && {
  std::vector<Record> records;
  for (auto& [rank, record] : best_) records.push_back(std::move(record));
  return records;
}

}  // namespace tessera::db
