#include "worker/runner/unloaded.h"

#include "absl/strings/str_cat.h"
#include "base/third_party.h"
#include "base/view.h"

namespace tessera::runner {

std::string WhyNotLoaded(std::string_view error) {
  for (const ThirdParty& needed : ThirdParties()) {
    if (error.find(needed.soname) == std::string_view::npos) continue;
    return absl::StrCat("the artifact calls ", AbslView(needed.name), ", of Debian's ",
                        AbslView(needed.package),
                        ", which is not loaded here; start the worker with --allow ",
                        AbslView(needed.name), " or tune without");
  }
  return absl::StrCat("the artifact can't be loaded: ", AbslView(error));
}

}  // namespace tessera::runner
