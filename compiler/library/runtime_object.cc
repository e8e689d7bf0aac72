#include "compiler/library/runtime_object.h"

#include "absl/strings/str_cat.h"

// clang-format off
__asm__(
    ".section .rodata\n"
    ".hidden tessera_runtime_x86\n"
    ".globl tessera_runtime_x86\n"
    "tessera_runtime_x86: .incbin \"" TESSERA_RUNTIME_FOLDER "/runtime_x86.o\"\n"
    ".hidden tessera_runtime_x86_end\n"
    ".globl tessera_runtime_x86_end\n"
    "tessera_runtime_x86_end: .byte 0\n"
    ".hidden tessera_runtime_aarch64\n"
    ".globl tessera_runtime_aarch64\n"
    "tessera_runtime_aarch64: .incbin \"" TESSERA_RUNTIME_FOLDER "/runtime_aarch64.o\"\n"
    ".hidden tessera_runtime_aarch64_end\n"
    ".globl tessera_runtime_aarch64_end\n"
    "tessera_runtime_aarch64_end: .byte 0\n"
    ".text\n");
// clang-format on

extern "C" {
extern const char tessera_runtime_x86[], tessera_runtime_x86_end[];
extern const char tessera_runtime_aarch64[], tessera_runtime_aarch64_end[];
}

namespace tessera::library {

absl::StatusOr<std::string> RuntimeObject(ir::TargetKind kind) {
  std::string bytes;
  if (kind == ir::TargetKind::kX86) {
    bytes.assign(tessera_runtime_x86, tessera_runtime_x86_end);
  } else if (kind == ir::TargetKind::kAArch64) {
    bytes.assign(tessera_runtime_aarch64, tessera_runtime_aarch64_end);
  } else {
    return absl::InvalidArgumentError("operator libraries are built for x86 and aarch64 only");
  }
  if (bytes.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this Tessera was built without a C compiler for ",
        kind == ir::TargetKind::kX86 ? "x86-64" : "AArch64",
        ", so it has no runtime to put into libraries for it; install gcc-",
        kind == ir::TargetKind::kX86 ? "x86-64" : "aarch64", "-linux-gnu and build again"));
  }
  return bytes;
}

const std::vector<std::string>& RuntimeLibcFunctions() {
  static const auto& functions = *new std::vector<std::string>{"__sched_cpucount",
                                                               "aligned_alloc",
                                                               "calloc",
                                                               "clock_gettime",
                                                               "free",
                                                               "getauxval",
                                                               "getenv",
                                                               "getpid",
                                                               "madvise",
                                                               "malloc",
                                                               "memcmp",
                                                               "memcpy",
                                                               "memmove",
                                                               "memset",
                                                               "mmap",
                                                               "munmap",
                                                               "pthread_attr_destroy",
                                                               "pthread_attr_init",
                                                               "pthread_attr_setstacksize",
                                                               "pthread_create",
                                                               "pthread_getspecific",
                                                               "pthread_join",
                                                               "pthread_key_create",
                                                               "pthread_key_delete",
                                                               "pthread_mutex_lock",
                                                               "pthread_mutex_unlock",
                                                               "pthread_once",
                                                               "pthread_rwlock_rdlock",
                                                               "pthread_rwlock_unlock",
                                                               "pthread_rwlock_wrlock",
                                                               "pthread_setspecific",
                                                               "pthread_sigmask",
                                                               "sched_getaffinity",
                                                               "sched_getcpu",
                                                               "sched_setaffinity",
                                                               "sigfillset",
                                                               "strlen",
                                                               "syscall"};
  return functions;
}

}  // namespace tessera::library
