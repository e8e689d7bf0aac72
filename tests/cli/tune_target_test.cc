#include "cli/tune_target.h"

#include <catch2/catch.hpp>

#include "cli/commands.h"
#include "cli/compiled_target.h"

namespace tessera::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

db::Device Device(const std::string& id, const std::string& state, int seconds_ago = 0) {
  db::Device device;
  device.id = id;
  device.target = "target of " + id;
  device.runs = true;
  device.state = state;
  device.last_seen = kNow - absl::Seconds(seconds_ago);
  return device;
}

TEST_CASE("a job is for a device that is online, if there is one", "[cli]") {
  db::Device builder = Device("builder", "online");
  builder.runs = false;
  const auto chosen =
      ChooseTuneTarget({builder, Device("away", "offline"), Device("here", "online", 9)}, kNow);
  REQUIRE(chosen.ok());
  CHECK(chosen->target == "target of here");
  CHECK(chosen->waits_for.empty());
}

TEST_CASE("a job waits for the device that was online last", "[cli]") {
  const auto chosen =
      ChooseTuneTarget({Device("old", "offline", 3600), Device("recent", "offline", 41)}, kNow);
  REQUIRE(chosen.ok());
  CHECK(chosen->target == "target of recent");
  CHECK(chosen->waits_for.rfind("no device is online; the job waits for recent, seen last 0:41 ago",
                                0) == 0);
}

TEST_CASE("without a device to wait for a job is refused", "[cli]") {
  db::Device builder = Device("builder", "online");
  builder.runs = false;
  CHECK(ChooseTuneTarget({builder}, kNow).status() ==
        absl::FailedPreconditionError(
            "no device is online; start a worker with `tessera worker`, or name a --target"));
  CHECK(ChooseTuneTarget({Device("a", "draining"), Device("b", "quarantined")}, kNow).status() ==
        absl::FailedPreconditionError(
            "no device is online (a is draining, b is quarantined); "
            "`tessera devices --resume DEVICE` has it used again, or name a "
            "--target"));
}

TEST_CASE("a job does not wait for a device that is away while another one drains", "[cli]") {
  CHECK(ChooseTuneTarget({Device("away", "offline", 9), Device("here", "draining")}, kNow)
            .status()
            .code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a target without a code generator is refused, with those that have one", "[cli]") {
  CHECK(ParseCompiledTarget("x86/avx2 threads=2")->max_threads == 2);
  CHECK(ParseCompiledTarget("aarch64/neon").ok());
  for (const char* text : {"cuda", "opencl", "vta"}) {
    const absl::Status status = ParseCompiledTarget(text).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(status.message().find("x86, aarch64") != absl::string_view::npos);
  }
  CHECK(absl::IsInvalidArgument(ParseCompiledTarget("pdp11").status()));
}

TEST_CASE("a space says of which target it is, and when nobody chose it", "[cli]") {
  const auto target = ParseCompiledTarget(kDefaultSpaceTarget);
  REQUIRE(target.ok());
  CHECK(SpaceTitle("c9", *target, 2, false) ==
        "c9 on x86/avx512 l1=32768 l2=1048576 threads=1, 2 threads");
  CHECK(SpaceTitle("c9", *target, 1, true) ==
        "c9 on x86/avx512 l1=32768 l2=1048576 threads=1, 1 thread (the default target; --target "
        "names another)");
}

}  // namespace
}  // namespace tessera::cli
