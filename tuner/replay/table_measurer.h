#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "tuner/measurer.h"
#include "tuner/replay/table_space.h"

namespace tessera::replay {

// A row of one of several tables.
struct TableRow {
  int table = 0, row = 0;
  bool operator==(const TableRow&) const = default;
};

// Answers trials with what was measured once, those of a job's task from the table of its index.
// Holds up to `in_flight` trials, as devices do whose results come while later trials are proposed;
// they come back in the order of starting when Deliver is called. Unlike others, it belongs to one
// thread.
class TableMeasurer final : public tuner::Measurer {
 public:
  // Requires in_flight > 0.
  TableMeasurer(absl::Span<const std::shared_ptr<const TableSpace>> tables, int in_flight)
      : tables_(tables.begin(), tables.end()), in_flight_(in_flight) {}

  int Appetite(const db::Task&, std::string_view) override {
    return in_flight_ - static_cast<int>(held_.size());
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override;

  // The result of the trial that was started first; none where nothing is held.
  void Deliver();
  // The rows that were delivered, in that order.
  const std::vector<TableRow>& delivered() const { return delivered_; }

 private:
  const std::vector<std::shared_ptr<const TableSpace>> tables_;
  const int in_flight_;
  std::deque<std::pair<TableRow, std::function<void(db::Record)>>> held_;
  std::vector<TableRow> delivered_;
};

}  // namespace tessera::replay
