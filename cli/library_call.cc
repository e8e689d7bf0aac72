#include "cli/library_call.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::cli {

absl::StatusOr<LoadedLibrary> LoadedLibrary::Load(const std::string& path,
                                                  const std::string& name) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return absl::AbortedError(absl::StrCat("it can't be loaded: ", dlerror()));
  LoadedLibrary library(handle, "");
  TESSERA_ASSIGN_OR_RETURN(void* const isa, library.Find(absl::StrCat("tessera_", name, "_isa")));
  const char* used = reinterpret_cast<const char* (*)()>(isa)();
  if (used == nullptr) {
    return absl::FailedPreconditionError(
        "this CPU, or TESSERA_ISA, allows none of its instruction sets");
  }
  library.isa_ = used;
  return library;
}

absl::Status LoadedLibrary::Call(const std::string& name, absl::Span<void* const> arguments) const {
  TESSERA_ASSIGN_OR_RETURN(void* const function, Find(name));
  const int result = CallFunction(function, arguments);
  if (result == 0) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(name, " returned ", result));
}

absl::StatusOr<size_t> LoadedLibrary::Size(const std::string& name) const {
  TESSERA_ASSIGN_OR_RETURN(void* const function, Find(name));
  return reinterpret_cast<size_t (*)()>(function)();
}

absl::StatusOr<void*> LoadedLibrary::Find(const std::string& name) const {
  void* const function = dlsym(handle_, name.c_str());
  if (function != nullptr) return function;
  return absl::AbortedError(absl::StrCat("it has no function ", name));
}

}  // namespace tessera::cli
