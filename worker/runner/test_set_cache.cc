#include "worker/runner/test_set_cache.h"

#include <algorithm>

namespace tessera::runner {

size_t TestSet::Bytes() const {
  size_t bytes = 0;
  for (const std::string& values : inputs) bytes += values.size();
  for (const std::string& values : expected) bytes += values.size();
  return bytes;
}

std::shared_ptr<const TestSet> TestSetCache::Get(const std::string& workload_hash, uint64_t seed) {
  absl::MutexLock lock(&mutex_);
  const Key key(workload_hash, seed);
  auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->set;
}

void TestSetCache::Put(const std::string& workload_hash, uint64_t seed,
                       std::shared_ptr<const TestSet> set) {
  absl::MutexLock lock(&mutex_);
  const Key key(workload_hash, seed);
  entries_.remove_if([&](const Entry& e) {
    if (e.key != key) return false;
    bytes_ -= e.set->Bytes();
    return true;
  });
  bytes_ += set->Bytes();
  entries_.push_front({key, std::move(set)});
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= entries_.back().set->Bytes();
    entries_.pop_back();
  }
}

void TestSetCache::Trim() {
  absl::MutexLock lock(&mutex_);
  if (bytes_ <= max_bytes_) return;
  entries_.clear();
  bytes_ = 0;
}

size_t TestSetCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace tessera::runner
