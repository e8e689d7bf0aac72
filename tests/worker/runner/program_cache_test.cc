#include "worker/runner/program_cache.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/hash.h"
#include "tests/support/temporary_directory.h"

namespace tessera::runner {
namespace {

std::unique_ptr<ProgramCache> Open(const test::TemporaryDirectory& folder,
                                   const std::string& compiler = "driver 1",
                                   int64_t max_bytes = int64_t{1} << 30) {
  auto cache =
      ProgramCache::Open({.directory = folder.path, .compiler = compiler, .max_bytes = max_bytes});
  INFO(cache.status());
  REQUIRE(cache.ok());
  return *std::move(cache);
}

// The one file of a binary there.
std::filesystem::path FileIn(const test::TemporaryDirectory& folder) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path)) {
    if (entry.path().filename().string().size() == 64) found = entry.path();
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

TEST_CASE("a binary is found by its artifact, also after a restart", "[programs]") {
  const test::TemporaryDirectory folder;
  auto cache = Open(folder);
  const std::string key = cache->KeyOf("source");
  CHECK(cache->Get(key).empty());
  cache->Put(key, "binary");
  CHECK(cache->Get(key) == "binary");
  CHECK(cache->Get(cache->KeyOf("other source")).empty());
  cache.reset();
  CHECK(Open(folder)->Get(key) == "binary");
}

TEST_CASE("another driver finds nothing of the one before", "[programs]") {
  const test::TemporaryDirectory folder;
  auto cache = Open(folder, "driver 1");
  cache->Put(cache->KeyOf("source"), "binary");
  cache.reset();
  cache = Open(folder, "driver 2");
  CHECK(cache->Get(cache->KeyOf("source")).empty());
  // Where one ends and the other begins counts.
  CHECK(ProgramKey("driver 1", "1source") != ProgramKey("driver 11", "source"));
}

TEST_CASE("a newer binary takes the place of an older one, and a forgotten one is gone",
          "[programs]") {
  const test::TemporaryDirectory folder;
  auto cache = Open(folder);
  const std::string key = cache->KeyOf("source");
  for (const char* binary : {"first", "second", "first"}) {
    cache->Put(key, binary);
    cache.reset();
    cache = Open(folder);
    CHECK(cache->Get(key) == binary);
  }
  cache->Forget(key);
  CHECK(cache->Get(key).empty());
  cache.reset();
  CHECK(Open(folder)->Get(key).empty());
}

TEST_CASE("a damaged binary is none, and makes room for another", "[programs]") {
  const test::TemporaryDirectory folder;
  auto cache = Open(folder);
  const std::string key = cache->KeyOf("source");
  cache->Put(key, "binary");
  {
    std::fstream file(FileIn(folder), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(65);
    file.put('?');
  }
  CHECK(cache->Get(key).empty());
  cache->Put(key, "binary");
  CHECK(cache->Get(key) == "binary");
}

TEST_CASE("a file too short for a key is passed over", "[programs]") {
  const test::TemporaryDirectory folder;
  const std::string key = ProgramKey("driver 1", "source");
  const std::string other = ProgramKey("driver 1", "other source");
  for (const std::string& content : {other + "binary", std::string("short")}) {
    std::ofstream(folder.path + "/" + Sha256Hex(content), std::ios::binary) << content;
  }
  CHECK(Open(folder)->Get(key).empty());
  CHECK(Open(folder)->Get(other) == "binary");
}

TEST_CASE("a binary beyond the limit is not kept, nor is an empty one", "[programs]") {
  const test::TemporaryDirectory folder;
  auto cache = Open(folder);
  const std::string key = cache->KeyOf("source");
  const std::string largest(static_cast<size_t>(kMaxProgramBytes), 'b');
  cache->Put(key, largest);
  CHECK(cache->Get(key) == largest);
  cache->Put(key, largest + "b");
  CHECK(cache->Get(key).empty());
  cache->Put(key, "");
  CHECK(cache->Get(key).empty());
}

TEST_CASE("the least recently used binaries go first", "[programs]") {
  const test::TemporaryDirectory folder;
  const std::string binary(936, 'b');  // 1,000 bytes with its key
  auto cache = Open(folder, "driver 1", 3000);
  for (const char* source : {"a", "b", "c"}) cache->Put(cache->KeyOf(source), binary);
  CHECK(cache->Get(cache->KeyOf("a")) == binary);
  cache->Put(cache->KeyOf("d"), binary);
  CHECK(cache->Get(cache->KeyOf("b")).empty());
  for (const char* source : {"a", "c", "d"}) CHECK(cache->Get(cache->KeyOf(source)) == binary);
}

}  // namespace
}  // namespace tessera::runner
