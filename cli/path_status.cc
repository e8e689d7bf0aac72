#include "cli/path_status.h"

#include <cerrno>

#include "base/durable_file.h"

namespace tessera::cli {

absl::Status PathStatus(int error, std::string_view what, const std::string& path) {
  const absl::Status status = ErrnoStatus(error, what, path);
  const bool names_none = error == ENOTDIR || error == EEXIST || error == EISDIR ||
                          error == ENAMETOOLONG || error == ELOOP || error == EINVAL;
  return names_none ? absl::InvalidArgumentError(status.message()) : status;
}

}  // namespace tessera::cli
