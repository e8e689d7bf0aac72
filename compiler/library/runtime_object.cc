#include "compiler/library/runtime_object.h"

#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"

// clang-format off
#define TESSERA_EMBED(name)                                            \
  ".hidden " #name "\n"                                                \
  ".globl " #name "\n"                                                 \
  #name ": .incbin \"" TESSERA_RUNTIME_FOLDER "/" #name ".o\"\n"       \
  ".hidden " #name "_end\n"                                            \
  ".globl " #name "_end\n"                                             \
  #name "_end: .byte 0\n"
__asm__(
    ".section .rodata\n"
    TESSERA_EMBED(tessera_runtime_x86)
    TESSERA_EMBED(tessera_runtime_aarch64)
    TESSERA_EMBED(tessera_opencl_x86)
    TESSERA_EMBED(tessera_opencl_aarch64)
    ".text\n");
// clang-format on

extern "C" {
extern const char tessera_runtime_x86[], tessera_runtime_x86_end[];
extern const char tessera_runtime_aarch64[], tessera_runtime_aarch64_end[];
extern const char tessera_opencl_x86[], tessera_opencl_x86_end[];
extern const char tessera_opencl_aarch64[], tessera_opencl_aarch64_end[];
}

namespace tessera::library {
namespace {

constexpr const char* kLibcFunctions[] = {"__sched_cpucount",
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
constexpr const char* kDeviceLibcFunctions[] = {"dlopen",
                                                "dlsym",
                                                "dprintf",
                                                "pthread_mutex_destroy",
                                                "pthread_mutex_init",
                                                "strchr",
                                                "strcmp",
                                                "strcspn",
                                                "strstr",
                                                "vsnprintf"};

}  // namespace

absl::StatusOr<RuntimeParts> RuntimeFor(ir::TargetKind kind, bool has_device) {
  std::string_view runtime, device;
  if (kind == ir::TargetKind::kX86) {
    runtime = {tessera_runtime_x86, tessera_runtime_x86_end};
    device = {tessera_opencl_x86, tessera_opencl_x86_end};
  } else if (kind == ir::TargetKind::kAArch64) {
    runtime = {tessera_runtime_aarch64, tessera_runtime_aarch64_end};
    device = {tessera_opencl_aarch64, tessera_opencl_aarch64_end};
  } else {
    return absl::InvalidArgumentError("operator libraries are built for x86 and aarch64 only");
  }
  if (runtime.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this Tessera was built without a C compiler for ",
        kind == ir::TargetKind::kX86 ? "x86-64" : "AArch64",
        ", so it has no runtime to put into libraries for it; install gcc-",
        kind == ir::TargetKind::kX86 ? "x86-64" : "aarch64", "-linux-gnu and build again"));
  }
  RuntimeParts parts;
  parts.objects.emplace_back(runtime);
  parts.libc_functions.assign(std::begin(kLibcFunctions), std::end(kLibcFunctions));
  if (has_device) {
    parts.objects.emplace_back(device);
    parts.libc_functions.insert(parts.libc_functions.end(), std::begin(kDeviceLibcFunctions),
                                std::end(kDeviceLibcFunctions));
  }
  return parts;
}

}  // namespace tessera::library
