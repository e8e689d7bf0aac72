#include "cli/log_query.h"

#include <algorithm>
#include <deque>

#include "base/status.h"

namespace tessera::cli {
namespace {

constexpr int64_t kPageRecords = 500;

// The records of one task, or of any, page by page.
class Source {
 public:
  Source(Client& client, db::RecordFilter filter) : client_(client), filter_(std::move(filter)) {}

  // The next one; null when there is none. `wanted` are asked for at most.
  absl::StatusOr<const db::Record*> Front(int64_t wanted) {
    if (page_.empty() && !exhausted_) {
      filter_.limit = std::min(wanted, kPageRecords);
      TESSERA_RETURN_IF_ERROR(client_.QueryRecords(
          filter_, [&](const db::Record& record) { page_.push_back(record); }));
      exhausted_ = static_cast<int64_t>(page_.size()) < filter_.limit;
      if (!page_.empty()) filter_.after_id = page_.back().id;
    }
    return page_.empty() ? nullptr : &page_.front();
  }
  void Pop() { page_.pop_front(); }

 private:
  Client& client_;
  db::RecordFilter filter_;  // of the next page
  std::deque<db::Record> page_;
  bool exhausted_ = false;
};

struct Newest {
  int64_t oldest_id = 0;  // of them
  int64_t count = 0;
  bool has_older = false;
};

// Which the newest are, of which only ids are kept.
absl::StatusOr<Newest> FindNewest(Client& client, db::RecordFilter filter,
                                  const std::vector<std::string>& task_keys) {
  Newest newest;
  std::vector<int64_t> ids;
  for (const std::string& key : task_keys) {
    filter.task_key = key;
    TESSERA_RETURN_IF_ERROR(
        client.QueryRecords(filter, [&](const db::Record& record) { ids.push_back(record.id); }));
    if (static_cast<int64_t>(ids.size()) <= filter.limit) continue;
    newest.has_older = true;
    std::sort(ids.begin(), ids.end(), std::greater<>());
    ids.resize(static_cast<size_t>(filter.limit));
  }
  if (ids.empty()) return newest;
  newest.oldest_id = *std::min_element(ids.begin(), ids.end());
  newest.count = static_cast<int64_t>(ids.size());
  // Exactly as many as wanted: is there another before them?
  filter.before_id = newest.oldest_id;
  const bool is_full = newest.count == filter.limit;
  filter.limit = 1;
  for (size_t i = 0; i < task_keys.size() && is_full && !newest.has_older; ++i) {
    filter.task_key = task_keys[i];
    TESSERA_RETURN_IF_ERROR(
        client.QueryRecords(filter, [&](const db::Record&) { newest.has_older = true; }));
  }
  return newest;
}

}  // namespace

absl::StatusOr<bool> ReadLog(Client& client, db::RecordFilter filter,
                             std::vector<std::string> task_keys,
                             const std::function<void(const db::Record&)>& take) {
  if (task_keys.empty()) task_keys.emplace_back();
  if (filter.newest_first) {
    TESSERA_ASSIGN_OR_RETURN(const Newest newest, FindNewest(client, filter, task_keys));
    if (newest.count == 0) return false;
    // Records never come in before others: these are the same ones, whatever came meanwhile.
    filter.newest_first = false;
    filter.after_id = newest.oldest_id - 1;
    filter.limit = newest.count;
    TESSERA_RETURN_IF_ERROR(ReadLog(client, filter, std::move(task_keys), take).status());
    return newest.has_older;
  }
  std::vector<Source> sources;
  for (const std::string& key : task_keys) {
    filter.task_key = key;
    sources.emplace_back(client, filter);
  }
  for (int64_t left = filter.limit;; --left) {
    Source* next = nullptr;
    const db::Record* lowest = nullptr;
    for (Source& source : sources) {
      TESSERA_ASSIGN_OR_RETURN(const db::Record* front, source.Front(left + 1));
      if (front == nullptr || (lowest != nullptr && lowest->id < front->id)) continue;
      lowest = front;
      next = &source;
    }
    if (next == nullptr || left == 0) return next != nullptr;
    take(*lowest);
    next->Pop();
  }
}

}  // namespace tessera::cli
