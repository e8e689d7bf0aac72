#include <algorithm>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "frontend/onnx/tensor.h"

namespace tessera::frontend {
namespace {

namespace fs = std::filesystem;

// The file itself, with links followed, which has to be below the folder.
absl::StatusOr<fs::path> Located(const fs::path& folder, const std::string& location) {
  if (folder.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("its data are in the file \"", location,
                                                      "\"; say in which folder the model lies"));
  }
  const fs::path relative(location);
  const bool leaves = std::ranges::any_of(relative, [](const fs::path& p) { return p == ".."; });
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() ||
      leaves) {
    return absl::PermissionDeniedError(
        absl::StrCat("location \"", location, "\" has to be a path below the model's folder"));
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("the folder ", folder.string(), ": ", error.message()));
  }
  fs::path file = fs::canonical(root / relative, error);
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("the file \"", location, "\" of its data: ", error.message()));
  }
  if (std::ranges::mismatch(root, file).in1 != root.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("location \"", location, "\" is a link out of the model's folder"));
  }
  if (!fs::is_regular_file(file, error)) {
    return absl::PermissionDeniedError(
        absl::StrCat("location \"", location, "\" is no regular file"));
  }
  return file;
}

}  // namespace

absl::StatusOr<std::vector<std::byte>> ReadExternal(const fs::path& folder,
                                                    const std::string& location, int64_t offset,
                                                    int64_t length) {
  TESSERA_ASSIGN_OR_RETURN(const fs::path path, Located(folder, location));
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("\"", location, "\" cannot be opened"));
  file.seekg(0, std::ios::end);
  const auto size = static_cast<int64_t>(file.tellg());
  if (offset < 0 || length < 0 || offset > size || length > size - offset) {
    return absl::OutOfRangeError(absl::StrCat("takes ", length, " bytes from ", offset, " on of \"",
                                              location, "\", which has ", size));
  }
  std::vector<std::byte> bytes(static_cast<size_t>(length));
  file.seekg(offset);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), length)) {
    return absl::DataLossError(absl::StrCat("\"", location, "\" could not be read"));
  }
  return bytes;
}

}  // namespace tessera::frontend
