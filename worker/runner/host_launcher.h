#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "compiler/runtime/kernel.h"

namespace tessera::runner {

// The launcher that libraries ship (compiler/runtime), for `threads` threads of which the caller's
// is the first; distinct `cores` pin one thread each, empty pins none. nullptr when not
// all threads can be started or pinned. Lives as long as the process.
tessera_launcher* MakeHostLauncher(int threads, absl::Span<const int32_t> cores);

}  // namespace tessera::runner
