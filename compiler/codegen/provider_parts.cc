#include "compiler/codegen/provider_parts.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/names.h"
#include "base/third_party.h"
#include "base/view.h"
#include "compiler/codegen/embed.h"

TESSERA_EMBED(onednn_x86);

namespace tessera::codegen {

absl::StatusOr<ProviderParts> PartsOfProviders(ir::TargetKind kind,
                                               absl::Span<const std::string> providers) {
  ProviderParts parts;
  for (const std::string& name : providers) {
    const ThirdParty* provider = ThirdPartyNamed(name);
    if (provider == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("linking: no library ", name, "; known are ", NamesOf(ThirdParties())));
    }
    const auto need = [&](std::string_view soname, absl::Span<const std::string_view> functions) {
      parts.needed.push_back({std::string(soname), {functions.begin(), functions.end()}});
    };
    need(provider->soname, provider->functions);
    if (!provider->runtime_soname.empty()) {
      need(provider->runtime_soname, provider->runtime_functions);
    }
    if (name != "onednn") continue;
    if (kind != ir::TargetKind::kX86) {
      return absl::InvalidArgumentError(absl::StrCat("linking: onednn is called on x86 alone, not ",
                                                     AbslView(ir::KindName(kind))));
    }
    const std::string_view object(tessera_onednn_x86, tessera_onednn_x86_end);
    if (object.empty()) {
      return absl::FailedPreconditionError(
          "linking: this Tessera was built without a C compiler for x86, so nothing of it can call "
          "onednn; install gcc-x86-64-linux-gnu and build again");
    }
    parts.objects.emplace_back(object);
    parts.libc_functions = {"__cxa_atexit", "__cxa_finalize", "aligned_alloc", "calloc", "free"};
  }
  return parts;
}

}  // namespace tessera::codegen
