#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// The programs of an artifact in one text: before each stands a line "kernel NAME".
std::string PrintKernels(absl::Span<const std::pair<std::string, Code>> kernels);
// The text of one of them, as ParseCode reads it. InvalidArgument where it isn't there, or twice.
absl::StatusOr<std::string_view> FindKernel(std::string_view source, std::string_view name);

}  // namespace tessera::vta
