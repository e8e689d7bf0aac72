#include "tuner/replay/table_measurer.h"

#include "base/hash.h"
#include "base/status.h"

namespace tessera::replay {

void TableMeasurer::Start(const tuner::TrialRequest& request,
                          std::function<void(db::Record)> done) {
  const auto loop_hash = HashFromHex(request.loop_hash);
  const std::optional<int> row =
      loop_hash.ok() ? tables_[request.task_index]->Find(*loop_hash) : std::nullopt;
  TESSERA_CHECK(row.has_value());  // a table space proposes nothing else
  held_.push_back({{request.task_index, *row}, std::move(done)});
}

void TableMeasurer::Deliver() {
  if (held_.empty()) return;
  auto [at, done] = std::move(held_.front());
  held_.pop_front();
  delivered_.push_back(at);
  const TableSpace& table = *tables_[at.table];
  const Row& row = table.row(at.row);
  db::Record record;
  record.loop_hash = HashToHex(row.loop_hash);
  record.device = "data set";
  record.device_class = table.dataset().device_class;
  record.measurement.outcome = row.outcome;
  if (row.outcome == db::Outcome::kOk) {
    record.measurement.sample_seconds = {row.seconds};
  } else {
    record.measurement.reason = "failed when it was measured";
  }
  done(std::move(record));
}

}  // namespace tessera::replay
