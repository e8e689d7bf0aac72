#include "worker/sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <algorithm>

#include "base/status.h"
#include "worker/sandbox/seccomp_filter.h"

namespace tessera::sandbox {
namespace {

constexpr int kFirstFree = 64;  // above every number that a child is given
constexpr size_t kSignalStackBytes = 64 << 10;

Diagnosis* g_diagnosis = nullptr;
size_t g_probe_bytes = 0;

uint64_t StackPointer(const void* context) {
  const auto* user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return static_cast<uint64_t>(user->uc_mcontext.gregs[REG_RSP]);
#elif defined(__arm__)
  return user->uc_mcontext.arm_sp;
#else
  return user->uc_mcontext.sp;
#endif
}

void OnFault(int signal, siginfo_t* info, void* context) {
  Diagnosis& d = *g_diagnosis;
  d.signal = signal;
  d.code = info->si_code;
  if (signal == SIGSYS) {
    d.system_call = info->si_syscall;
  } else if (signal != SIGABRT) {
    d.fault_address = reinterpret_cast<uint64_t>(info->si_addr);
    // Frames larger than a page touch the guard page at some distance.
    const int64_t distance = static_cast<int64_t>(d.fault_address - StackPointer(context));
    d.stack_overflow = signal == SIGSEGV && distance > -(1 << 16) && distance < (1 << 16);
  }
  if (signal != SIGSYS) {
    void* probe = mmap(nullptr, g_probe_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    d.memory_exhausted = probe == MAP_FAILED;
    if (probe != MAP_FAILED) munmap(probe, g_probe_bytes);
  }
  // Ends as it would have without us. A fault comes again when the instruction is repeated.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  if (signal == SIGSYS || signal == SIGABRT) {
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
  }
}

absl::Status SetLimit(int resource, const char* name, int64_t value) {
  rlimit limit = {};
  getrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
  const auto wanted = static_cast<rlim_t>(value);
  limit.rlim_max = std::min(limit.rlim_max, wanted);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(name, " limit of ", value, ": ", strerror(errno)));
}

}  // namespace

absl::Status ArrangeDescriptors(absl::Span<const int> wanted, int null) {
  const auto failed = [] {
    return absl::ResourceExhaustedError(absl::StrCat("descriptors: ", strerror(errno)));
  };
  std::vector<int> high;
  for (const int fd : wanted) {
    high.push_back(fcntl(fd, F_DUPFD, kFirstFree));
    if (high.back() < 0) return failed();
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (null >= 0 && null != fd && dup2(null, fd) < 0) return failed();
    if (null < 0) close(fd);
  }
  for (size_t i = 0; i < high.size(); ++i) {
    if (dup2(high[i], static_cast<int>(3 + i)) < 0) return failed();
  }
  const unsigned first_unused = static_cast<unsigned>(3 + high.size());
  if (close_range(first_unused, ~0u, 0) != 0) {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t fd = first_unused; fd < limit.rlim_cur; ++fd) close(static_cast<int>(fd));
  }
  return absl::OkStatus();
}

void RecordFaults(Diagnosis* diagnosis, int64_t memory_limit_bytes) {
  g_diagnosis = diagnosis;
  g_probe_bytes = static_cast<size_t>(std::max<int64_t>(memory_limit_bytes / 16, 1 << 20));
  stack_t stack = {};
  stack.ss_size = kSignalStackBytes;
  stack.ss_sp =
      mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS}) {
    sigaction(signal, &action, nullptr);
  }
}

int64_t MappedBytes(int proc) {
  UniqueFd fd(openat(proc, "self/statm", O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!fd.valid() || read(fd.get(), text, sizeof(text) - 1) <= 0) return int64_t{4} << 30;
  return strtoll(text, nullptr, 10) * sysconf(_SC_PAGESIZE);
}

absl::Status Confine(const Isolation& isolation, const Limits& limits, int64_t mapped_bytes) {
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_CORE, "core size", 0));
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_FSIZE, "file size", 0));
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_NOFILE, "descriptor", 3 + kFirstFree));
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_STACK, "stack", limits.stack_bytes));
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_CPU, "CPU time", limits.cpu_seconds));
  if (isolation.real_time && limits.real_time_seconds > 0) {
    // A second more until it is killed without being asked.
    const auto most = static_cast<rlim_t>(limits.real_time_seconds) * 1'000'000;
    const rlimit limit = {most, most + 1'000'000};
    if (setrlimit(RLIMIT_RTTIME, &limit) != 0) {
      return absl::InternalError(absl::StrCat("real-time limit: ", strerror(errno)));
    }
  }
  // Outside a user namespace it would count the user's other processes too.
  if (isolation.user_namespace) {
    TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_NPROC, "thread", limits.max_threads));
  }
#if defined(__SANITIZE_ADDRESS__)
  (void)mapped_bytes;  // the sanitizer maps terabytes
#else
  TESSERA_RETURN_IF_ERROR(SetLimit(RLIMIT_AS, "memory", mapped_bytes + limits.memory_bytes));
#endif
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::InternalError(absl::StrCat("no_new_privs: ", strerror(errno)));
  }
  if (!isolation.private_root && isolation.landlock) TESSERA_RETURN_IF_ERROR(DenyFiles());
  if (isolation.filter) TESSERA_RETURN_IF_ERROR(InstallFilter(BuildFilter(getpid())));
  return absl::OkStatus();
}

}  // namespace tessera::sandbox
