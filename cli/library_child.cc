#include "cli/library_child.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/durable_file.h"
#include "base/status.h"

namespace tessera::cli {
namespace {

constexpr size_t kMaxMessage = 100 << 10;

absl::StatusOr<UniqueFd> InMemory(std::string_view bytes) {
  UniqueFd file(memfd_create("tessera-library", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "cannot make", "a file in memory");
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ErrnoStatus(errno, "cannot write", "a file in memory");
    done += static_cast<size_t>(count);
  }
  return file;
}

void Forbid(__rlimit_resource resource) {
  const rlimit none = {0, 0};
  setrlimit(resource, &none);
}

[[noreturn]] void RunChild(const LibraryChild::Body& body, const std::string& path, int channel) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (const int number : {SIGINT, SIGTERM, SIGSEGV, SIGILL, SIGFPE, SIGABRT, SIGBUS}) {
    signal(number, SIG_DFL);
  }
  dup2(STDERR_FILENO, STDOUT_FILENO);  // the report's alone
  Forbid(RLIMIT_CORE);
  Forbid(RLIMIT_FSIZE);
  body(path, channel);
  _exit(0);
}

}  // namespace

absl::StatusOr<LibraryChild> LibraryChild::Start(std::string_view shared_object, const Body& body) {
  TESSERA_ASSIGN_OR_RETURN(const UniqueFd file, InMemory(shared_object));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "cannot make", "a pair of sockets");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const std::string path = absl::StrCat("/proc/self/fd/", file.get());
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "cannot start", "a process");
  if (pid == 0) {
    ours.Reset();
    RunChild(body, path, theirs.get());
  }
  return LibraryChild(pid, std::move(ours));
}

LibraryChild::LibraryChild(LibraryChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), channel_(std::move(other.channel_)) {}

LibraryChild::~LibraryChild() {
  if (pid_ >= 0) End();
}

int LibraryChild::End() {
  int status = 0;
  kill(pid_, SIGKILL);  // how it ended stays what it is, where it has
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void LibraryChild::Send(std::string_view message) { SendMessage(channel_.get(), message); }

absl::StatusOr<std::string> LibraryChild::Receive(absl::Time deadline) {
  if (pid_ < 0) return absl::AbortedError("it has ended");
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) {
      End();
      return absl::DeadlineExceededError("it did not end in time");
    }
    pollfd entry = {channel_.get(), POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 1000))) > 0) break;
  }
  std::string message = ReceiveMessage(channel_.get());
  if (!message.empty()) return message;
  const int status = End();
  if (WIFSIGNALED(status)) {
    return absl::AbortedError(absl::StrCat("it ended by signal ", WTERMSIG(status), " (",
                                           strsignal(WTERMSIG(status)), ")"));
  }
  return absl::AbortedError(absl::StrCat("it ended the process with ", WEXITSTATUS(status)));
}

void SendMessage(int channel, std::string_view message) {
  const size_t size = std::min(message.size(), kMaxMessage);
  while (send(channel, message.data(), size, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

std::string ReceiveMessage(int channel) {
  std::string message(kMaxMessage, '\0');
  ssize_t count = 0;
  do {
    count = recv(channel, message.data(), message.size(), 0);
  } while (count < 0 && errno == EINTR);
  message.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return message;
}

}  // namespace tessera::cli
