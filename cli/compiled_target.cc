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

struct Kind {
  ir::TargetKind kind;
  const char* name;
};

// What compiler/codegen generates code for.
constexpr std::array kCompiled{
    Kind{ir::TargetKind::kX86, "x86"}, Kind{ir::TargetKind::kAArch64, "aarch64"},
    Kind{ir::TargetKind::kOpenCl, "opencl"}, Kind{ir::TargetKind::kCuda, "cuda"}};

}  // namespace

absl::StatusOr<ir::Target> ParseCompiledTarget(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(text));
  if (std::any_of(kCompiled.begin(), kCompiled.end(),
                  [&](const Kind& known) { return known.kind == target.kind; })) {
    return target;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "target \"", AbslView(text), "\" has no code generator; those that have one are ",
      absl::StrJoin(kCompiled, ", ",
                    [](std::string* out, const Kind& known) { out->append(known.name); }),
      ", for example x86/avx2"));
}

}  // namespace tessera::cli
