#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// A program as text, as artifacts carry it. ParseCode reads what Print writes; input is hostile:
// what Check refuses, it refuses.
std::string Print(const Code& code);
absl::StatusOr<Code> ParseCode(std::string_view text, int buffers);

}  // namespace tessera::vta
