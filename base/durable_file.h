#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace tessera {

// Writes `bytes` to `temporary`, then renames it to `path` in the same directory: readers see the
// old file or the whole new one. With `sync`, file and directory are on disk when this returns.
// ResourceExhausted (full disk), PermissionDenied, NotFound or Unavailable name the path.
absl::Status WriteFileDurably(const std::string& path, const std::string& temporary,
                              std::string_view bytes, bool sync = true);

// The status for an errno value: `what` and `path` in the message.
absl::Status ErrnoStatus(int error, std::string_view what, const std::string& path);

}  // namespace tessera
