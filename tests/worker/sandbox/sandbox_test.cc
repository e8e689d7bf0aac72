#include "worker/sandbox/sandbox.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace tessera::sandbox {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// One zygote for each way of isolation, forked before anything grows.
Sandbox& Shared(bool namespaces) {
  static std::unique_ptr<Sandbox> sandboxes[] = {Sandbox::Create({.namespaces = false}).value(),
                                                 Sandbox::Create({.namespaces = true}).value()};
  return *sandboxes[namespaces ? 1 : 0];
}

ChildExit RunToEnd(bool namespaces, ChildEntry entry, Limits limits = {},
                   absl::Duration timeout = absl::Seconds(20)) {
  ChildTask task;
  task.entry = entry;
  task.limits = limits;
  auto child = Shared(namespaces).Spawn(task);
  REQUIRE(child.ok());
  auto exit = (*child)->Wait(timeout);
  return exit.ok() ? *exit : (*child)->Kill(KillReason::kTimeout);
}

volatile unsigned g_sink = 0;
int* volatile g_null = nullptr;

// The crash itself is what is tested, not a sanitizer's report of it.
__attribute__((no_sanitize("undefined", "address"))) int ReadNull() { return *g_null; }

int Recurse(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = static_cast<char>(depth);
  return depth < 0 ? 0 : Recurse(depth + 1) + frame[(depth + 1) % 1024];
}

int Echo(const ChildContext& context) {
  char message[64];
  for (;;) {
    const ssize_t size = read(context.channel, message, sizeof(message));
    if (size <= 0) return 0;
    if (message[0] == 'q') return 7;
    std::reverse(message, message + size);
    if (write(context.channel, message, static_cast<size_t>(size)) != size) return 1;
  }
}

struct Attempt {
  const char* name;
  ChildEntry entry;
  const char* reason;
};
const Attempt kForbidden[] = {
    {"fork", [](const ChildContext&) -> int { return fork() == 0 ? 1 : 2; }, "clone"},
    {"exec",
     [](const ChildContext&) -> int {
       char name[] = "/bin/true";
       char* const arguments[] = {name, nullptr};
       execv(name, arguments);
       return 1;
     },
     "execve"},
    {"a socket", [](const ChildContext&) -> int { return socket(AF_INET, SOCK_STREAM, 0) < 0; },
     "socket"},
    {"open for writing",
     [](const ChildContext&) -> int {
       return open("/tmp/tessera_escape", O_WRONLY | O_CREAT, 0600) < 0;
     },
     "openat"},
    {"ptrace",
     [](const ChildContext&) -> int { return static_cast<int>(ptrace(PTRACE_TRACEME, 0, 0, 0)); },
     "ptrace"},
    {"killing others", [](const ChildContext&) -> int { return kill(-1, SIGTERM); }, "kill"},
    {"raising a limit",
     [](const ChildContext&) -> int {
       return static_cast<int>(syscall(SYS_prlimit64, 0, 0, "0123456789abcdef", nullptr));
     },
     "prlimit64"},
    {"new namespaces",
     [](const ChildContext&) -> int { return static_cast<int>(syscall(SYS_unshare, 0)); },
     "unshare"},
};

}  // namespace

TEST_CASE("a child answers messages and its exit code comes back", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  CAPTURE(namespaces);
  ChildTask task;
  task.entry = Echo;
  auto child = Shared(namespaces).Spawn(task).value();
  const std::string text = "abc";
  REQUIRE(
      child->Send(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), 3)).ok());
  std::byte reply[16];
  auto size = child->Receive(absl::MakeSpan(reply), absl::Seconds(10));
  REQUIRE(size.ok());
  REQUIRE(std::string(reinterpret_cast<char*>(reply), *size) == "cba");
  REQUIRE(absl::IsDeadlineExceeded(
      child->Receive(absl::MakeSpan(reply), absl::Milliseconds(20)).status()));
  REQUIRE(absl::IsDeadlineExceeded(child->Wait(absl::Milliseconds(1)).status()));
  REQUIRE(child->Send(absl::MakeConstSpan(reinterpret_cast<const std::byte*>("q"), 1)).ok());
  auto exit = child->Wait(absl::Seconds(10));
  REQUIRE(exit.ok());
  REQUIRE(exit->kind == ExitKind::kExited);
  REQUIRE(exit->exit_code == 7);
  REQUIRE(exit->peak_memory_bytes > 0);
  REQUIRE(
      absl::IsFailedPrecondition(child->Receive(absl::MakeSpan(reply), absl::Seconds(1)).status()));
}

