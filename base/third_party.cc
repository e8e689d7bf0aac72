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

constexpr ThirdParty kThirdParties[] = {
    {"openblas", "libopenblas.so.0", "cblas_sgemm", "libopenblas0-pthread", "BSD-3-Clause",
     "OPENBLAS_NUM_THREADS", "openblas_get_config",
     // Hands out the buffers that it packs into without a lock.
     "SINGLE_THREADED",
     // Asks the OpenMP runtime how many threads a call has.
     "USE_OPENMP"},
};

// Why threads can't share a library that is loaded; empty: they can.
std::string WhyUnfit(const ThirdParty& library, void* handle) {
  using Build = const char* (*)();
  const std::string function(library.build_function);
  const auto build = reinterpret_cast<Build>(dlsym(handle, function.c_str()));
  if (build == nullptr) return absl::StrCat("has no function ", function);
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

}  // namespace

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
  setenv(std::string(library.threads_variable).c_str(), "1", 1);
  void* const handle = dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(AbslView(library.name),
                                                      " can't be loaded: ", dlerror(), "; install ",
                                                      AbslView(library.package)));
  }
  const std::string unfit = WhyUnfit(library, handle);
  if (unfit.empty()) return handle;
  dlclose(handle);
  return absl::FailedPreconditionError(
      absl::StrCat(soname, " ", unfit, "; install ", AbslView(library.package), " instead"));
}

}  // namespace tessera
