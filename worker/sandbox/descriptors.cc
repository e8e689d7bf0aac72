#include "worker/sandbox/descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/status.h"
#include "worker/sandbox/wire.h"

namespace tessera::sandbox {
namespace {

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
};

}  // namespace

absl::Status SendMessage(int socket, absl::Span<const std::byte> bytes,
                         absl::Span<const int> descriptors) {
  TESSERA_CHECK(descriptors.size() <= kMaxDescriptors);
  iovec part = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control = {};
  if (!descriptors.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return absl::UnavailableError(absl::StrCat("message to the sandbox: ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Message> ReceiveMessage(int socket, size_t max_bytes) {
  Message result;
  result.bytes.resize(max_bytes);
  iovec part = {result.bytes.data(), max_bytes};
  ControlBuffer control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  ssize_t size;
  while ((size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == EINTR) continue;
    return absl::UnavailableError(absl::StrCat("message from the sandbox: ", strerror(errno)));
  }
  result.bytes.resize(static_cast<size_t>(size));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      result.descriptors.emplace_back(fd);
    }
  }
  return result;
}

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeSocketPair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("socket pair: ", strerror(errno)));
  }
  return std::pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace tessera::sandbox
