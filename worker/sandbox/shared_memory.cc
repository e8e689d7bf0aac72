#include "worker/sandbox/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"

namespace tessera::sandbox {
namespace {

absl::Status MemoryError(const std::string& name, int64_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("shared memory \"", name,
                                                   "\": the system refuses ", bytes,
                                                   " bytes: ", std::strerror(errno)));
}

}  // namespace

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) munmap(data_, size_);
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

absl::StatusOr<SharedMemory> SharedMemory::Create(std::string_view name, int64_t bytes) {
  errno = ENOMEM;  // where so much can't be addressed
  if (!std::in_range<ptrdiff_t>(bytes)) return MemoryError(std::string(name), bytes);
  const auto size = static_cast<size_t>(bytes);
  SharedMemory memory;
  memory.fd_.Reset(memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.fd_.valid() || ftruncate(memory.fd(), bytes) != 0 ||
      fcntl(memory.fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return MemoryError(std::string(name), bytes);
  }
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0);
  if (data == MAP_FAILED) return MemoryError(std::string(name), bytes);
  memory.data_ = static_cast<std::byte*>(data);
  memory.size_ = size;
  return memory;
}

absl::StatusOr<UniqueFd> SharedMemory::CreateReadOnly(std::string_view name,
                                                      std::string_view contents) {
  UniqueFd fd(memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return MemoryError(std::string(name), std::ssize(contents));
  for (size_t done = 0; done < contents.size();) {
    const ssize_t n = write(fd.get(), contents.data() + done, contents.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return MemoryError(std::string(name), std::ssize(contents));
    done += static_cast<size_t>(n);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return MemoryError(std::string(name), std::ssize(contents));
  }
  return fd;
}

}  // namespace tessera::sandbox
