#include "base/content_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/hash.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = "writing-";
constexpr size_t kPartBytes = 1 << 20;

// Closes a file descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Calls `take` with the bytes of a file, in parts of at most `most`, as long as it says true.
absl::Status ReadParts(const std::string& path, size_t most,
                       const std::function<bool(std::string_view)>& take) {
  Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot open", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "cannot stat", path);
  auto left = static_cast<size_t>(info.st_size);
  std::string part(std::min(left, most), '\0');
  size_t done = 0;  // of the part
  for (;;) {
    const size_t wanted = std::min(left, part.size()) - done;
    const ssize_t got = wanted == 0 ? 0 : read(fd.get(), part.data() + done, wanted);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read", path);
    done += static_cast<size_t>(got);
    if (got > 0 && done < std::min(left, part.size())) continue;
    if (!take(std::string_view(part).substr(0, done))) return absl::OkStatus();
    left -= done;
    if (left == 0 || done == 0) return absl::OkStatus();
    done = 0;
  }
}

bool IsDigest(std::string_view name) {
  return name.size() == 64 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(Options options) {
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) return ErrnoStatus(error.value(), "cannot make directory", options.directory);
  if (access(options.directory.c_str(), W_OK | X_OK) != 0) {
    return ErrnoStatus(errno, "cannot write to directory", options.directory);
  }
  TESSERA_ASSIGN_OR_RETURN(FileLock lock,
                           FileLock::Acquire(absl::StrCat(options.directory, "/in-use.lock"),
                                             absl::StrCat("folder ", options.directory),
                                             "stop that one, or choose another folder"));
  std::unique_ptr<ContentStore> store(new ContentStore(std::move(options), std::move(lock)));
  TESSERA_RETURN_IF_ERROR(store->Scan());
  return store;
}

absl::Status ContentStore::Scan() {
  struct Found {
    fs::file_time_type time;
    std::string name;
    int64_t size;
  };
  std::vector<Found> found;
  std::error_code error;
  for (fs::directory_iterator it(options_.directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (absl::StartsWith(name, AbslView(kTemporaryPrefix))) {
      fs::remove(it->path(), ignored);
    } else if (IsDigest(name)) {
      found.push_back({fs::last_write_time(it->path(), ignored), name,
                       static_cast<int64_t>(fs::file_size(it->path(), ignored))});
    }
  }
  if (error) return ErrnoStatus(error.value(), "cannot list", options_.directory);
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.time, a.name) < std::tie(b.time, b.name);
  });
  absl::MutexLock lock(&mutex_);
  for (const Found& file : found) {
    entries_[file.name] = {file.size, next_entry_++, by_use_.insert(by_use_.end(), file.name)};
    bytes_ += file.size;
  }
  return absl::OkStatus();
}

std::string ContentStore::PathOf(std::string_view digest) const {
  return absl::StrCat(options_.directory, "/", AbslView(digest));
}

absl::StatusOr<std::string> ContentStore::Put(std::string_view bytes) {
  std::string digest = Sha256Hex(bytes);
  if (Contains(digest)) return digest;
  do {
    TESSERA_RETURN_IF_ERROR(WriteFile(digest, bytes));
  } while (!Keep(digest, static_cast<int64_t>(bytes.size())));
  return digest;
}

bool ContentStore::Keep(const std::string& digest, int64_t size) {
  absl::MutexLock lock(&mutex_);
  if (!entries_.contains(digest)) {
    // Another Put of it may have come and been evicted since, and our file with it.
    if (access(PathOf(digest).c_str(), F_OK) != 0) return false;
    entries_[digest] = {size, next_entry_++, by_use_.insert(by_use_.end(), digest)};
    bytes_ += size;
  }
  while (bytes_ > options_.max_bytes && by_use_.size() > 1) Drop(by_use_.front());
  return true;
}

absl::Status ContentStore::PutVerified(std::string_view digest, std::string_view bytes) {
  if (Contains(digest)) return absl::OkStatus();
  const std::string actual = Sha256Hex(bytes);
  if (actual != digest) {
    return absl::DataLossError(absl::StrCat("artifact ", AbslView(digest), ": the ", bytes.size(),
                                            " bytes that came have digest ", actual,
                                            "; send it again"));
  }
  return Put(bytes).status();
}

absl::Status ContentStore::WriteFile(const std::string& digest, std::string_view bytes) {
  std::string temporary;
  {
    absl::MutexLock lock(&mutex_);
    temporary =
        absl::StrCat(options_.directory, "/", AbslView(kTemporaryPrefix), next_temporary_++);
  }
  return WriteFileDurably(PathOf(digest), temporary, bytes, options_.sync);
}

absl::StatusOr<std::string> ContentStore::Get(std::string_view digest) {
  std::string bytes;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(AbslView(digest));
    if (it != entries_.end()) bytes.reserve(static_cast<size_t>(it->second.size));
  }
  for (;;) {
    const absl::Status read = Read(digest, kPartBytes, [&](std::string_view part) {
      bytes.append(part);
      return true;
    });
    if (read.ok()) return bytes;
    // Somebody may have stored it again since.
    if (!absl::IsDataLoss(read) || !Contains(digest)) return read;
    bytes.clear();
  }
}

absl::Status ContentStore::Read(std::string_view digest, size_t most,
                                const std::function<bool(std::string_view)>& take) {
  TESSERA_CHECK(most > 0);
  for (;;) {
    uint64_t entry = 0;
    {
      absl::MutexLock lock(&mutex_);
      const auto it = entries_.find(AbslView(digest));
      if (it == entries_.end()) {
        return absl::NotFoundError(
            absl::StrCat("artifact ", AbslView(digest), ": not stored here"));
      }
      Touch(digest);
      entry = it->second.number;
    }
    Sha256 actual;
    size_t bytes = 0;
    bool stopped = false;
    const absl::Status read = ReadParts(PathOf(digest), most, [&](std::string_view part) {
      actual.Add(part);
      bytes += part.size();
      stopped = !take(part);
      return !stopped;
    });
    if (stopped || (read.ok() && actual.Hex() == digest)) return absl::OkStatus();
    // Gone or damaged: forget it, so that it is made again instead of failing for ever. What was
    // stored after this read is another file.
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(AbslView(digest));
    const bool is_another = it != entries_.end() && it->second.number != entry;
    if (is_another && bytes == 0) continue;
    if (it != entries_.end() && !is_another) Drop(digest);
    if (!read.ok()) return read;
    return absl::DataLossError(absl::StrCat("artifact ", AbslView(digest), ": damaged on disk (",
                                            bytes, " bytes), removed"));
  }
}

bool ContentStore::Contains(std::string_view digest) {
  absl::MutexLock lock(&mutex_);
  if (!entries_.contains(AbslView(digest))) return false;
  Touch(digest);
  return true;
}

void ContentStore::Touch(std::string_view digest) {
  by_use_.splice(by_use_.end(), by_use_, entries_.find(AbslView(digest))->second.use);
}

void ContentStore::Drop(std::string_view digest) {
  const auto it = entries_.find(AbslView(digest));
  unlink(PathOf(digest).c_str());
  bytes_ -= it->second.size;
  by_use_.erase(it->second.use);
  entries_.erase(it);
}

void ContentStore::Remove(std::string_view digest) {
  absl::MutexLock lock(&mutex_);
  if (entries_.contains(AbslView(digest))) Drop(digest);
}

std::vector<std::string> ContentStore::List() const {
  absl::MutexLock lock(&mutex_);
  return {by_use_.begin(), by_use_.end()};
}

int64_t ContentStore::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace tessera
