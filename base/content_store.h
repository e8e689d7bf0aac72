#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file_lock.h"

namespace tessera {

// Files in one directory, named by the SHA-256 of their bytes: a server's artifacts, a worker's
// cache. A file appears whole (written beside, synced, renamed) or not at all. Above `max_bytes`
// the least recently used files go. Thread-safe. An open store has its directory to itself.
//
// Invariants: the sum of the known sizes is at most max_bytes after every Put, but for the newest
// file alone.
class ContentStore {
 public:
  struct Options {
    std::string directory;  // made when it is not there
    int64_t max_bytes = int64_t{4} << 30;
    bool sync = true;  // fsync file and directory before Put returns
  };

  // Opens the directory, removes half-written files and lists what is there.
  // PermissionDenied or Unavailable naming the path when it can't be used, or another store has it.
  static absl::StatusOr<std::unique_ptr<ContentStore>> Open(Options options);

  // Stores `bytes` and returns their digest; what is there already is only marked as used.
  // ResourceExhausted when the disk is full.
  absl::StatusOr<std::string> Put(std::string_view bytes);
  // As above, but DataLoss when `bytes` don't have `digest`.
  absl::Status PutVerified(std::string_view digest, std::string_view bytes);

  // The bytes, verified. NotFound; DataLoss when the file was damaged, which removes it.
  absl::StatusOr<std::string> Get(std::string_view digest);
  // The same in parts of at most `most`, one at least, as long as `take` says true: not verified
  // before the last has been taken and this returns. Of what fails, throw away all that was taken.
  absl::Status Read(std::string_view digest, size_t most,
                    const std::function<bool(std::string_view)>& take);
  bool Contains(std::string_view digest);
  // Where Get would read. Only for files that Contains() confirmed.
  std::string PathOf(std::string_view digest) const;
  // Nothing where it is not there.
  void Remove(std::string_view digest);

  // What is there, least recently used first: when it was opened, in the order it was written.
  std::vector<std::string> List() const;

  int64_t bytes() const;

 private:
  ContentStore(Options options, FileLock lock)
      : options_(std::move(options)), lock_(std::move(lock)) {}
  absl::Status Scan();
  absl::Status WriteFile(const std::string& digest, std::string_view bytes);
  void Touch(std::string_view digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enters a file that was written, and evicts. False when the file has gone in between.
  bool Keep(const std::string& digest, int64_t size);
  // Removes entry and file together, so that no Put in between is acknowledged and then deleted.
  void Drop(std::string_view digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct Entry {
    int64_t size;
    uint64_t number;  // tells it from an earlier or later entry of the same digest
    std::list<std::string>::iterator use;
  };

  const Options options_;
  const FileLock lock_;
  mutable absl::Mutex mutex_;  // guards the index; files are removed, not read or written, under it
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> by_use_ ABSL_GUARDED_BY(mutex_);  // least recently used first
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_entry_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_temporary_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera
