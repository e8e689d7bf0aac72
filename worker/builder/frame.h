#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

// Byte strings over a stream socket, each behind its length (8 bytes, this machine's order: both
// ends are the same program).

namespace tessera::builder {

using SteadyTime = std::chrono::steady_clock::time_point;
inline constexpr SteadyTime kForever = SteadyTime::max();

// Both: DeadlineExceeded at `deadline`; Unavailable when the other side is gone (for receiving:
// also between frames). ReceiveFrame: InvalidArgument for a frame over `max_bytes`.
absl::Status SendFrame(int socket, std::string_view bytes, SteadyTime deadline);
absl::StatusOr<std::string> ReceiveFrame(int socket, size_t max_bytes, SteadyTime deadline);

}  // namespace tessera::builder
