#include "worker/sandbox/child_exit.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tessera::sandbox {
namespace {

struct NamedCall {
  int number;
  const char* name;
};
constexpr NamedCall kCalls[] = {
    {SYS_clone, "clone"},
    {SYS_execve, "execve"},
    {SYS_execveat, "execveat"},
    {SYS_socket, "socket"},
    {SYS_connect, "connect"},
    {SYS_bind, "bind"},
    {SYS_openat, "openat"},
    {SYS_openat2, "openat2"},
    {SYS_kill, "kill"},
    {SYS_tgkill, "tgkill"},
    {SYS_tkill, "tkill"},
    {SYS_ptrace, "ptrace"},
    {SYS_setsid, "setsid"},
    {SYS_setpgid, "setpgid"},
    {SYS_mount, "mount"},
    {SYS_unshare, "unshare"},
    {SYS_setns, "setns"},
    {SYS_chroot, "chroot"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_renameat, "renameat"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_setrlimit, "setrlimit"},
    {SYS_prlimit64, "prlimit64"},
    {SYS_dup, "dup"},
    {SYS_dup3, "dup3"},
    {SYS_bpf, "bpf"},
    {SYS_getcwd, "getcwd"},
    {SYS_getdents64, "getdents64"},
    {SYS_wait4, "wait4"},
    {SYS_setuid, "setuid"},
    {SYS_socketpair, "socketpair"},
    {SYS_pipe2, "pipe2"},
    {SYS_memfd_create, "memfd_create"},
    {SYS_process_vm_readv, "process_vm_readv"},
#ifdef SYS_fork
    {SYS_fork, "fork"},
    {SYS_vfork, "vfork"},
    {SYS_open, "open"},
    {SYS_creat, "creat"},
    {SYS_unlink, "unlink"},
    {SYS_mkdir, "mkdir"},
    {SYS_dup2, "dup2"},
    {SYS_pipe, "pipe"},
    {SYS_readlink, "readlink"},
#endif
};

std::string Where(const Diagnosis& diagnosis) {
  if (diagnosis.signal != SIGSEGV && diagnosis.signal != SIGBUS) return "";
  if (diagnosis.stack_overflow != 0) return " (stack overflow)";
  const char* note = diagnosis.fault_address < 4096 ? " (null pointer)" : "";
  return absl::StrFormat(" at address %#x%s", diagnosis.fault_address, note);
}

}  // namespace

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("signal ", signal);
}

std::string SystemCallName(int number) {
  for (const NamedCall& call : kCalls) {
    if (call.number == number) return absl::StrCat(call.name, " (", number, ")");
  }
  return absl::StrCat("system call ", number);
}

ChildExit ExplainExit(int wait_status, const Diagnosis& diagnosis, KillReason killed,
                      int64_t peak_memory_bytes, int64_t memory_limit_bytes) {
  ChildExit exit;
  exit.peak_memory_bytes = peak_memory_bytes;
  if (diagnosis.setup_error[0] != 0) {
    exit.kind = ExitKind::kSandbox;
    exit.reason =
        absl::StrCat("the child could not be confined: ",
                     std::string(diagnosis.setup_error,
                                 strnlen(diagnosis.setup_error, sizeof(diagnosis.setup_error))));
    return exit;
  }
  if (WIFEXITED(wait_status)) {
    exit.kind = ExitKind::kExited;
    exit.exit_code = WEXITSTATUS(wait_status);
    exit.reason = absl::StrCat("exited with code ", exit.exit_code);
    return exit;
  }
  exit.signal = WTERMSIG(wait_status);
  if (exit.signal == SIGKILL && killed == KillReason::kTimeout) {
    exit.kind = ExitKind::kTimeout;
    exit.reason = "killed at its deadline";
    return exit;
  }
  if (exit.signal == SIGXCPU) {
    exit.kind = ExitKind::kTimeout;
    exit.reason = "used up its CPU time, or computed for too long without a pause";
    return exit;
  }
  if (exit.signal == SIGKILL && killed == KillReason::kNotNeeded) {
    exit.kind = ExitKind::kKilled;
    exit.reason = "killed because it was not needed any more";
    return exit;
  }
  if (exit.signal == SIGSYS) {
    exit.kind = ExitKind::kForbidden;
    exit.reason = diagnosis.signal == SIGSYS ? absl::StrCat("forbidden system call: ",
                                                            SystemCallName(diagnosis.system_call))
                                             : "forbidden system call";
    return exit;
  }
  // A tenth is left for what the limit counts but memory does not show: stacks, mappings.
  const bool memory_full =
      memory_limit_bytes > 0 && peak_memory_bytes > memory_limit_bytes - memory_limit_bytes / 10;
  if (exit.signal == SIGKILL || diagnosis.memory_exhausted != 0 || memory_full) {
    exit.kind = ExitKind::kOutOfMemory;
    exit.reason = exit.signal == SIGKILL
                      ? "killed by the system, most likely for want of memory"
                      : absl::StrCat("out of memory: the limit of ", memory_limit_bytes >> 20,
                                     " MiB was reached, then ", SignalName(exit.signal));
    return exit;
  }
  exit.kind = ExitKind::kCrashed;
  exit.reason = absl::StrCat(SignalName(exit.signal), Where(diagnosis));
  return exit;
}

}  // namespace tessera::sandbox
