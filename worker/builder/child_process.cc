#include "worker/builder/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "proto/limits.h"
#include "worker/sandbox/child_exit.h"
#include "worker/sandbox/execute.h"

namespace tessera::builder {
namespace {

using std::chrono::nanoseconds;
using Seconds = std::chrono::duration<double>;

constexpr auto kStartTime = std::chrono::seconds(60);  // on a machine that pages and is crowded
constexpr size_t kLastWordsBytes = 2048;

Failure Describe(int wait_status, const std::string& words, int64_t memory_bytes) {
  const std::string said = words.empty() ? "" : absl::StrCat("; it said: ", words);
  const bool aborted = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT;
  if ((WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == kOutOfMemoryExit) ||
      (aborted &&
       (words.find("out of memory") != words.npos || words.find("std::bad_alloc") != words.npos))) {
    return {Fault::kOutOfMemory, absl::StrCat("the compiler needed more than its ",
                                              memory_bytes >> 20, " MiB of memory", said)};
  }
  if (WIFEXITED(wait_status)) {
    return {Fault::kCrashed,
            absl::StrCat("the compiler exited with code ", WEXITSTATUS(wait_status), said)};
  }
  const int signal = WTERMSIG(wait_status);
  switch (signal) {
    case SIGKILL:
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGQUIT:
      return {Fault::kKilled, absl::StrCat("the build process was ended from outside by ",
                                           sandbox::SignalName(signal), said)};
    case SIGPROF:
      return {Fault::kTimeout, absl::StrCat("the compiler used up its CPU time", said)};
    default:
      return {Fault::kCrashed,
              absl::StrCat("the compiler crashed with ", sandbox::SignalName(signal), said)};
  }
}

}  // namespace

int ArtifactCount(const v1::ServerMessage& request) {
  if (!request.library_request().selection().has_model()) return 0;
  return 1 + request.library_request().selection().model().constants_size();
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const BuilderOptions& options) {
  std::unique_ptr<ChildProcess> child(new ChildProcess);
  child->memory_bytes_ = options.memory_bytes;
  TESSERA_RETURN_IF_ERROR(child->Spawn(options));
  const absl::StatusOr<std::string> ready =
      ReceiveFrame(child->socket_.get(), 0, std::chrono::steady_clock::now() + kStartTime);
  absl::Status limited = ready.ok() ? child->LimitMemory(options.memory_bytes) : absl::OkStatus();
  if (ready.ok() && limited.ok()) return child;
  const Failure failure = ready.ok() ? Failure{Fault::kCrashed, std::string(limited.message())}
                                     : child->Explain(ready.status(), kStartTime, kStartTime);
  return absl::UnavailableError(
      absl::StrCat("build child ", options.program, " did not start: ", failure.reason));
}

ChildProcess::~ChildProcess() {
  if (process_ > 0) End(true);
}

absl::Status ChildProcess::Spawn(const BuilderOptions& options) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("build child: socket: ", strerror(errno)));
  }
  socket_ = UniqueFd(ends[0]);
  const UniqueFd its_end(ends[1]);
  words_ = UniqueFd(memfd_create("tessera-build-words", MFD_CLOEXEC));
  if (!words_.valid()) {
    return absl::ResourceExhaustedError(absl::StrCat("build child: memory: ", strerror(errno)));
  }
  fcntl(words_.get(), F_SETFL, O_APPEND);
  std::vector<std::string> command = {options.program};
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  static_assert(kBuildChildDescriptor == sandbox::kFirstDescriptor);
  const absl::StatusOr<pid_t> process =
      sandbox::Execute(std::move(command), words_.get(), {its_end.get()});
  if (!process.ok()) return Annotate(process.status(), "build child");
  absl::MutexLock lock(&mutex_);
  process_ = *process;
  return absl::OkStatus();
}

absl::Status ChildProcess::LimitMemory(int64_t bytes) const {
#if defined(__SANITIZE_ADDRESS__)
  (void)bytes;  // the sanitizer maps terabytes
#else
  std::ifstream file(absl::StrCat("/proc/", process_, "/statm"));
  int64_t mapped_pages = 0;
  file >> mapped_pages;
  const auto limit_bytes = static_cast<rlim_t>(mapped_pages * sysconf(_SC_PAGESIZE) + bytes);
  const rlimit limit = {limit_bytes, limit_bytes};
  if (prlimit(process_, RLIMIT_AS, &limit, nullptr) != 0) {
    return absl::UnavailableError(absl::StrCat("memory limit of ", bytes, ": ", strerror(errno)));
  }
#endif
  return absl::OkStatus();
}

