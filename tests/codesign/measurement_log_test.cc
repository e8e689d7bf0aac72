#include "codesign/measurement_log.h"

#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace tessera::codesign {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Measured Ran(double cycles) {
  Measured measured;
  measured.activity = {.cycles = cycles, .products = 7, .dram_bytes = 1e9 + 1};
  measured.activity.tiles_moved = {1, 2, 3, 4, 5};
  return measured;
}

std::unique_ptr<MeasurementLog> Opened(const std::string& path) {
  auto log = MeasurementLog::Open(path, "version 1");
  INFO(log.status());
  REQUIRE(log.ok());
  return *std::move(log);
}

TEST_CASE("a log keeps what was added, over processes", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  Measured failed;
  failed.failure = "no \"room\"\n";
  {
    const auto log = Opened(path);
    CHECK(log->Add(~uint64_t{0}, Ran(12345)).ok());
    CHECK(log->Add(2, failed).ok());
    CHECK(log->Add(2, Ran(1)).ok());  // known already
    CHECK(log->Find(2) == failed);
    CHECK_FALSE(log->Find(3));
  }
  const auto log = Opened(path);
  CHECK(log->size() == 2);
  CHECK(log->Find(~uint64_t{0}) == Ran(12345));
  CHECK(log->Find(2) == failed);
}

TEST_CASE("a log that was cut off anywhere goes on from its whole lines", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  {
    const auto log = Opened(path);
    CHECK(log->Add(1, Ran(10)).ok());
    CHECK(log->Add(2, Ran(20)).ok());
  }
  const std::string whole = ReadFile(path);
  for (size_t length = 0; length <= whole.size(); ++length) {
    CAPTURE(length);
    WriteFile(path, whole.substr(0, length));
    {
      const auto log = Opened(path);
      CHECK(log->size() <= 2);
      CHECK(log->Add(1, Ran(10)).ok());
      CHECK(log->Add(2, Ran(20)).ok());
    }
    CHECK(ReadFile(path) == whole);
  }
}

// The operating system refuses to let any file of this process grow, as a full disk does.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  const sighandler_t handler_ = signal(SIGXFSZ, SIG_IGN);
};

TEST_CASE("a log whose disk was full keeps its whole lines and takes no more", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  constexpr uint64_t kFirst = 3;
  {
    const auto log = Opened(path);
    for (uint64_t key = 0; key < kFirst; ++key) CHECK(log->Add(key, Ran(10)).ok());
  }
  const std::string whole = ReadFile(path);
  {
    const auto log = Opened(path);
    {
      const FullDisk full(whole.size() + 7);  // room for a part of a line
      const absl::Status status = log->Add(kFirst, Ran(10));
      CHECK_FALSE(status.ok());
      CHECK_THAT(std::string(status.message()), Catch::Contains(path));
    }
    CHECK(ReadFile(path) == whole);
    // What isn't on disk isn't known, and isn't written behind what is missing.
    CHECK_FALSE(log->Find(kFirst));
    CHECK_FALSE(log->Add(kFirst, Ran(10)).ok());
    CHECK_FALSE(log->Add(kFirst + 1, Ran(10)).ok());
    CHECK(log->Add(0, Ran(10)).ok());
  }
  CHECK(ReadFile(path) == whole);
  const auto log = Opened(path);
  CHECK(log->size() == kFirst);
  CHECK(log->Add(kFirst, Ran(10)).ok());
}

TEST_CASE("threads that fill a disk are told OK for what is in the file only", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  constexpr uint64_t kKeys = 400;
  std::vector<std::atomic<bool>> is_added(kKeys);
  {
    const auto log = Opened(path);
    const FullDisk full(20'000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (uint64_t key = 0; key < kKeys; ++key) {
          if (log->Add(key, Ran(static_cast<double>(key))).ok()) is_added[key] = true;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const auto log = Opened(path);
  CHECK(log->size() > 10);
  CHECK(log->size() < kKeys);
  for (uint64_t key = 0; key < kKeys; ++key) CHECK(log->Find(key).has_value() == is_added[key]);
}

TEST_CASE("a log of other settings, another file and a damaged one are refused", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  CHECK(Opened(path)->Add(1, Ran(10)).ok());
  const auto other = MeasurementLog::Open(path, "version 2");
  CHECK(absl::IsInvalidArgument(other.status()));
  CHECK_THAT(std::string(other.status().message()), Catch::Contains(path) &&
                                                        Catch::Contains("Tessera \"version 1\"") &&
                                                        Catch::Contains("those of version 2"));
  std::filesystem::remove(path + ".lock");
  WriteFile(path, ReadFile(path) + "{\"key\":\"1\"}\n");
  const auto damaged = MeasurementLog::Open(path, "version 1");
  CHECK(absl::IsDataLoss(damaged.status()));
  CHECK_THAT(std::string(damaged.status().message()), Catch::Contains(path + ":3"));
  for (const char* text : {"name: resnet18\n", "no line", "{}\n"}) {
    WriteFile(path, text);
    CHECK(absl::IsInvalidArgument(MeasurementLog::Open(path, "version 1").status()));
    CHECK(ReadFile(path) == text);
  }
  CHECK_FALSE(std::filesystem::exists(path + ".lock"));
  CHECK(absl::IsInvalidArgument(MeasurementLog::Open("/dev/null", "version 1").status()));
  CHECK(absl::IsNotFound(MeasurementLog::Open(folder.path + "/no/log", "version 1").status()));
}

TEST_CASE("a log has one process at a time", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  const auto log = Opened(path);
  CHECK(absl::IsUnavailable(MeasurementLog::Open(path, "version 1").status()));
}

}  // namespace
}  // namespace tessera::codesign
