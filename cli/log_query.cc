#include "cli/log_query.h"

#include <algorithm>

#include "base/status.h"

namespace tessera::cli {

absl::StatusOr<bool> ReadLog(Client& client, db::RecordFilter filter,
                             std::vector<std::string> task_keys,
                             const std::function<void(const db::Record&)>& take) {
  if (task_keys.empty()) task_keys.emplace_back();
  const bool in_order = task_keys.size() == 1 && !filter.newest_first;
  int64_t count = 0;
  std::vector<db::Record> held;
  for (const std::string& key : task_keys) {
    filter.task_key = key;
    TESSERA_RETURN_IF_ERROR(client.QueryRecords(filter, [&](const db::Record& record) {
      ++count;
      if (!in_order) return held.push_back(record);
      filter.after_id = record.id;
      take(record);
    }));
  }
  const int64_t surplus = count - filter.limit;
  if (!in_order) {
    std::sort(held.begin(), held.end(),
              [](const db::Record& a, const db::Record& b) { return a.id < b.id; });
    if (surplus > 0 && filter.newest_first) held.erase(held.begin(), held.begin() + surplus);
    if (surplus > 0 && !filter.newest_first) held.resize(static_cast<size_t>(filter.limit));
    for (const db::Record& record : held) take(record);
  }
  if (surplus != 0) return surplus > 0;
  // Exactly as many as wanted: is there another beyond the last of them?
  if (filter.newest_first) filter.before_id = held.front().id;
  if (!filter.newest_first && !in_order) filter.after_id = held.back().id;
  filter.limit = 1;
  bool has_more = false;
  for (size_t i = 0; i < task_keys.size() && !has_more; ++i) {
    filter.task_key = task_keys[i];
    TESSERA_RETURN_IF_ERROR(
        client.QueryRecords(filter, [&](const db::Record&) { has_more = true; }));
  }
  return has_more;
}

}  // namespace tessera::cli
