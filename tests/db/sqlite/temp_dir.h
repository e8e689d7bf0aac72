#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tessera::db {

// A folder of its own that goes with the object.
class TempDir {
 public:
  // kMemory: on a file system in memory where there is one, for tests of many small writes that
  // are not about durability.
  enum class Place { kDisk, kMemory };

  explicit TempDir(Place place = Place::kDisk) {
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = place == Place::kMemory && std::filesystem::is_directory(memory);
    const std::filesystem::path parent =
        in_memory ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "tessera_db_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string File(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace tessera::db