TEST_CASE("a crash is named with its signal and address", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  ChildExit exit = RunToEnd(namespaces, [](const ChildContext&) -> int { return ReadNull(); });
  REQUIRE(exit.kind == ExitKind::kCrashed);
  REQUIRE(exit.signal == SIGSEGV);
  REQUIRE(exit.reason == "SIGSEGV at address 0 (null pointer)");

  exit = RunToEnd(namespaces, [](const ChildContext&) -> int { __builtin_trap(); });
  REQUIRE(exit.reason == (exit.signal == SIGILL ? "SIGILL" : "SIGTRAP"));

  exit = RunToEnd(namespaces, [](const ChildContext&) -> int { abort(); });
  REQUIRE(exit.kind == ExitKind::kCrashed);
  REQUIRE(exit.reason == "SIGABRT");

  exit = RunToEnd(namespaces, [](const ChildContext&) -> int { _exit(3); });
  REQUIRE(exit.kind == ExitKind::kExited);
  REQUIRE(exit.exit_code == 3);
}

TEST_CASE("a stack overflow is told from other faults", "[sandbox]") {
  if (kAddressSanitizer) return;
  const ChildExit exit = RunToEnd(true, [](const ChildContext&) -> int { return Recurse(1); });
  REQUIRE(exit.kind == ExitKind::kCrashed);
  REQUIRE(exit.reason == "SIGSEGV (stack overflow)");
}

TEST_CASE("a child that allocates without end is out of memory", "[sandbox]") {
  if (kAddressSanitizer) return;
  Limits limits;
  limits.memory_bytes = 64 << 20;
  const bool touched = GENERATE(false, true);
  CAPTURE(touched);
  const ChildExit exit = RunToEnd(true, touched ? [](const ChildContext&) -> int {
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
      } : [](const ChildContext&) -> int {
        for (;;) static_cast<volatile char*>(malloc(1 << 20))[0] = 1;
      }, limits);
  CAPTURE(exit.reason);
  REQUIRE(exit.kind == ExitKind::kOutOfMemory);
  REQUIRE_THAT(exit.reason, Catch::Contains("limit of 64 MiB"));
}

TEST_CASE("a child that hangs is killed at its deadline", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  const absl::Time start = absl::Now();
  const ChildExit exit = RunToEnd(
      namespaces,
      [](const ChildContext&) -> int {
        signal(SIGTERM, SIG_IGN);
        for (;;) g_sink = g_sink + 1;
      },
      {}, absl::Milliseconds(50));
  REQUIRE(exit.kind == ExitKind::kTimeout);
  REQUIRE(absl::Now() - start < absl::Seconds(10));
}

TEST_CASE("CPU time is limited even when nobody waits", "[sandbox]") {
  Limits limits;
  limits.cpu_seconds = 1;
  const ChildExit exit = RunToEnd(
      true,
      [](const ChildContext&) -> int {
        for (;;) g_sink = g_sink + 1;
      },
      limits, absl::Seconds(60));
  REQUIRE((exit.kind == ExitKind::kTimeout || exit.signal == SIGKILL));
}

TEST_CASE("what a kernel has no use for is forbidden and named", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  for (const Attempt& attempt : kForbidden) {
    CAPTURE(attempt.name);
    const ChildExit exit = RunToEnd(namespaces, attempt.entry);
    CAPTURE(exit.reason);
    REQUIRE(exit.kind == ExitKind::kForbidden);
    REQUIRE_THAT(exit.reason, Catch::StartsWith("forbidden system call"));
    REQUIRE_THAT(exit.reason, Catch::Contains(attempt.reason));
  }
}

TEST_CASE("files of the system can't be read", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  CAPTURE(namespaces);
  // Without namespaces this rests on Landlock, which old systems lack.
  const long landlock = syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
  if (!namespaces && landlock < 1) return;
  const ChildExit exit = RunToEnd(namespaces, [](const ChildContext&) -> int {
    return open("/etc/passwd", O_RDONLY) < 0 ? 42 : 1;
  });
  REQUIRE(exit.kind == ExitKind::kExited);
  REQUIRE(exit.exit_code == 42);
}

TEST_CASE("descriptors of the parent don't reach a child", "[sandbox]") {
  UniqueFd secret(open("/etc/passwd", O_RDONLY));
  const ChildExit exit = RunToEnd(GENERATE(false, true), [](const ChildContext& context) -> int {
    char byte;
    for (int fd = context.channel + 1; fd < 1024; ++fd) {
      if (pread(fd, &byte, 1, 0) >= 0) return 1;
    }
    return 42;
  });
  REQUIRE(exit.exit_code == 42);
}

