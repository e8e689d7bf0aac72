#include "worker/runner/program_cache.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::runner {
namespace {

constexpr size_t kKeyBytes = 64;

}  // namespace

std::string ProgramKey(std::string_view compiler, std::string_view artifact) {
  return Sha256Hex(absl::StrCat(Sha256Hex(compiler), Sha256Hex(artifact)));
}

absl::StatusOr<std::unique_ptr<ProgramCache>> ProgramCache::Open(Options options) {
  // A lost file costs compiling: no need to wait for the disk.
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<ContentStore> store,
      ContentStore::Open(
          {.directory = options.directory, .max_bytes = options.max_bytes, .sync = false}));
  std::unique_ptr<ProgramCache> cache(new ProgramCache(std::move(options), std::move(store)));
  for (const std::string& digest : cache->store_->List()) {
    std::string key(kKeyBytes, '\0');
    std::ifstream file(cache->store_->PathOf(digest), std::ios::binary);
    if (file.read(key.data(), kKeyBytes)) cache->files_[key] = digest;
  }
  return cache;
}

std::string ProgramCache::Get(const std::string& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return "";
  absl::StatusOr<std::string> file = store_->Get(found->second);
  if (file.ok() && file->size() <= kKeyBytes + kMaxProgramBytes &&
      file->substr(0, kKeyBytes) == key) {
    return file->substr(kKeyBytes);
  }
  Forget(key);
  return "";
}

void ProgramCache::Put(const std::string& key, std::string_view binary) {
  Forget(key);
  if (binary.empty() || std::ssize(binary) > kMaxProgramBytes) return;
  absl::StatusOr<std::string> digest = store_->Put(absl::StrCat(key, AbslView(binary)));
  if (digest.ok()) {
    files_[key] = *std::move(digest);
  } else {
    LogWarning(absl::StrCat("programs of devices are not kept: ", digest.status().message()));
  }
}

void ProgramCache::Forget(const std::string& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return;
  store_->Remove(found->second);
  files_.erase(found);
}

}  // namespace tessera::runner
