#include "base/third_party.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/names.h"
#include "base/view.h"

namespace tessera {
namespace {

constexpr ThirdParty kThirdParties[] = {
    {"openblas", "libopenblas.so.0", "cblas_sgemm", "libopenblas0-serial", "openblas", "openblas",
     "BSD-3-Clause", "OPENBLAS_NUM_THREADS"},
};

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

}  // namespace tessera