TEST_CASE("threads work and share memory with the parent", "[sandbox]") {
  SharedMemory memory = SharedMemory::Create("test", 4096).value();
  ChildTask task;
  task.entry = [](const ChildContext& context) -> int {
    auto* counter = static_cast<std::atomic<int>*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, context.descriptors[0], 0));
    std::thread threads[3];
    for (auto& thread : threads) thread = std::thread([&] { counter->fetch_add(1); });
    for (auto& thread : threads) thread.join();
    return 0;
  };
  task.descriptors = {memory.fd()};
  auto exit = Shared(GENERATE(false, true)).Spawn(task).value()->Wait(absl::Seconds(20));
  REQUIRE(exit.ok());
  CAPTURE(exit->reason);
  REQUIRE(exit->exit_code == 0);
  REQUIRE(reinterpret_cast<std::atomic<int>*>(memory.bytes().data())->load() == 3);
}

TEST_CASE("a crash in a thread ends the child", "[sandbox]") {
  const ChildExit exit = RunToEnd(true, [](const ChildContext&) -> int {
    std::thread([] { g_sink = static_cast<unsigned>(ReadNull()); }).join();
    return 0;
  });
  REQUIRE(exit.kind == ExitKind::kCrashed);
  REQUIRE(exit.signal == SIGSEGV);
}

TEST_CASE("a child can't claim to be unconfined", "[sandbox]") {
  // The diagnosis comes from the child; a signal stays a signal whatever it says.
  Diagnosis diagnosis = {};
  diagnosis.signal = SIGSYS;
  diagnosis.system_call = 59;
  const ChildExit exit = ExplainExit(SIGSEGV, diagnosis, KillReason::kNone, 1 << 20, 1 << 30);
  REQUIRE(exit.kind == ExitKind::kCrashed);
}

TEST_CASE("many children are spawned quickly and live side by side", "[sandbox]") {
  const bool namespaces = GENERATE(false, true);
  ChildTask task;
  task.entry = [](const ChildContext&) -> int { return 0; };
  std::vector<double> milliseconds, plain_milliseconds;
  for (int i = 0; i < 50; ++i) {
    absl::Time start = absl::Now();
    const pid_t plain = fork();
    if (plain == 0) _exit(0);
    REQUIRE(waitpid(plain, nullptr, 0) == plain);
    plain_milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    start = absl::Now();
    auto child = Shared(namespaces).Spawn(task).value();
    REQUIRE(child->Wait(absl::Seconds(10)).ok());
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::sort(plain_milliseconds.begin(), plain_milliseconds.end());
  CAPTURE(milliseconds.front(), milliseconds[25], plain_milliseconds.front());
  if (!kAddressSanitizer) CHECK(milliseconds.front() < 30 * plain_milliseconds.front());

  task.entry = Echo;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 8; ++i) children.push_back(Shared(namespaces).Spawn(task).value());
  for (auto& child : children) {
    REQUIRE(child->Send(absl::MakeConstSpan(reinterpret_cast<const std::byte*>("q"), 1)).ok());
    REQUIRE(child->Wait(absl::Seconds(10))->exit_code == 7);
  }
}

TEST_CASE("tasks beyond the limits are refused", "[sandbox]") {
  ChildTask task;
  REQUIRE(absl::IsInvalidArgument(Shared(true).Spawn(task).status()));
  task.entry = Echo;
  task.argument.assign(1 << 20, 'x');
  REQUIRE(absl::IsInvalidArgument(Shared(true).Spawn(task).status()));
}

// The processes below `ancestor`, as the system shows them.
std::set<pid_t> Descendants(pid_t ancestor) {
  std::set<pid_t> found;
  std::ifstream children(absl::StrCat("/proc/", ancestor, "/task/", ancestor, "/children"));
  for (pid_t child = 0; children >> child;) {
    found.insert(child);
    found.merge(Descendants(child));
  }
  return found;
}

bool IsGranted(const Sandbox& sandbox, const std::string& what) {
  const auto& missing = sandbox.missing();
  return std::none_of(missing.begin(), missing.end(), [&](const std::string& refused) {
    return refused.find(what) != std::string::npos;
  });
}

TEST_CASE("children that are timed run before everything that isn't real-time", "[sandbox]") {
  auto sandbox = Sandbox::Create({.real_time = true}).value();
  const int usual = sched_getscheduler(0);
  const bool granted = IsGranted(*sandbox, "real-time");
  if (!granted) WARN("this system grants no real-time priority");
  const int real_time_seconds = GENERATE(0, 20);
  CAPTURE(granted, real_time_seconds);
  const std::set<pid_t> others = Descendants(getpid());
  ChildTask task;
  task.entry = Echo;
  task.limits.real_time_seconds = real_time_seconds;
  auto child = sandbox->Spawn(task).value();
  REQUIRE(child->Send(absl::MakeConstSpan(reinterpret_cast<const std::byte*>("a"), 1)).ok());
  std::byte answer[1];
  REQUIRE(child->Receive(absl::MakeSpan(answer), absl::Seconds(10)).ok());  // it runs

  std::set<int> policies;
  for (const pid_t process : Descendants(getpid())) {
    if (!others.contains(process)) policies.insert(sched_getscheduler(process));
  }
  if (others.empty()) {
    WARN("this system doesn't list a process's children");
    return;
  }
  const bool ahead = granted && real_time_seconds > 0;
  CHECK(policies == std::set<int>{ahead ? SCHED_RR : granted ? SCHED_OTHER : usual});
}

