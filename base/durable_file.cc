#include "base/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera {
namespace {

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

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "cannot write", path);
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status Write(const std::string& path, const std::string& temporary, std::string_view bytes,
                   bool sync) {
  Descriptor fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot create", temporary);
  TESSERA_RETURN_IF_ERROR(WriteAll(fd.get(), bytes, temporary));
  if (sync && fsync(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync", temporary);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, "cannot rename to", path);
  }
  if (!sync) return absl::OkStatus();
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  Descriptor directory(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) {
    return ErrnoStatus(errno, "cannot sync", parent);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, std::string_view what, const std::string& path) {
  const std::string message = absl::StrCat(AbslView(what), " ", path, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM || error == EROFS) {
    return absl::PermissionDeniedError(message);
  }
  return absl::UnavailableError(message);
}

absl::Status WriteFileDurably(const std::string& path, const std::string& temporary,
                              std::string_view bytes, bool sync) {
  absl::Status status = Write(path, temporary, bytes, sync);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace tessera
