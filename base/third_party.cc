#include "base/third_party.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/names.h"
#include "base/view.h"

namespace tessera {
namespace {

// By what its build function says of itself, in words.
std::string WhyUnfitInWords(const ThirdParty& library, void* handle) {
  using Build = const char* (*)();
  const auto build =
      reinterpret_cast<Build>(dlsym(handle, std::string(library.build_function).c_str()));
  const std::string text = build();
  if (text.find(library.unsafe_build) != std::string::npos) {
    return absl::StrCat("can't be called by several threads at once, being built as \"", text,
                        "\"");
  }
  if (text.find(library.threaded_build) != std::string::npos) {
    return absl::StrCat("would start threads of its own, being built as \"", text, "\"");
  }
  return "";
}

// A call of oneDNN takes as many threads as its thread's setting of OpenMP says, which the C
// runtime holds to one around each. Other kinds of threads heed other settings.
std::string WhyOneDnnUnfit(const ThirdParty& library, void* handle) {
  struct Version {  // of version 2's C interface
    int major, minor, patch;
    const char* hash;
    unsigned cpu_threads, gpu_threads;
  };
  constexpr unsigned kOpenMp = 2;
  const auto get = reinterpret_cast<const Version* (*)()>(
      dlsym(handle, std::string(library.build_function).c_str()));
  const Version& version = *get();
  if (version.cpu_threads != kOpenMp) {
    return absl::StrCat("would start threads of its own, being built for threads of kind ",
                        version.cpu_threads, " instead of OpenMP's, ", kOpenMp);
  }
  for (const std::string_view function : library.runtime_functions) {
    // Of what it depends on, too.
    if (dlsym(handle, std::string(function).c_str()) == nullptr) {
      return absl::StrCat("comes without function ", AbslView(function));
    }
  }
  return "";
}

constexpr std::string_view kOpenBlasFunctions[] = {"cblas_sgemm"};
constexpr std::string_view kOneDnnFunctions[] = {"dnnl_get_effective_cpu_isa",
                                                 "dnnl_sgemm",
                                                 "dnnl_gemm_s8s8s32",
                                                 "dnnl_gemm_u8s8s32",
                                                 "dnnl_dilated_convolution_forward_desc_init",
                                                 "dnnl_engine_create",
                                                 "dnnl_engine_destroy",
                                                 "dnnl_memory_create",
                                                 "dnnl_memory_desc_get_size",
                                                 "dnnl_memory_desc_init_by_tag",
                                                 "dnnl_memory_destroy",
                                                 "dnnl_memory_set_data_handle",
                                                 "dnnl_primitive_attr_create",
                                                 "dnnl_primitive_attr_destroy",
                                                 "dnnl_primitive_attr_set_scratchpad_mode",
                                                 "dnnl_primitive_create",
                                                 "dnnl_primitive_desc_create",
                                                 "dnnl_primitive_desc_destroy",
                                                 "dnnl_primitive_desc_query_md",
                                                 "dnnl_primitive_destroy",
                                                 "dnnl_primitive_execute",
                                                 "dnnl_stream_create",
                                                 "dnnl_stream_destroy"};
constexpr std::string_view kOpenMpFunctions[] = {"omp_get_max_threads", "omp_set_num_threads"};
constexpr std::string_view kOneDnnEntryPoints[] = {
    "tessera_onednn_gemm_f32", "tessera_onednn_gemm_s8", "tessera_onednn_gemm_u8",
    "tessera_onednn_convolve"};

constexpr ThirdParty kThirdParties[] = {
    {.name = "openblas",
     .soname = "libopenblas.so.0",
     .functions = kOpenBlasFunctions,
     .entry_points = kOpenBlasFunctions,
     .package = "libopenblas0-pthread",
     .license = "BSD-3-Clause",
     .threads_variable = "OPENBLAS_NUM_THREADS",
     .build_function = "openblas_get_config",
     // Hands out the buffers that it packs into without a lock.
     .unsafe_build = "SINGLE_THREADED",
     // Asks the OpenMP runtime how many threads a call has.
     .threaded_build = "USE_OPENMP",
     .why_unfit = WhyUnfitInWords},
    {.name = "onednn",
     .soname = "libdnnl.so.2",
     .functions = kOneDnnFunctions,
     .runtime_soname = "libgomp.so.1",
     .runtime_functions = kOpenMpFunctions,
     .entry_points = kOneDnnEntryPoints,
     .package = "libdnnl2",
     .license = "Apache-2.0",
     .build_function = "dnnl_version",
     .why_unfit = WhyOneDnnUnfit},
};

}  // namespace

std::vector<std::string_view> ThirdParty::Sonames() const {
  std::vector<std::string_view> names = {soname};
  if (!runtime_soname.empty()) names.push_back(runtime_soname);
  return names;
}

absl::Span<const ThirdParty> ThirdParties() { return kThirdParties; }

const ThirdParty* ThirdPartyNamed(std::string_view name) {
  const auto found = std::ranges::find(kThirdParties, name, &ThirdParty::name);
  return found == std::end(kThirdParties) ? nullptr : &*found;
}

absl::StatusOr<std::string> ParseAllowed(std::string_view text) {
  if (text.empty()) return std::string();
  std::vector<std::string_view> wanted;
  for (const absl::string_view part : absl::StrSplit(AbslView(text), ',')) {
    const std::string_view name = StdView(part);
    if (ThirdPartyNamed(name) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("allow: no library \"", part.substr(0, 60),
                                                     "\"; known are ", NamesOf(ThirdParties())));
    }
    if (std::ranges::count(wanted, name) > 0) {
      return absl::InvalidArgumentError(absl::StrCat("allow: ", part, " is named twice"));
    }
    wanted.push_back(name);
  }
  std::vector<std::string> allowed;
  for (const ThirdParty& library : ThirdParties()) {
    if (std::ranges::count(wanted, library.name) > 0) allowed.emplace_back(library.name);
  }
  return absl::StrJoin(allowed, ",");
}

bool IsAllowed(std::string_view allowed, std::string_view name) {
  for (const absl::string_view part : absl::StrSplit(AbslView(allowed), ',')) {
    if (StdView(part) == name) return !name.empty();
  }
  return false;
}

absl::StatusOr<void*> LoadThirdParty(const ThirdParty& library) {
  const std::string soname(library.soname);
  if (!library.threads_variable.empty()) {
    setenv(std::string(library.threads_variable).c_str(), "1", 1);
  }
  void* const handle = dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(AbslView(library.name),
                                                      " can't be loaded: ", dlerror(), "; install ",
                                                      AbslView(library.package)));
  }
  const std::string build(library.build_function);
  const std::string unfit = dlsym(handle, build.c_str()) == nullptr
                                ? absl::StrCat("has no function ", build)
                                : library.why_unfit(library, handle);
  if (unfit.empty()) return handle;
  dlclose(handle);
  return absl::FailedPreconditionError(
      absl::StrCat(soname, " ", unfit, "; install ", AbslView(library.package), " instead"));
}

}  // namespace tessera
