#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::runner {

// What a workload's programs are verified with: row-major bytes of each input, and of each output
// as a correct program makes it.
struct TestSet {
  std::vector<std::string> inputs;
  std::vector<std::string> expected;
  size_t Bytes() const;
};

// Test sets by (workload hash, seed); the least recently used go first when their bytes exceed the
// cap. The latest stays whatever its size: it serves the next plans of its task. Thread-safe.
class TestSetCache {
 public:
  explicit TestSetCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  std::shared_ptr<const TestSet> Get(const std::string& workload_hash, uint64_t seed);
  void Put(const std::string& workload_hash, uint64_t seed, std::shared_ptr<const TestSet> set);
  // Forgets a set that exceeds the cap by itself: another task comes.
  void Trim();
  size_t bytes() const;

 private:
  using Key = std::pair<std::string, uint64_t>;
  struct Entry {
    Key key;
    std::shared_ptr<const TestSet> set;
  };

  const size_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first; few
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera::runner
