#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// The programs of an artifact in one text: before each stands a line "kernel NAME".
std::string PrintKernels(absl::Span<const std::pair<std::string, Code>> kernels);
// Their texts in `source`, as ParseCode reads them, by name. InvalidArgument where one is there
// twice, or no line names one.
absl::StatusOr<std::map<std::string_view, std::string_view>> SplitKernels(std::string_view source);

}  // namespace tessera::vta
