#include "cli/compiled_target.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::cli {
namespace {

// What compiler/codegen generates code for.
constexpr std::array kCompiled{ir::TargetKind::kX86, ir::TargetKind::kAArch64, ir::TargetKind::kArm,
                               ir::TargetKind::kOpenCl, ir::TargetKind::kCuda};

}  // namespace

absl::StatusOr<ir::Target> ParseCompiledTarget(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(text));
  if (std::find(kCompiled.begin(), kCompiled.end(), target.kind) != kCompiled.end()) {
    return target;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "target \"", AbslView(text), "\" has no code generator; those that have one are ",
      absl::StrJoin(kCompiled, ", ",
                    [](std::string* out, ir::TargetKind kind) { *out += ir::KindName(kind); }),
      ", for example x86/avx2"));
}

}  // namespace tessera::cli
