#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <new>

#include "absl/status/statusor.h"
#include "base/hash.h"
#include "base/status.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "worker/builder/builder.h"
#include "worker/builder/child_process.h"
#include "worker/builder/compile.h"
#include "worker/builder/frame.h"

namespace tessera::builder {
namespace {

constexpr rlim_t kStackBytes = rlim_t{64} << 20;  // LLVM recurses over deep expressions
constexpr rlim_t kFileBytes = rlim_t{1} << 30;    // objects on their way through lld

void OnMemoryRefused() {
  constexpr char kWords[] = "memory was refused\n";
  if (write(STDERR_FILENO, kWords, sizeof(kWords) - 1) < 0) _exit(kOutOfMemoryExit + 1);
  _exit(kOutOfMemoryExit);
}

void SetSoftLimit(__rlimit_resource resource, rlim_t value) {
  rlimit limit = {};
  if (getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? value : std::min(value, limit.rlim_max);
  setrlimit(resource, &limit);
}

// What bounds this process however the build goes; the worker bounds its memory from outside.
void BoundMyself() {
  SetSoftLimit(RLIMIT_CORE, 0);
  SetSoftLimit(RLIMIT_STACK, kStackBytes);
  SetSoftLimit(RLIMIT_FSIZE, kFileBytes);
  prctl(PR_SET_NAME, "tessera-build", 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // A machine short of memory is to take it from here first.
  std::ofstream("/proc/self/oom_score_adj") << "900";
  std::set_new_handler(OnMemoryRefused);
}

// Ends this process by SIGPROF after so much CPU time, should the worker not be there to do it.
class CpuTimer {
 public:
  explicit CpuTimer(double seconds) { Set(seconds); }
  ~CpuTimer() { Set(0); }

 private:
  static void Set(double seconds) {
    itimerval timer = {};
    timer.it_value.tv_sec = static_cast<time_t>(std::ceil(seconds));
    setitimer(ITIMER_PROF, &timer, nullptr);
  }
};

constexpr double kGraceSeconds = 1;  // the worker's own limit comes first
constexpr double kLibraryCpuSeconds = 24 * 3600;

struct Work {
  proto::WorkerMessage message;
  std::vector<std::string> files;
  bool is_last = false;  // then this process ends
};

Work Do(const proto::BuildRequest& request) {
  const CpuTimer timer(request.max_seconds + kGraceSeconds);
  Compiled<agent::BuildOutput> compiled = Compile(request);
  Work work;
  work.is_last = compiled.is_last;
  if (compiled.output.result.outcome == db::Outcome::kOk) {
    work.files.push_back(std::move(compiled.output.bytes));
  }
  work.message = std::move(compiled.output.result);
  return work;
}

Work Do(const proto::LibraryRequest& request, std::vector<std::string> artifacts) {
  const CpuTimer timer(kLibraryCpuSeconds);
  Compiled<agent::LibraryOutput> compiled = CompileLibrary(request, std::move(artifacts));
  Work work;
  work.is_last = compiled.is_last;
  proto::LibraryResult result;
  result.fence = request.fence;
  result.error = compiled.output.error;
  for (auto& [name, bytes] : compiled.output.files) {
    result.files.push_back({name, Sha256Hex(bytes), static_cast<int64_t>(bytes.size())});
    work.files.push_back(std::move(bytes));
  }
  work.message = std::move(result);
  return work;
}

absl::StatusOr<Work> Serve(const std::string& bytes, int socket) {
  v1::ServerMessage message;
  if (!message.ParseFromString(bytes)) return absl::InvalidArgumentError("request is no message");
  std::vector<std::string> artifacts;
  for (int i = ArtifactCount(message); i > 0; --i) {
    TESSERA_ASSIGN_OR_RETURN(artifacts.emplace_back(),
                             ReceiveFrame(socket, proto::kMaxArtifactBytes, kForever));
  }
  TESSERA_ASSIGN_OR_RETURN(const proto::ServerMessage request, proto::FromProto(message));
  if (const auto* build = std::get_if<proto::BuildRequest>(&request)) return Do(*build);
  if (const auto* library = std::get_if<proto::LibraryRequest>(&request)) {
    return Do(*library, std::move(artifacts));
  }
  return absl::InvalidArgumentError("request is neither for a kernel nor for a library");
}

absl::Status ServeAll(int socket) {
  TESSERA_RETURN_IF_ERROR(SendFrame(socket, "", kForever));  // ready
  for (;;) {
    const absl::StatusOr<std::string> request =
        ReceiveFrame(socket, proto::kMaxMessageBytes, kForever);
    if (absl::IsUnavailable(request.status())) return absl::OkStatus();
    if (!request.ok()) return request.status();
    TESSERA_ASSIGN_OR_RETURN(const Work work, Serve(*request, socket));
    TESSERA_RETURN_IF_ERROR(
        SendFrame(socket, proto::ToProto(work.message).SerializeAsString(), kForever));
    for (const std::string& file : work.files) {
      TESSERA_RETURN_IF_ERROR(SendFrame(socket, file, kForever));
    }
    if (work.is_last) return absl::OkStatus();
  }
}

}  // namespace

int BuildChildMain(int descriptor) {
  BoundMyself();
  const absl::Status status = ServeAll(descriptor);
  if (status.ok()) return 0;
  fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace tessera::builder
