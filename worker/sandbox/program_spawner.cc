#include "worker/sandbox/program_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "worker/sandbox/descriptors.h"
#include "worker/sandbox/execute.h"
#include "worker/sandbox/wire.h"

namespace tessera::sandbox {
namespace {

// Waits for the end of a process, or for the wish to kill it, and tells how it ended.
void Watch(pid_t process, UniqueFd handle, UniqueFd monitor) {
  bool is_killed = false;
  for (;;) {
    pollfd wait_for[2] = {{handle.get(), POLLIN, 0}, {is_killed ? -1 : monitor.get(), POLLIN, 0}};
    if (poll(wait_for, 2, -1) < 0 && errno != EINTR) break;
    if (wait_for[0].revents != 0) break;
    if (wait_for[1].revents != 0) {
      char wish;  // left unread, it would cost the other side the message
      static_cast<void>(recv(monitor.get(), &wish, 1, MSG_DONTWAIT));
      kill(-process, SIGKILL);
      is_killed = true;
    }
  }
  kill(-process, SIGKILL);  // what it has started
  ExitMessage message = {};
  // What the system counts begins with this process's own memory, so it says nothing.
  message.peak_memory_bytes = -1;
  while (waitpid(process, &message.wait_status, 0) < 0 && errno == EINTR) {
  }
  send(monitor.get(), &message, sizeof(message), MSG_NOSIGNAL);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> ProgramSpawner::Spawn(const ChildTask& task) {
  if (task.argument.empty() || task.argument.size() > kMaxArgumentBytes ||
      task.descriptors.size() > kMaxDescriptors - 4) {
    return absl::InvalidArgumentError(absl::StrCat(
        "program: an argument of ", task.argument.size(), " bytes (1 to ", kMaxArgumentBytes,
        ") and ", task.descriptors.size(), " descriptors (limit ", kMaxDescriptors - 4, ")"));
  }
  auto child = std::unique_ptr<Child>(new Child);
  TESSERA_ASSIGN_OR_RETURN(auto monitor, MakeSocketPair());
  TESSERA_ASSIGN_OR_RETURN(auto channel, MakeSocketPair());
  TESSERA_ASSIGN_OR_RETURN(child->diagnosis_,
                           SharedMemory::Create("tessera-diagnosis", sizeof(Diagnosis)));
  UniqueFd library;
  if (task.library.empty()) {
    library = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  } else {
    TESSERA_ASSIGN_OR_RETURN(library,
                             SharedMemory::CreateReadOnly("tessera-library", task.library));
  }
  std::vector<int> descriptors = {channel.second.get(), library.get()};
  descriptors.insert(descriptors.end(), task.descriptors.begin(), task.descriptors.end());
  TESSERA_ASSIGN_OR_RETURN(const pid_t process, Execute(command_, -1, descriptors));
  const auto seconds = static_cast<rlim_t>(task.limits.cpu_seconds);
  const rlimit limit = {seconds, seconds + 1};
  prlimit(process, RLIMIT_CPU, &limit, nullptr);
  UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  if (!handle.valid()) {
    const int error = errno;
    kill(-process, SIGKILL);
    waitpid(process, nullptr, 0);
    return absl::UnavailableError(absl::StrCat("program: pidfd_open: ", strerror(error)));
  }
  std::thread(Watch, process, std::move(handle), std::move(monitor.second)).detach();
  child->monitor_ = std::move(monitor.first);
  child->channel_ = std::move(channel.first);
  TESSERA_RETURN_IF_ERROR(child->Send(
      {reinterpret_cast<const std::byte*>(task.argument.data()), task.argument.size()}));
  return child;
}

std::string ConfineProgram() {
  std::string missing;
  const auto add = [&](const char* what) {
    absl::StrAppend(&missing, missing.empty() ? "" : "; ", what);
  };
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  const uid_t user = getuid();
  const gid_t group = getgid();
  if (unshare(CLONE_NEWNET) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
      // As itself, so that files stay readable.
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/uid_map") << user << " " << user << " 1";
      std::ofstream("/proc/self/gid_map") << group << " " << group << " 1";
    } else {
      add("a network namespace");
    }
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) add("no_new_privs");
  return missing;
}

std::string ProbeProgram() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  UniqueFd from(ends[0]), to(ends[1]);
  const pid_t process = fork();
  if (process == 0) {
    const std::string missing = ConfineProgram();
    static_cast<void>(!write(to.get(), missing.data(), missing.size()));
    _exit(0);
  }
  to.Reset();
  char text[256];
  const ssize_t size = process < 0 ? 0 : read(from.get(), text, sizeof(text));
  if (process > 0) waitpid(process, nullptr, 0);
  return std::string(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
}

}  // namespace tessera::sandbox
