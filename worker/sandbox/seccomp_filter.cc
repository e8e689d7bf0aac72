#include "worker/sandbox/seccomp_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"

namespace tessera::sandbox {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#elif defined(__arm__)
constexpr uint32_t kArch = AUDIT_ARCH_ARM;
#else
#error "the sandbox knows the system calls of x86-64, AArch64 and ARM only"
#endif

constexpr int kAllowed[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_lseek, SYS_close, SYS_ppoll,
    SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list,
    SYS_set_tid_address, SYS_rseq, SYS_membarrier, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_sched_setaffinity, SYS_getcpu, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime,
    SYS_clock_getres, SYS_gettimeofday, SYS_getpid, SYS_gettid, SYS_getrusage, SYS_getrandom,
    SYS_uname, SYS_sysinfo, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_restart_syscall, SYS_exit, SYS_exit_group,
#if defined(__arm__)
    // What has another name or form there, and what the C library asks first for 64-bit times.
    SYS_mmap2, SYS__llseek, SYS_fstat64, SYS_fstatat64, SYS_statx, SYS_ppoll_time64,
    SYS_futex_time64, SYS_clock_nanosleep_time64, SYS_clock_gettime64, SYS_clock_getres_time64,
    SYS_ugetrlimit, SYS_sigreturn, __ARM_NR_set_tls, __ARM_NR_cacheflush,
#else
    SYS_mmap,
    SYS_fstat,
    SYS_newfstatat,
#endif
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_time
    SYS_time,
#endif
#if defined(__SANITIZE_ADDRESS__)
    SYS_pipe2,  // the sanitizer's way to find out whether memory can be read
#endif
};

class Assembler {
 public:
  void Load(uint32_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }
  void And(uint32_t mask) { Add(BPF_ALU | BPF_AND | BPF_K, 0, 0, mask); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, 0, 0, action); }
  void IfEqualSkip(uint32_t value, uint8_t skip) { Add(BPF_JMP | BPF_JEQ | BPF_K, skip, 0, value); }
  // Skips the next `skip` instructions unless the accumulator equals / is at least `value`.
  void UnlessEqualSkip(uint32_t value, uint8_t skip) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value);
  }
  void UnlessAtLeastSkip(uint32_t value, uint8_t skip) {
    Add(BPF_JMP | BPF_JGE | BPF_K, 0, skip, value);
  }
  std::vector<sock_filter> Take() { return std::move(code_); }

 private:
  void Add(int op, uint8_t if_true, uint8_t if_false, uint32_t k) {
    code_.push_back({static_cast<uint16_t>(op), if_true, if_false, k});
  }
  std::vector<sock_filter> code_;
};

// Little-endian: the low half of argument `i` comes first.
constexpr uint32_t Low(int i) { return offsetof(seccomp_data, args) + 8u * i; }
constexpr uint32_t High(int i) { return Low(i) + 4; }
constexpr uint32_t Fail(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

// Allows call `number` when `argument & mask == value`, else raises SIGSYS.
void AllowMasked(Assembler& code, int number, int argument, uint32_t mask, uint32_t value) {
  code.UnlessEqualSkip(static_cast<uint32_t>(number), 5);
  code.Load(Low(argument));
  code.And(mask);
  code.UnlessEqualSkip(value, 1);
  code.Return(SECCOMP_RET_ALLOW);
  code.Return(SECCOMP_RET_TRAP);
}

}  // namespace

std::vector<sock_filter> BuildFilter(int own_pid) {
  Assembler code;
  code.Load(offsetof(seccomp_data, arch));
  code.IfEqualSkip(kArch, 1);
  code.Return(SECCOMP_RET_KILL_PROCESS);
  code.Load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  code.UnlessAtLeastSkip(0x40000000u, 1);  // the x32 numbers of the same calls
  code.Return(SECCOMP_RET_KILL_PROCESS);
#endif
  for (const int number : kAllowed) {
    code.UnlessEqualSkip(static_cast<uint32_t>(number), 1);
    code.Return(SECCOMP_RET_ALLOW);
  }
  constexpr uint32_t kWriting =
      O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
  AllowMasked(code, SYS_openat, 2, kWriting, 0);
#ifdef SYS_open
  AllowMasked(code, SYS_open, 1, kWriting, 0);
#endif
  constexpr uint32_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  AllowMasked(code, SYS_clone, 0, kThread | kNamespaces, kThread);
  AllowMasked(code, SYS_tgkill, 0, ~0u, static_cast<uint32_t>(own_pid));
  for (const auto& [number, error] : {std::pair{SYS_clone3, ENOSYS},
                                      {SYS_mbind, ENOSYS},  // OpenBLAS asks, and goes on without
                                      {SYS_ioctl, ENOTTY},
                                      {SYS_prctl, EPERM},
                                      {SYS_faccessat, EACCES},
                                      {SYS_readlinkat, EACCES}}) {
    code.UnlessEqualSkip(static_cast<uint32_t>(number), 1);
    code.Return(Fail(error));
  }
  // Reading a limit is harmless (thread stacks ask for it), setting one is not.
  code.UnlessEqualSkip(SYS_prlimit64, 6);
  code.Load(Low(2));
  code.UnlessEqualSkip(0, 3);
  code.Load(High(2));
  code.UnlessEqualSkip(0, 1);
  code.Return(SECCOMP_RET_ALLOW);
  code.Return(SECCOMP_RET_TRAP);
  code.Return(SECCOMP_RET_TRAP);
  return code.Take();
}

absl::Status InstallFilter(const std::vector<sock_filter>& filter) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::UnimplementedError(absl::StrCat("no_new_privs: ", strerror(errno)));
  }
  sock_fprog program = {static_cast<unsigned short>(filter.size()),
                        const_cast<sock_filter*>(filter.data())};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    return absl::UnimplementedError(absl::StrCat("seccomp filter: ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace tessera::sandbox
