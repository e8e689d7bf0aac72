#include "cli/library_target.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::cli {
namespace {

// What compiler/library makes.
constexpr std::array kInLibraries{ir::TargetKind::kX86, ir::TargetKind::kAArch64,
                                  ir::TargetKind::kArm, ir::TargetKind::kOpenCl,
                                  ir::TargetKind::kCuda};

}  // namespace

absl::StatusOr<ir::Target> ParseLibraryTarget(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(text));
  if (std::find(kInLibraries.begin(), kInLibraries.end(), target.kind) != kInLibraries.end()) {
    return target;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "target \"", AbslView(text), "\" has no libraries yet; those that have are ",
      absl::StrJoin(kInLibraries, ", ",
                    [](std::string* out, ir::TargetKind kind) { *out += ir::KindName(kind); }),
      ", for example x86/avx2"));
}

}  // namespace tessera::cli
