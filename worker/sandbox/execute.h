#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::sandbox {

// The first descriptor that an executed program is given beyond the standard ones.
inline constexpr int kFirstDescriptor = 3;

// Executes a program with `descriptors` as its descriptors from kFirstDescriptor on and no others:
// nothing to read, and `output` (-1: nowhere) for what it says. It leads a process group of its
// own: Ctrl-C at the terminal is the caller's business. Signals are as a program expects them,
// whatever this one ignores or blocks. Unavailable where it can't be executed; ResourceExhausted
// without descriptors.
absl::StatusOr<pid_t> Execute(std::vector<std::string> command, int output,
                              absl::Span<const int> descriptors);

}  // namespace tessera::sandbox
