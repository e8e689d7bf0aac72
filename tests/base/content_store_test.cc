#include "base/content_store.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "tests/support/temporary_directory.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

using test::TemporaryDirectory;

TEST_CASE("content comes back by its digest, also after reopening", "[base]") {
  TemporaryDirectory directory;
  std::string digest;
  {
    auto store = ContentStore::Open({.directory = directory.path});
    REQUIRE(store.ok());
    digest = *(*store)->Put("kernel");
    CHECK(digest == Sha256Hex("kernel"));
    CHECK(*(*store)->Put("kernel") == digest);
    CHECK((*store)->bytes() == 6);
  }
  auto store = ContentStore::Open({.directory = directory.path});
  CHECK(*(*store)->Get(digest) == "kernel");
  CHECK((*store)->bytes() == 6);
}

TEST_CASE("a directory is refused to a second store while the first is open", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path});
  REQUIRE(store.ok());
  const absl::Status second = ContentStore::Open({.directory = directory.path}).status();
  CHECK(absl::IsUnavailable(second));
  CHECK(second.message() == absl::StrCat("folder ", directory.path, " is in use by process ",
                                         getpid(), "; stop that one, or choose another folder"));
  store->reset();
  CHECK(ContentStore::Open({.directory = directory.path}).ok());
}

TEST_CASE("what is there is listed by its use, and can be removed", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path});
  const std::string first = *(*store)->Put("first"), second = *(*store)->Put("second");
  CHECK((*store)->List() == std::vector{first, second});
  CHECK((*store)->Contains(first));
  CHECK((*store)->List() == std::vector{second, first});
  (*store)->Remove(second);
  (*store)->Remove(second);
  CHECK(absl::IsNotFound((*store)->Get(second).status()));
  CHECK_FALSE(fs::exists((*store)->PathOf(second)));
  CHECK((*store)->List() == std::vector{first});
  CHECK((*store)->bytes() == 5);
}

TEST_CASE("bytes that do not have the stated digest are refused", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path});
  CHECK(absl::IsDataLoss((*store)->PutVerified(Sha256Hex("a"), "b")));
  CHECK_FALSE((*store)->Contains(Sha256Hex("a")));
  CHECK((*store)->PutVerified(Sha256Hex("a"), "a").ok());
}

TEST_CASE("a file damaged on disk is reported once, then missing", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path});
  const std::string digest = *(*store)->Put("kernel");
  std::ofstream((*store)->PathOf(digest)) << "kernfl";
  CHECK(absl::IsDataLoss((*store)->Get(digest).status()));
  CHECK(absl::IsNotFound((*store)->Get(digest).status()));
  CHECK(*(*store)->Put("kernel") == digest);
  CHECK(*(*store)->Get(digest) == "kernel");
}

TEST_CASE("content is read in parts, of which damage is told at last", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path});
  const std::string digest = *(*store)->Put("kernels"), none = *(*store)->Put("");
  std::vector<std::string> parts;
  const auto take = [&](std::string_view part) {
    parts.emplace_back(part);
    return true;
  };
  using Parts = std::vector<std::string>;
  CHECK((*store)->Read(digest, 3, take).ok());
  CHECK(std::exchange(parts, {}) == Parts{"ker", "nel", "s"});
  CHECK((*store)->Read(digest, 7, take).ok());
  CHECK(std::exchange(parts, {}) == Parts{"kernels"});
  CHECK((*store)->Read(none, 3, take).ok());
  CHECK(std::exchange(parts, {}) == Parts{""});
  int taken = 0;  // whoever has seen enough needs no more
  CHECK((*store)->Read(digest, 2, [&](std::string_view) { return ++taken < 2; }).ok());
  CHECK(taken == 2);

  std::ofstream((*store)->PathOf(digest)) << "kernfls";
  CHECK(absl::IsDataLoss((*store)->Read(digest, 3, take)));
  CHECK(parts == Parts{"ker", "nfl", "s"});
  CHECK(absl::IsNotFound((*store)->Read(digest, 3, take)));
  CHECK(parts.size() == 3);
}

TEST_CASE("above the limit the least recently used content goes", "[base]") {
  TemporaryDirectory directory;
  auto store = ContentStore::Open({.directory = directory.path, .max_bytes = 10});
  const std::string a = *(*store)->Put("aaaa");
  const std::string b = *(*store)->Put("bbbb");
  CHECK((*store)->Get(a).ok());
  const std::string c = *(*store)->Put("cccc");
  CHECK((*store)->Contains(a));
  CHECK_FALSE((*store)->Contains(b));
  CHECK_FALSE(fs::exists((*store)->PathOf(b)));
  CHECK((*store)->Contains(c));
  CHECK((*store)->bytes() == 8);
}

TEST_CASE("what is stored while its digest is evicted stays", "[base]") {
  TemporaryDirectory directory;
  const auto store =
      ContentStore::Open({.directory = directory.path, .max_bytes = 4000, .sync = false}).value();
  for (int round = 0; round < 10; ++round) {
    CAPTURE(round);
    for (int i = 0; i < 400; ++i) REQUIRE(store->Put(absl::StrCat("small ", i)).ok());
    // The large one drives every small one out, the last of them last.
    const std::string last = "small 399", large(3995, static_cast<char>('a' + round));
    std::atomic<bool> evicted = false;
    std::thread evictor([&] {
      if (!store->Put(large).ok()) std::abort();
      evicted = true;
    });
    while (!evicted) REQUIRE(store->Put(last).ok());
    evictor.join();
    REQUIRE(store->Put(last).ok());
    CHECK(store->Get(Sha256Hex(last)).ok());
    CHECK(store->bytes() <= 4000);
  }
}

TEST_CASE("reading, storing and evicting at once leave index and files alike", "[base]") {
  TemporaryDirectory directory;
  const auto store = ContentStore::Open({directory.path, /*max_bytes=*/8, /*sync=*/false}).value();
  const std::vector<std::string> contents = {"aaaa", "bbbb", "cccc"};  // one too many
  for (int round = 0; round < 150; ++round) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < contents.size(); ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 8; ++i) {
          const std::string digest = store->Put(contents[(t + i) % contents.size()]).value();
          const absl::StatusCode code = store->Get(digest).status().code();
          if (code != absl::StatusCode::kOk && code != absl::StatusCode::kNotFound) std::abort();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CAPTURE(round);
    for (const std::string& content : contents) {
      const std::string digest = Sha256Hex(content);
      REQUIRE(store->Contains(digest) == fs::exists(store->PathOf(digest)));
    }
    REQUIRE(store->bytes() == 8);
  }
}

TEST_CASE("half-written files of a killed process are removed", "[base]") {
  TemporaryDirectory directory;
  std::ofstream(directory.path + "/writing-0") << "half";
  auto store = ContentStore::Open({.directory = directory.path});
  CHECK_FALSE(fs::exists(directory.path + "/writing-0"));
  CHECK((*store)->bytes() == 0);
}

TEST_CASE("a directory that cannot be made is one clear error", "[base]") {
  auto store = ContentStore::Open({.directory = "/proc/no/such"});
  REQUIRE_FALSE(store.ok());
  CHECK(store.status().message().find("/proc/no/such") != std::string_view::npos);
}

}  // namespace
}  // namespace tessera
