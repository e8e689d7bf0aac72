#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"

namespace tessera::sandbox {

// Sends `bytes` as one message with copies of `descriptors`.
absl::Status SendMessage(int socket, absl::Span<const std::byte> bytes,
                         absl::Span<const int> descriptors);

struct Message {
  std::vector<std::byte> bytes;  // empty = the other side is gone
  std::vector<UniqueFd> descriptors;
};
// Receives one message of at most `max_bytes`; blocks.
absl::StatusOr<Message> ReceiveMessage(int socket, size_t max_bytes);

// A connected pair that keeps message boundaries.
absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeSocketPair();

}  // namespace tessera::sandbox