TEST_CASE("a timed child that computes for too long is ended", "[sandbox]") {
  auto sandbox = Sandbox::Create({.real_time = true}).value();
  if (!IsGranted(*sandbox, "real-time")) return;
  ChildTask task;
  task.limits.real_time_seconds = 1;
  task.entry = [](const ChildContext&) -> int {
    for (;;) g_sink = g_sink + 1;
  };
  const auto exit = sandbox->Spawn(task).value()->Wait(absl::Seconds(30));
  REQUIRE(exit.ok());
  CHECK(exit->kind == ExitKind::kTimeout);
}

TEST_CASE("children die with their sandbox", "[sandbox]") {
  auto sandbox = Sandbox::Create().value();
  ChildTask task;
  task.entry = [](const ChildContext&) -> int {
    for (;;) g_sink = g_sink + 1;
  };
  auto child = sandbox->Spawn(task).value();
  sandbox.reset();
  auto exit = child->Wait(absl::Seconds(10));
  REQUIRE(exit.ok());
  REQUIRE(exit->kind == ExitKind::kSandbox);
}

TEST_CASE("what libraries of others ask in vain fails, and does not end them", "[sandbox]") {
  const ChildExit exit = RunToEnd(true, [](const ChildContext&) -> int {
    return syscall(SYS_mbind, nullptr, 0, 0, nullptr, 0, 0) == -1 ? 7 : 8;
  });
  CAPTURE(exit.reason);
  CHECK(exit.kind == ExitKind::kExited);
  CHECK(exit.exit_code == 7);
}

TEST_CASE("oneDNN makes its code in the sandbox, or no sandbox is made", "[sandbox]") {
  const auto sandbox = Sandbox::Create({.allow = "onednn"});
  if (!sandbox.ok()) {
    CHECK(absl::IsFailedPrecondition(sandbox.status()));
    CHECK_THAT(std::string(sandbox.status().message()), Catch::Contains("install libdnnl2"));
    WARN(std::string(sandbox.status().message()));
    return;
  }
  ChildTask task;
  task.entry = [](const ChildContext&) -> int {
    void* library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) return 9;
    using Multiply = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t,
                             const float*, int64_t, float, float*, int64_t);
    const auto multiply = reinterpret_cast<Multiply>(dlsym(library, "dnnl_sgemm"));
    if (multiply == nullptr) return 10;
    const float a[] = {1, 2, 3}, b[] = {4, 5, 6};
    float c = 0;
    return multiply('N', 'N', 1, 1, 3, 1, a, 3, b, 1, 0, &c, 1) == 0 ? static_cast<int>(c) : 11;
  };
  auto child = (*sandbox)->Spawn(task);
  REQUIRE(child.ok());
  const ChildExit exit = (*child)->Wait(absl::Seconds(20)).value();
  CAPTURE(exit.reason);
  CHECK(exit.exit_code == 32);
}

TEST_CASE("a library that is allowed is there in the empty root, or no sandbox is made",
          "[sandbox]") {
  const auto sandbox = Sandbox::Create({.allow = "openblas"});
  if (!sandbox.ok()) {
    CHECK(absl::IsFailedPrecondition(sandbox.status()));
    CHECK_THAT(std::string(sandbox.status().message()),
               Catch::Contains("openblas") && Catch::Contains("install libopenblas0-pthread"));
    WARN(std::string(sandbox.status().message()));
    return;
  }
  ChildTask task;
  task.entry = [](const ChildContext&) -> int {
    void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) return 9;
    const auto threads = reinterpret_cast<int (*)()>(dlsym(library, "openblas_get_parallel"));
    if (threads == nullptr || threads() != 1) return 11;
    using Dot = double (*)(int, const double*, int, const double*, int);
    const auto dot = reinterpret_cast<Dot>(dlsym(library, "cblas_ddot"));
    const double x[] = {1, 2, 3};
    return dot == nullptr ? 10 : static_cast<int>(dot(3, x, 1, x, 1));
  };
  auto child = (*sandbox)->Spawn(task);
  REQUIRE(child.ok());
  const ChildExit exit = (*child)->Wait(absl::Seconds(20)).value();
  CAPTURE(exit.reason);
  CHECK(exit.exit_code == 14);
}

}  // namespace tessera::sandbox
