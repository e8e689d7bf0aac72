#include "codesign/measurement_log.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

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

TEST_CASE("a log of other settings, another file and a damaged one are refused", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  CHECK(Opened(path)->Add(1, Ran(10)).ok());
  const auto other = MeasurementLog::Open(path, "version 2");
  CHECK(absl::IsInvalidArgument(other.status()));
  CHECK_THAT(std::string(other.status().message()), Catch::Contains(path));
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
