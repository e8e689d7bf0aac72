#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera {
namespace {

absl::Status OpenError(std::string_view what, const std::string& lock_path, int error) {
  const std::string detail =
      absl::StrCat(AbslView(what), ": cannot open ", lock_path, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(absl::StrCat(detail, "; create the folder first"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(absl::StrCat(detail, "; the folder must be writable"));
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(absl::StrCat(detail, "; free disk space"));
    default:
      return absl::UnavailableError(detail);
  }
}

std::string ReadHolder(int descriptor) {
  char text[32] = {};
  const ssize_t size = pread(descriptor, text, sizeof(text) - 1, 0);
  return size > 0 ? absl::StrCat("process ", text) : "another process";
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& lock_path, std::string_view what,
                                           std::string_view advice) {
  const int descriptor = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return OpenError(what, lock_path, errno);
  FileLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return OpenError(what, lock_path, errno);
    return absl::UnavailableError(absl::StrCat(AbslView(what), " is in use by ",
                                               ReadHolder(descriptor), "; ", AbslView(advice)));
  }
  // The number is for the message above only; failing to write it changes nothing.
  const std::string holder = absl::StrCat(getpid());
  if (ftruncate(descriptor, 0) == 0) {
    [[maybe_unused]] const ssize_t written = pwrite(descriptor, holder.data(), holder.size(), 0);
  }
  return lock;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace tessera
