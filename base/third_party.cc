#include "base/third_party.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr ThirdParty kThirdParties[] = {
    {"openblas", "libopenblas.so.0", "cblas_sgemm", "libopenblas0-serial", "openblas", "openblas",
     "BSD-3-Clause"},
};

}  // namespace

absl::Span<const ThirdParty> ThirdParties() { return kThirdParties; }

const ThirdParty* ThirdPartyNamed(std::string_view name) {
  const auto found = std::ranges::find(kThirdParties, name, &ThirdParty::name);
  return found == std::end(kThirdParties) ? nullptr : &*found;
}

}  // namespace tessera
