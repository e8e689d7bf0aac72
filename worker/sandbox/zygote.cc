#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/view.h"
#include "worker/sandbox/confine.h"
#include "worker/sandbox/descriptors.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/wire.h"

namespace tessera::sandbox {
namespace {

constexpr int kChannel = 3;  // its number in the child; the task's follow

std::string LibraryPath(pid_t pid) { return absl::StrCat("/kernel.", pid, ".so"); }

// Puts the library where the loader can open it: into the empty root, else it stays a descriptor.
absl::Status CopyLibrary(int from, const std::string& path) {
  UniqueFd to(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
  struct stat status = {};
  if (!to.valid() || fstat(from, &status) != 0) {
    return absl::InternalError(absl::StrCat(path, ": ", strerror(errno)));
  }
  off_t offset = 0;
  while (offset < status.st_size) {
    if (sendfile(to.get(), from, &offset, static_cast<size_t>(status.st_size - offset)) <= 0) {
      return absl::InternalError(absl::StrCat(path, ": ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

class Zygote {
 public:
  Zygote(int socket, Isolation isolation, UniqueFd proc, UniqueFd null)
      : socket_(socket),
        isolation_(std::move(isolation)),
        proc_(std::move(proc)),
        null_(std::move(null)) {
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, nullptr);
    signals_.Reset(signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  void Serve() {
    for (;;) {
      std::vector<pollfd> polls = {{socket_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      for (const Entry& child : children_) polls.push_back({child.monitor.get(), POLLIN, 0});
      if (poll(polls.data(), polls.size(), -1) < 0) continue;
      for (size_t i = 0; i < children_.size(); ++i) {
        if (polls[i + 2].revents != 0 && !children_[i].killed) {
          kill(-children_[i].pid, SIGKILL);
          kill(children_[i].pid, SIGKILL);
          children_[i].killed = true;
        }
        // A killed child's monitor stays readable; stop asking.
        if (children_[i].killed && polls[i + 2].revents != 0) Drain(children_[i]);
      }
      if (polls[1].revents != 0) Reap();
      if (polls[0].revents != 0 && !Spawn()) break;
    }
    for (const Entry& child : children_) kill(child.pid, SIGKILL);
  }

 private:
  struct Entry {
    pid_t pid;
    UniqueFd monitor;
    bool killed;
    bool has_library;
  };

  static void Drain(Entry& child) {
    char byte;
    if (recv(child.monitor.get(), &byte, 1, MSG_DONTWAIT) == 0) child.monitor.Reset();
  }

  // False when the parent is gone.
  bool Spawn() {
    auto message = ReceiveMessage(socket_.get(), sizeof(SpawnRequest) + kMaxArgumentBytes);
    if (!message.ok() || message->bytes.empty()) return false;
    if (message->bytes.size() < sizeof(SpawnRequest) || message->descriptors.size() < 3)
      return true;
    SpawnRequest request;
    memcpy(&request, message->bytes.data(), sizeof(request));
    const pid_t pid = fork();
    if (pid == 0) RunChild(request, *message);
    if (pid < 0) {
      // The monitor closes without an ExitMessage, which the parent reports.
      return true;
    }
    children_.push_back({pid, std::move(message->descriptors[0]), false, request.has_library});
    return true;
  }

  [[noreturn]] void RunChild(const SpawnRequest& request, Message& message) {
    setsid();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    void* shared = mmap(nullptr, sizeof(Diagnosis), PROT_READ | PROT_WRITE, MAP_SHARED,
                        message.descriptors[2].get(), 0);
    if (shared == MAP_FAILED) _exit(125);
    auto* diagnosis = static_cast<Diagnosis*>(shared);
    const auto fail = [&](const absl::Status& status) {
      strncpy(diagnosis->setup_error, std::string(status.message()).c_str(),
              sizeof(diagnosis->setup_error) - 1);
      _exit(125);
    };

    ChildContext context;
    context.channel = kChannel;
    std::string library;
    size_t first_shared = 3;  // after monitor, channel and diagnosis
    std::vector<int> wanted = {message.descriptors[1].get()};
    if (request.has_library) {
      const int fd = message.descriptors[first_shared++].get();
      if (isolation_.private_root) {
        library = LibraryPath(getpid());
        if (absl::Status copied = CopyLibrary(fd, library); !copied.ok()) fail(copied);
      } else {
        library = absl::StrCat("/proc/self/fd/",
                               kChannel + 1 + message.descriptors.size() - first_shared);
      }
      context.library = library.c_str();
    }
    for (size_t i = first_shared; i < message.descriptors.size(); ++i) {
      context.descriptors.push_back(static_cast<int>(kChannel + wanted.size()));
      wanted.push_back(message.descriptors[i].get());
    }
    if (request.has_library && !isolation_.private_root) {
      wanted.push_back(message.descriptors[first_shared - 1].get());
    }

    // The first that the system kills when it runs out of memory.
    UniqueFd score(openat(proc_.get(), "self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (score.valid() && write(score.get(), "1000", 4) < 0) score.Reset();
    const int64_t mapped = MappedBytes(proc_.get());
    if (absl::Status arranged = ArrangeDescriptors(wanted, null_.get()); !arranged.ok())
      fail(arranged);
    score.Release();
    prctl(PR_SET_NAME, "tessera-kernel", 0, 0, 0);
    if (isolation_.real_time && request.limits.real_time_seconds == 0) DropRealTimePriority();
    RecordFaults(diagnosis, request.limits.memory_bytes);
    if (absl::Status confined = Confine(isolation_, request.limits, mapped); !confined.ok())
      fail(confined);
    context.argument = absl::MakeConstSpan(message.bytes).subspan(sizeof(SpawnRequest));
    _exit(request.entry(context));
  }

  void Reap() {
    signalfd_siginfo ignored;
    while (read(signals_.get(), &ignored, sizeof(ignored)) > 0) {
    }
    int status;
    rusage usage;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
      for (size_t i = 0; i < children_.size(); ++i) {
        if (children_[i].pid != pid) continue;
        const ExitMessage exit = {status, int64_t{usage.ru_maxrss} << 10};
        if (children_[i].monitor.valid()) {
          send(children_[i].monitor.get(), &exit, sizeof(exit), MSG_NOSIGNAL);
        }
        if (children_[i].has_library && isolation_.private_root) unlink(LibraryPath(pid).c_str());
        children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
    // Whatever a child may have left behind where the filter was not granted.
    if (children_.empty() && isolation_.process_namespace) kill(-1, SIGKILL);
  }

  UniqueFd socket_;
  Isolation isolation_;
  UniqueFd proc_, null_, signals_;
  std::vector<Entry> children_;
};

// Why it can't; empty when all that is allowed is loaded, on one thread a call.
std::string LoadLibraries(std::string_view allowed) {
  for (const ThirdParty& library : ThirdParties()) {
    if (!IsAllowed(allowed, library.name)) continue;
    const absl::StatusOr<void*> loaded = LoadThirdParty(library);
    if (!loaded.ok()) return std::string(loaded.status().message());
  }
  return "";
}

}  // namespace

void ZygoteMain(int socket, const Sandbox::Options& options) {
  setsid();
  // Kept: the socket (3). Everything else of the parent would outlive it here.
  if (!ArrangeDescriptors({socket}, open("/dev/null", O_RDWR | O_CLOEXEC)).ok()) _exit(125);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const absl::Status ahead = options.real_time ? TakeRealTimePriority() : absl::OkStatus();
  Isolation isolation = LeaveNamespaces(options.namespaces);
  isolation.real_time = options.real_time && ahead.ok();
  if (!ahead.ok()) isolation.missing.emplace_back(ahead.message());
  const pid_t zygote = fork();
  if (zygote < 0) _exit(125);
  if (zygote > 0) {
    close(3);
    close(0);
    int status;
    while (waitpid(zygote, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(0);
  }
  prctl(PR_SET_NAME, "tessera-zygote", 0, 0, 0);
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  UniqueFd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  Hello hello = {};
  strncpy(hello.unloaded, LoadLibraries(options.allow).c_str(), sizeof(hello.unloaded) - 1);
  EnterEmptyRoot(isolation);
  DropPrivileges(isolation);
  strncpy(hello.missing, absl::StrJoin(isolation.missing, "; ").c_str(), sizeof(hello.missing) - 1);
  if (send(3, &hello, sizeof(hello), MSG_NOSIGNAL) < 0) _exit(125);
  Zygote(3, std::move(isolation), std::move(proc), std::move(null)).Serve();
  _exit(0);
}

}  // namespace tessera::sandbox
