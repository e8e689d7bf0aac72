#include "worker/sandbox/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status.h"
#include "worker/sandbox/descriptors.h"
#include "worker/sandbox/wire.h"

namespace tessera::sandbox {
namespace {

// Killing is asynchronous, but takes microseconds; past this the zygote itself must be gone.
constexpr absl::Duration kKillPatience = absl::Seconds(20);

// A time that no adjustment of the wall clock moves.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

int PollTimeout(absl::Time deadline) {
  const absl::Duration left = deadline - SteadyNow();
  return static_cast<int>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(left + absl::Microseconds(999)), 0, 1 << 30));
}

absl::Status Ended(const ChildExit& exit) {
  return absl::FailedPreconditionError(absl::StrCat("the child has ended: ", exit.reason));
}

}  // namespace

Child::~Child() { Kill(KillReason::kNotNeeded); }

absl::Status Child::Send(absl::Span<const std::byte> message) {
  if (ended_) return Ended(exit_);
  while (send(channel_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (PollExit(absl::Seconds(1))) return Ended(exit_);
    return absl::FailedPreconditionError(absl::StrCat("message to the child: ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Child::Receive(absl::Span<std::byte> into, absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  for (;;) {
    const ssize_t size = recv(channel_.get(), into.data(), into.size(), MSG_DONTWAIT);
    if (size > 0) return static_cast<size_t>(size);
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      // The channel is closed; the end itself follows.
      if (!PollExit(std::max(deadline - SteadyNow(), absl::Milliseconds(100)))) {
        return absl::DeadlineExceededError("the child closed its channel but goes on");
      }
      return Ended(exit_);
    }
    if (SteadyNow() >= deadline) return absl::DeadlineExceededError("no message from the child");
    pollfd poll_for = {channel_.get(), POLLIN, 0};
    poll(&poll_for, 1, PollTimeout(deadline));
  }
}

bool Child::PollExit(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  while (!ended_) {
    pollfd poll_for = {monitor_.get(), POLLIN, 0};
    const int ready = poll(&poll_for, 1, PollTimeout(deadline));
    if (ready == 0 && SteadyNow() >= deadline) return false;
    if (ready <= 0) continue;
    ExitMessage message;
    const ssize_t size = recv(monitor_.get(), &message, sizeof(message), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    ended_ = true;
    if (size == static_cast<ssize_t>(sizeof(message))) {
      Diagnosis diagnosis;
      memcpy(&diagnosis, diagnosis_.bytes().data(), sizeof(diagnosis));
      exit_ = ExplainExit(message.wait_status, diagnosis, killed_, message.peak_memory_bytes,
                          memory_limit_);
    } else {
      exit_.kind = ExitKind::kSandbox;
      exit_.reason =
          "the sandbox's zygote could not fork or is gone; restart the worker if it stays so";
    }
  }
  return true;
}

absl::StatusOr<ChildExit> Child::Wait(absl::Duration timeout) {
  if (!PollExit(timeout)) return absl::DeadlineExceededError("the child is still running");
  return exit_;
}

ChildExit Child::Kill(KillReason reason) {
  if (!monitor_.valid() || PollExit(absl::ZeroDuration())) return exit_;
  killed_ = reason;
  const char byte = 'k';
  send(monitor_.get(), &byte, 1, MSG_NOSIGNAL);
  if (!PollExit(kKillPatience)) {
    ended_ = true;
    exit_.kind = ExitKind::kSandbox;
    exit_.reason = "the child could not be killed within 20 s";
    monitor_.Reset();
  }
  return exit_;
}

absl::StatusOr<std::unique_ptr<Sandbox>> Sandbox::Create(const Options& options) {
  TESSERA_ASSIGN_OR_RETURN(auto pair, MakeSocketPair());
  auto sandbox = std::unique_ptr<Sandbox>(new Sandbox);
  sandbox->process_ = fork();
  if (sandbox->process_ < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("fork of the sandbox's zygote: ", strerror(errno)));
  }
  if (sandbox->process_ == 0) ZygoteMain(pair.second.get(), options);
  pair.second.Reset();
  sandbox->socket_ = std::move(pair.first);

  TESSERA_ASSIGN_OR_RETURN(Message message, ReceiveMessage(sandbox->socket_.get(), sizeof(Hello)));
  if (message.bytes.size() != sizeof(Hello)) {
    return absl::UnavailableError("the sandbox's zygote ended while it started");
  }
  Hello hello;
  memcpy(&hello, message.bytes.data(), sizeof(hello));
  if (hello.unloaded[0] != 0) return absl::FailedPreconditionError(hello.unloaded);
  sandbox->missing_ = absl::StrSplit(hello.missing, "; ", absl::SkipEmpty());
  if (!sandbox->missing_.empty()) {
    LogWarning(absl::StrCat("sandbox: the system does not grant: ", hello.missing));
  }
  return sandbox;
}

Sandbox::~Sandbox() {
  socket_.Reset();
  while (process_ > 0 && waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::StatusOr<std::unique_ptr<Child>> Sandbox::Spawn(const ChildTask& task) {
  if (task.entry == nullptr || task.argument.size() > kMaxArgumentBytes ||
      task.descriptors.size() > kMaxDescriptors - 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("child task: an argument of ", task.argument.size(), " bytes (limit ",
                     kMaxArgumentBytes, ") and ", task.descriptors.size(), " descriptors (limit ",
                     kMaxDescriptors - 4, ")", task.entry == nullptr ? ", and no entry" : ""));
  }
  auto child = std::unique_ptr<Child>(new Child);
  TESSERA_ASSIGN_OR_RETURN(auto monitor, MakeSocketPair());
  TESSERA_ASSIGN_OR_RETURN(auto channel, MakeSocketPair());
  TESSERA_ASSIGN_OR_RETURN(child->diagnosis_,
                           SharedMemory::Create("tessera-diagnosis", sizeof(Diagnosis)));
  std::vector<int> descriptors = {monitor.second.get(), channel.second.get(),
                                  child->diagnosis_.fd()};
  UniqueFd library;
  if (!task.library.empty()) {
    TESSERA_ASSIGN_OR_RETURN(library,
                             SharedMemory::CreateReadOnly("tessera-library", task.library));
    descriptors.push_back(library.get());
  }
  descriptors.insert(descriptors.end(), task.descriptors.begin(), task.descriptors.end());

  SpawnRequest request = {};
  request.entry = task.entry;
  request.argument_bytes = static_cast<uint32_t>(task.argument.size());
  request.has_library = !task.library.empty();
  request.limits = task.limits;
  std::vector<std::byte> bytes(sizeof(request) + task.argument.size());
  memcpy(bytes.data(), &request, sizeof(request));
  memcpy(bytes.data() + sizeof(request), task.argument.data(), task.argument.size());
  child->memory_limit_ = task.limits.memory_bytes;
  if (absl::Status sent = SendMessage(socket_.get(), bytes, descriptors); !sent.ok()) {
    return Annotate(sent, "spawn");
  }
  child->monitor_ = std::move(monitor.first);
  child->channel_ = std::move(channel.first);
  return child;
}

}  // namespace tessera::sandbox
