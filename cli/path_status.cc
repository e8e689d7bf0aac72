#include "cli/path_status.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/view.h"

namespace tessera::cli {

absl::Status PathStatus(int error, std::string_view what, const std::string& path) {
  const absl::Status status = ErrnoStatus(error, what, path);
  const bool names_none = error == ENOTDIR || error == EEXIST || error == EISDIR ||
                          error == ENAMETOOLONG || error == ELOOP || error == EINVAL;
  return names_none ? absl::InvalidArgumentError(status.message()) : status;
}

absl::Status CheckWritable(std::string_view option, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  const std::string what = absl::StrCat(AbslView(option), ": cannot write");
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string checked = access(path.c_str(), F_OK) == 0 ? path
                              : folder.empty()                ? "."
                                                              : folder.string();
  if (access(checked.c_str(), W_OK) != 0) return PathStatus(errno, what, path);
  std::error_code error;
  const std::filesystem::file_status there = std::filesystem::status(path, error);
  if (!std::filesystem::status_known(there)) return PathStatus(error.value(), what, path);
  return std::filesystem::is_directory(there) ? absl::InvalidArgumentError(absl::StrCat(
                                                    AbslView(option), ": ", path, " is a folder"))
                                              : absl::OkStatus();
}

absl::Status FlushOutput() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "cannot write to", "standard output");
}

}  // namespace tessera::cli
