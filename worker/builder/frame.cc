#include "worker/builder/frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::builder {
namespace {

// A received frame's memory grows with what has come, not with what was announced.
constexpr size_t kGrowthBytes = 1 << 20;

absl::Status WaitFor(int socket, short events, SteadyTime deadline) {
  for (;;) {
    int timeout_ms = -1;
    if (deadline != kForever) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return absl::DeadlineExceededError("no answer in time");
      timeout_ms = static_cast<int>(std::min<int64_t>(left.count(), 1 << 30));
    }
    pollfd entry = {socket, events, 0};
    const int ready = poll(&entry, 1, timeout_ms);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) {
      return absl::UnavailableError(absl::StrCat("poll: ", strerror(errno)));
    }
  }
}

absl::Status SendAll(int socket, const char* bytes, size_t size, SteadyTime deadline) {
  while (size > 0) {
    const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes += sent;
      size -= static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      TESSERA_RETURN_IF_ERROR(WaitFor(socket, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return absl::UnavailableError(absl::StrCat("send: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::Status ReceiveAll(int socket, char* bytes, size_t size, SteadyTime deadline) {
  while (size > 0) {
    const ssize_t received = recv(socket, bytes, size, MSG_DONTWAIT);
    if (received > 0) {
      bytes += received;
      size -= static_cast<size_t>(received);
    } else if (received == 0) {
      return absl::UnavailableError("the other side is gone");
    } else if (errno == EAGAIN) {
      TESSERA_RETURN_IF_ERROR(WaitFor(socket, POLLIN, deadline));
    } else if (errno != EINTR) {
      return absl::UnavailableError(absl::StrCat("recv: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SendFrame(int socket, std::string_view bytes, SteadyTime deadline) {
  const uint64_t size = bytes.size();
  char prefix[sizeof(size)];
  memcpy(prefix, &size, sizeof(size));
  TESSERA_RETURN_IF_ERROR(SendAll(socket, prefix, sizeof(prefix), deadline));
  return SendAll(socket, bytes.data(), bytes.size(), deadline);
}

absl::StatusOr<std::string> ReceiveFrame(int socket, size_t max_bytes, SteadyTime deadline) {
  uint64_t size;
  char prefix[sizeof(size)];
  TESSERA_RETURN_IF_ERROR(ReceiveAll(socket, prefix, sizeof(prefix), deadline));
  memcpy(&size, prefix, sizeof(size));
  if (size > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame of ", size, " bytes; the limit is ", max_bytes));
  }
  std::string bytes;
  while (bytes.size() < size) {
    const size_t begin = bytes.size();
    bytes.resize(std::min<size_t>(size, begin + kGrowthBytes));
    TESSERA_RETURN_IF_ERROR(
        ReceiveAll(socket, bytes.data() + begin, bytes.size() - begin, deadline));
  }
  return bytes;
}

}  // namespace tessera::builder
