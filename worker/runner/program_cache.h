#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/content_store.h"

namespace tessera::runner {

// A larger binary is not kept.
constexpr int64_t kMaxProgramBytes = int64_t{16} << 20;

// What names the binary that a driver makes of an artifact: the SHA-256 of both. `compiler`: as of
// DeviceKind::compiler.
std::string ProgramKey(std::string_view compiler, std::string_view artifact);

// Binaries that a device's driver compiled, on disk, by ProgramKey. They come from the processes of
// candidates: any may be no binary at all, but is of its own source only, as this process names it.
// The least recently used go. Not thread-safe.
//
// A file is a key and the binary behind it, in a ContentStore, which finds out what was damaged.
class ProgramCache {
 public:
  struct Options {
    std::string directory;  // its own; made when it is not there
    std::string compiler;   // of DeviceKind::compiler
    int64_t max_bytes = int64_t{256} << 20;
  };
  // Errors as of ContentStore::Open.
  static absl::StatusOr<std::unique_ptr<ProgramCache>> Open(Options options);

  std::string KeyOf(std::string_view artifact) const {
    return ProgramKey(options_.compiler, artifact);
  }
  // Empty: there is none.
  std::string Get(const std::string& key);
  // Instead of what was there. Nothing is kept, and a warning logged, where the disk refuses it,
  // nor of what is too large.
  void Put(const std::string& key, std::string_view binary);
  void Forget(const std::string& key);

 private:
  ProgramCache(Options options, std::unique_ptr<ContentStore> store)
      : options_(std::move(options)), store_(std::move(store)) {}

  const Options options_;
  const std::unique_ptr<ContentStore> store_;
  absl::flat_hash_map<std::string, std::string> files_;  // digests by key; some may be gone
};

}  // namespace tessera::runner