bool ChildProcess::IsAlive() const {
  siginfo_t info = {};
  return process_ > 0 &&
         waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

pid_t ChildProcess::process() const {
  absl::MutexLock lock(&mutex_);
  return process_;
}

void ChildProcess::Kill() {
  absl::MutexLock lock(&mutex_);
  if (process_ > 0) ::kill(process_, SIGKILL);
}

void ChildProcess::Pin(int core) {
  if (core == core_) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (core < 0 ? sched_getaffinity(0, sizeof(set), &set) != 0 : core >= CPU_SETSIZE) return;
  if (core >= 0) CPU_SET(core, &set);
  if (sched_setaffinity(process_, sizeof(set), &set) == 0) core_ = core;
}

nanoseconds ChildProcess::CpuTime() const {
  clockid_t clock;
  timespec time = {};
  if (clock_getcpuclockid(process_, &clock) != 0 || clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

std::variant<Reply, Failure> ChildProcess::Exchange(const v1::ServerMessage& request,
                                                    absl::Span<const std::string> artifacts,
                                                    nanoseconds time) {
  if (ftruncate(words_.get(), 0) != 0) words_.Reset();
  const nanoseconds before = CpuTime();
  absl::StatusOr<Reply> reply = Answer(request, artifacts, std::chrono::steady_clock::now() + time);
  if (!reply.ok()) return Explain(reply.status(), time, CpuTime() - before);
  ++requests_;
  return *std::move(reply);
}

absl::StatusOr<Reply> ChildProcess::Answer(const v1::ServerMessage& request,
                                           absl::Span<const std::string> artifacts,
                                           SteadyTime deadline) {
  if (static_cast<int>(artifacts.size()) != ArtifactCount(request)) {
    return absl::InvalidArgumentError(absl::StrCat("nothing, because its request has ",
                                                   artifacts.size(), " artifacts instead of ",
                                                   ArtifactCount(request)));
  }
  TESSERA_RETURN_IF_ERROR(SendFrame(socket_.get(), request.SerializeAsString(), deadline));
  for (const std::string& artifact : artifacts) {
    TESSERA_RETURN_IF_ERROR(SendFrame(socket_.get(), artifact, deadline));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes,
                           ReceiveFrame(socket_.get(), proto::kMaxMessageBytes, deadline));
  Reply reply;
  if (!reply.message.ParseFromString(bytes)) {
    return absl::InvalidArgumentError("an answer that is no message");
  }
  int files = 0;
  if (reply.message.has_build_result()) files = reply.message.build_result().has_artifact() ? 1 : 0;
  if (reply.message.has_library_result()) files = reply.message.library_result().files_size();
  for (int i = 0; i < files; ++i) {
    TESSERA_ASSIGN_OR_RETURN(reply.files.emplace_back(),
                             ReceiveFrame(socket_.get(), proto::kMaxArtifactBytes, deadline));
  }
  return reply;
}

Failure ChildProcess::Explain(const absl::Status& status, nanoseconds time, nanoseconds used) {
  if (absl::IsDeadlineExceeded(status)) {
    End(true);
    if (used < time / 2) {
      return {Fault::kStarved,
              absl::StrFormat("the build got only %.3g s of CPU time in its %.3g s",
                              Seconds(used).count(), Seconds(time).count())};
    }
    return {Fault::kTimeout,
            absl::StrFormat("the build took longer than its %.3g s", Seconds(time).count())};
  }
  if (!absl::IsUnavailable(status)) {
    End(true);
    return {Fault::kCrashed,
            absl::StrCat("the build process sent ", std::string(status.message()))};
  }
  const int wait_status = End(false);
  return Describe(wait_status, LastWords(), memory_bytes_);
}

int ChildProcess::End(bool kill) {
  // It closes its socket by ending, or else talks no more.
  socket_.Reset();
  if (kill) ::kill(process_, SIGKILL);
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  absl::MutexLock lock(&mutex_);
  int status = 0;
  waitpid(process_, &status, 0);  // at once: it has ended
  process_ = -1;
  return status;
}

std::string ChildProcess::LastWords() const {
  struct stat file = {};
  if (!words_.valid() || fstat(words_.get(), &file) != 0) return "";
  const off_t begin = std::max<off_t>(0, file.st_size - static_cast<off_t>(kLastWordsBytes));
  std::string words(static_cast<size_t>(file.st_size - begin), '\0');
  const ssize_t size = pread(words_.get(), words.data(), words.size(), begin);
  words.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return std::string(absl::StripAsciiWhitespace(words));
}

}  // namespace tessera::builder
