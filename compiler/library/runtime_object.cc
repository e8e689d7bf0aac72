#include "compiler/library/runtime_object.h"

#include "absl/strings/str_cat.h"
#include "base/view.h"

// The bytes of a file of the build folder, between two symbols.
// clang-format off
#define TESSERA_EMBED(kind)                                                        \
  __asm__(".section .rodata\n"                                                     \
          ".hidden tessera_runtime_" #kind "\n"                                    \
          ".globl tessera_runtime_" #kind "\n"                                     \
          "tessera_runtime_" #kind ": .incbin \"" TESSERA_RUNTIME_FOLDER            \
          "/runtime_" #kind ".o\"\n"                                               \
          ".hidden tessera_runtime_" #kind "_end\n"                                \
          ".globl tessera_runtime_" #kind "_end\n"                                 \
          "tessera_runtime_" #kind "_end: .byte 0\n"                               \
          ".text\n");                                                              \
  extern "C" const char tessera_runtime_##kind[], tessera_runtime_##kind##_end[]
// clang-format on

TESSERA_EMBED(x86);
TESSERA_EMBED(aarch64);
TESSERA_EMBED(arm);

namespace tessera::library {
namespace {

struct Embedded {
  ir::TargetKind kind;
  const char* begin;
  const char* end;
  const char* package;  // the compiler that makes it, in Debian
};

const Embedded kEmbedded[] = {
    {ir::TargetKind::kX86, tessera_runtime_x86, tessera_runtime_x86_end, "gcc-x86-64-linux-gnu"},
    {ir::TargetKind::kAArch64, tessera_runtime_aarch64, tessera_runtime_aarch64_end,
     "gcc-aarch64-linux-gnu"},
    {ir::TargetKind::kArm, tessera_runtime_arm, tessera_runtime_arm_end,
     "gcc-arm-linux-gnueabihf"}};

}  // namespace

absl::StatusOr<std::string> RuntimeObject(ir::TargetKind kind) {
  for (const Embedded& object : kEmbedded) {
    if (object.kind != kind) continue;
    if (object.begin != object.end) return std::string(object.begin, object.end);
    return absl::FailedPreconditionError(absl::StrCat(
        "this Tessera was built without a C compiler for ", AbslView(ir::KindName(kind)),
        ", so it has no runtime to put into libraries "
        "for it; install ",
        object.package, " and build again"));
  }
  return absl::InvalidArgumentError("operator libraries are built for x86, aarch64 and arm only");
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
                                                               "raise",
                                                               "sched_getaffinity",
                                                               "sched_getcpu",
                                                               "sched_setaffinity",
                                                               "sigfillset",
                                                               "strlen",
                                                               "syscall"};
  return functions;
}

}  // namespace tessera::library
