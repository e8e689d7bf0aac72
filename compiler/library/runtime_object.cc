#include "compiler/library/runtime_object.h"

#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/codegen/embed.h"

TESSERA_EMBED(runtime_x86);
TESSERA_EMBED(runtime_aarch64);
TESSERA_EMBED(runtime_arm);
TESSERA_EMBED(opencl_x86);
TESSERA_EMBED(opencl_aarch64);
TESSERA_EMBED(opencl_arm);
TESSERA_EMBED(cuda_x86);
TESSERA_EMBED(cuda_aarch64);
TESSERA_EMBED(vta_x86);
TESSERA_EMBED(vta_aarch64);
TESSERA_EMBED(vta_arm);

namespace tessera::library {
namespace {

struct Embedded {
  ir::TargetKind kind;
  std::string_view runtime, opencl, cuda, vta;
  const char* package;  // the compiler that makes them, in Debian
};

const Embedded kEmbedded[] = {{ir::TargetKind::kX86,
                               {tessera_runtime_x86, tessera_runtime_x86_end},
                               {tessera_opencl_x86, tessera_opencl_x86_end},
                               {tessera_cuda_x86, tessera_cuda_x86_end},
                               {tessera_vta_x86, tessera_vta_x86_end},
                               "gcc-x86-64-linux-gnu"},
                              {ir::TargetKind::kAArch64,
                               {tessera_runtime_aarch64, tessera_runtime_aarch64_end},
                               {tessera_opencl_aarch64, tessera_opencl_aarch64_end},
                               {tessera_cuda_aarch64, tessera_cuda_aarch64_end},
                               {tessera_vta_aarch64, tessera_vta_aarch64_end},
                               "gcc-aarch64-linux-gnu"},
                              {ir::TargetKind::kArm,
                               {tessera_runtime_arm, tessera_runtime_arm_end},
                               {tessera_opencl_arm, tessera_opencl_arm_end},
                               {},  // CUDA has no 32-bit driver
                               {tessera_vta_arm, tessera_vta_arm_end},
                               "gcc-arm-linux-gnueabihf"}};

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
                                          "raise",
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

// What libraries for accelerators call beside those.
constexpr const char* kAcceleratorLibcFunctions[] = {"__errno_location", "close",      "mmap64",
                                                     "nanosleep",        "open64",     "read",
                                                     "realloc",          "strerror_r", "strtoll"};

std::string_view LauncherOf(const Embedded& embedded, ir::TargetKind device) {
  switch (device) {
    case ir::TargetKind::kCuda:
      return embedded.cuda;
    case ir::TargetKind::kVta:
      return embedded.vta;
    default:
      return embedded.opencl;
  }
}

}  // namespace

absl::StatusOr<RuntimeParts> RuntimeFor(ir::TargetKind kind, std::optional<ir::TargetKind> device) {
  for (const Embedded& embedded : kEmbedded) {
    if (embedded.kind != kind) continue;
    if (embedded.runtime.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "this Tessera was built without a C compiler for ", AbslView(ir::KindName(kind)),
          ", so it has no runtime to put into libraries for it; install ", embedded.package,
          " and build again"));
    }
    RuntimeParts parts;
    parts.objects.emplace_back(embedded.runtime);
    parts.libc_functions.assign(std::begin(kLibcFunctions), std::end(kLibcFunctions));
    if (device) {
      const std::string_view launcher = LauncherOf(embedded, *device);
      if (launcher.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "library: CUDA has no driver for programs of ", AbslView(ir::KindName(kind)),
            "; libraries for cuda have versions for x86 or aarch64"));
      }
      parts.objects.emplace_back(launcher);
      parts.libc_functions.insert(parts.libc_functions.end(), std::begin(kDeviceLibcFunctions),
                                  std::end(kDeviceLibcFunctions));
      if (*device == ir::TargetKind::kVta) {
        parts.libc_functions.insert(parts.libc_functions.end(),
                                    std::begin(kAcceleratorLibcFunctions),
                                    std::end(kAcceleratorLibcFunctions));
      }
    }
    return parts;
  }
  return absl::InvalidArgumentError("operator libraries are built for x86, aarch64 and arm only");
}

}  // namespace tessera::library
