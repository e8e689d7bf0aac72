#pragma once

#include <cstdint>

// What lowering makes of a schedule at most: passes enforce it, rules of spaces keep to it.

namespace tessera::schedule {

// Lanes of one vector operation; longer vector loops become several.
inline constexpr int64_t kMaxLanes = 64;

// Stores of a program once its unrolled loops are copied; more are refused.
inline constexpr int64_t kMaxUnrolledStores = 20'000;

// Bytes to which a kernel rounds up what a block shares of one buffer.
inline constexpr int64_t kSharedAlignment = 16;

// Arguments of a kernel of OpenCL that are constant memory, or images of buffers: what devices of
// its embedded profile have at least, as far as they have such.
inline constexpr int64_t kMaxConstantArguments = 4, kMaxImageArguments = 8;

}  // namespace tessera::schedule
