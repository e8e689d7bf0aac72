#include "cli/tune_target.h"

#include <catch2/catch.hpp>

#include "cli/commands.h"

namespace tessera::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

constexpr char kDeviceTarget[] = "x86/avx2 l1=32768 l2=1048576 threads=4";

db::Device Device(const std::string& id, const std::string& state, int seconds_ago = 0) {
  db::Device device;
  device.id = id;
  device.target = kDeviceTarget;
  device.device_class.name = "class of " + id;
  device.runs = true;
  device.state = state;
  device.last_seen = kNow - absl::Seconds(seconds_ago);
  return device;
}

absl::StatusOr<TuneTarget> Choose(const std::vector<db::Device>& devices,
                                  const std::string& target = "",
                                  const std::string& device_class = "", int threads = 1) {
  return ChooseTuneTarget(devices, target, device_class, threads, kNow);
}

TEST_CASE("a job is for a device that is online, if there is one", "[cli]") {
  db::Device builder = Device("builder", "online");
  builder.runs = false;
  const auto chosen = Choose({builder, Device("away", "offline"), Device("here", "online", 9)});
  REQUIRE(chosen.ok());
  CHECK(chosen->target == kDeviceTarget);
  CHECK(chosen->device_class == "class of here");
  CHECK(chosen->remark.empty());
}

TEST_CASE("a job waits for the device that was online last", "[cli]") {
  const auto chosen = Choose({Device("old", "offline", 3600), Device("recent", "offline", 41)});
  REQUIRE(chosen.ok());
  CHECK(chosen->device_class == "class of recent");
  CHECK(chosen->remark.rfind("no device is online; the job waits for recent, seen last 0:41 ago",
                             0) == 0);
}

TEST_CASE("without a device to wait for a job is refused", "[cli]") {
  db::Device builder = Device("builder", "online");
  builder.runs = false;
  CHECK(Choose({builder}).status() ==
        absl::FailedPreconditionError(
            "no device is online; start a worker with `tessera worker`, or name a --target"));
  CHECK(Choose({Device("a", "draining"), Device("b", "quarantined")}).status() ==
        absl::FailedPreconditionError(
            "no device is online (a is draining, b is quarantined); "
            "`tessera devices --resume DEVICE` has it used again, or name a "
            "--target"));
}

TEST_CASE("a job does not wait for a device that is away while another one drains", "[cli]") {
  CHECK(Choose({Device("away", "offline", 9), Device("here", "draining")}).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("devices of several classes need a choice", "[cli]") {
  const std::vector<db::Device> devices = {Device("b", "online"), Device("a", "online")};
  CHECK(Choose(devices).status() ==
        absl::InvalidArgumentError("the connected devices are of several classes (class of a, "
                                   "class of b), whose times don't compare; choose with "
                                   "--device-class"));
  CHECK(Choose(devices, "x86/avx2").status().code() == absl::StatusCode::kInvalidArgument);
  db::Device accelerator = Device("c", "online");
  accelerator.target = "vta";
  CHECK_THAT(std::string(Choose({devices[0], accelerator}).status().message()),
             Catch::EndsWith("choose with --device-class, or a kind with --target: vta, x86"));
  CHECK(Choose({devices[0], accelerator}, "vta")->device_class == "class of c");
  const auto chosen = Choose(devices, "", "class of a");
  REQUIRE(chosen.ok());
  CHECK(chosen->device_class == "class of a");
  CHECK(chosen->target == kDeviceTarget);
}

TEST_CASE("only devices that run the target count for its class", "[cli]") {
  db::Device wide = Device("wide", "online");
  wide.target = "x86/avx512 l1=32768 l2=1048576 threads=8";
  const std::vector<db::Device> devices = {Device("narrow", "online"), wide};
  CHECK(Choose(devices, "x86/avx512")->device_class == "class of wide");
  CHECK(Choose(devices, "x86/avx2", "", 8)->device_class == "class of wide");  // has the cores
  CHECK_FALSE(Choose(devices, "x86/avx2").ok());
}

TEST_CASE("a job of a target nobody has waits, and says for whom", "[cli]") {
  const auto known = Choose({Device("arm", "offline", 41)}, "x86/avx2");
  REQUIRE(known.ok());
  CHECK(known->device_class == "class of arm");
  CHECK(known->remark.rfind("no device that runs x86/avx2 is online; the job waits for arm, seen",
                            0) == 0);
  const auto drained = Choose({Device("a", "draining")}, "x86/avx2");
  REQUIRE(drained.ok());
  CHECK(drained->device_class == "class of a");
  CHECK(drained->remark ==
        "no device that runs x86/avx2 is online (a is draining); `tessera devices --resume DEVICE` "
        "has it used again");
  const auto any = Choose({Device("a", "online")}, "x86/avx512");
  REQUIRE(any.ok());
  CHECK(any->device_class.empty());
  CHECK(any->remark ==
        "no device that runs x86/avx512 is known; the job waits for one of any class: "
        "--device-class keeps it to one");
  const auto named = Choose({Device("a", "online")}, "x86/avx512", "class of a");
  REQUIRE(named.ok());
  CHECK(named->device_class == "class of a");
  CHECK(named->remark ==
        "no device of class class of a that runs x86/avx512 is known; the job waits for one");
  CHECK(Choose({Device("a", "online")}, "", "class of b").status() ==
        absl::FailedPreconditionError("no device of class class of b is online; start a worker "
                                      "with `tessera worker`, or name a --target"));
}

TEST_CASE("a target that is a kind alone is what the kind's devices have", "[cli]") {
  db::Device gpu = Device("gpu", "online");
  gpu.target = "opencl/fp16 l2=524288 block=1024 wave=64 shared=65536 constant=65536";
  const std::vector<db::Device> devices = {Device("cpu", "online"), gpu};
  const auto chosen = Choose(devices, "opencl");
  REQUIRE(chosen.ok());
  CHECK(chosen->target == gpu.target);
  CHECK(chosen->device_class == "class of gpu");
  CHECK(chosen->remark.empty());
  CHECK(Choose(devices, "x86")->target == kDeviceTarget);
  CHECK(Choose({Device("cpu", "offline", 41)}, "x86")->target == kDeviceTarget);
  // There is none: what such devices have at least.
  CHECK(Choose(devices, "cuda")->target == "cuda");
  CHECK_FALSE(NamesKindAlone("x86/avx2"));
  CHECK_FALSE(NamesKindAlone("pdp11"));

  // One that is written out counts as it is, and that the device has more is said.
  const auto lesser = Choose(devices, "opencl block=128");
  REQUIRE(lesser.ok());
  CHECK(lesser->target == "opencl block=128");
  CHECK_THAT(lesser->remark, Catch::StartsWith("tuned for opencl l2=") &&
                                 Catch::Contains("block=128") &&
                                 Catch::Contains(", where gpu has " + gpu.target) &&
                                 Catch::EndsWith("; --target opencl alone takes what it has"));
  CHECK(Choose(devices, gpu.target)->remark.empty());
}

TEST_CASE("a space says of which target it is, and when nobody chose it", "[cli]") {
  const auto target = ir::ParseTarget(kDefaultSpaceTarget);
  REQUIRE(target.ok());
  CHECK(SpaceTitle("c9", *target, 2, false) ==
        "c9 on x86/avx512 l1=32768 l2=1048576 threads=1, 2 threads");
  CHECK(SpaceTitle("c9", *target, 1, true) ==
        "c9 on x86/avx512 l1=32768 l2=1048576 threads=1, 1 thread (the default target; --target "
        "names another)");
}

}  // namespace
}  // namespace tessera::cli
