#include "compiler/ir/together.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tessera::ir {

std::optional<std::string> WhyNotTogether(const Target& a, const Target& b) {
  if (a.kind != b.kind) return "are machines of different kinds, which need a library each";
  if (a.features != b.features) return std::nullopt;
  return absl::StrCat("have the same instruction set, ", absl::StrJoin(a.features, ","),
                      ", by which a library chooses its version");
}

}  // namespace tessera::ir
