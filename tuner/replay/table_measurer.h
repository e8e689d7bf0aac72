#pragma once

#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "tuner/measurer.h"
#include "tuner/replay/table_space.h"

namespace tessera::replay {

// Answers trials with what was measured once. Holds up to `in_flight` trials, as devices do whose
// results come while later trials are proposed; they come back in the order of starting when
// Deliver is called. Unlike others, it belongs to one thread.
class TableMeasurer final : public tuner::Measurer {
 public:
  // `table` outlives the measurer. Requires in_flight > 0.
  TableMeasurer(const TableSpace& table, int in_flight) : table_(table), in_flight_(in_flight) {}

  int Appetite(const db::Task&, std::string_view) override {
    return in_flight_ - static_cast<int>(held_.size());
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override;

  // The result of the trial that was started first; none where nothing is held.
  void Deliver();
  // The rows that were delivered, in that order.
  const std::vector<int>& delivered() const { return delivered_; }

 private:
  const TableSpace& table_;
  const int in_flight_;
  std::deque<std::pair<int, std::function<void(db::Record)>>> held_;  // with their rows
  std::vector<int> delivered_;
};

}  // namespace tessera::replay
