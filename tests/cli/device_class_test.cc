#include "cli/device_class.h"

#include <catch2/catch.hpp>

namespace tessera::cli {
namespace {

db::Device DeviceOf(const std::string& device_class, bool runs = true) {
  db::Device device;
  device.id = "worker/" + device_class;
  device.device_class.name = device_class;
  device.runs = runs;
  return device;
}

TEST_CASE("a library is built from the class that has the records", "[cli]") {
  const auto old_only = ChooseBuildClass({DeviceOf("new")}, {{"old", 2}, {"new", 0}}, 3, "");
  REQUIRE(old_only.ok());
  CHECK(old_only->device_class == "old");
  CHECK(old_only->warning ==
        "the records are of device class old, which no device has now (devices have new)");

  const auto same = ChooseBuildClass({DeviceOf("new"), DeviceOf("idle")}, {{"new", 1}}, 3, "");
  REQUIRE(same.ok());
  CHECK(same->device_class == "new");
  CHECK(same->warning.empty());
}

TEST_CASE("several classes with records are a choice of the user", "[cli]") {
  const auto chosen = ChooseBuildClass({DeviceOf("new")}, {{"old", 2}, {"new", 1}}, 3, "");
  CHECK(chosen.status() ==
        absl::InvalidArgumentError("several device classes have records of these operators (old "
                                   "has of 2 of 3, new has of 1 of 3); choose one with "
                                   "--device-class"));
  const auto named = ChooseBuildClass({DeviceOf("new")}, {{"old", 2}, {"new", 1}}, 3, "new");
  REQUIRE(named.ok());
  CHECK(named->device_class == "new");
  CHECK(named->warning.empty());
}

TEST_CASE("a named class without records is warned of when another has some", "[cli]") {
  const auto warned = ChooseBuildClass({DeviceOf("new")}, {{"old", 2}}, 3, "new");
  REQUIRE(warned.ok());
  CHECK(warned->device_class == "new");
  CHECK(warned->warning ==
        "no operator has a record on device class new, so all get the default schedule; old has "
        "of 2 of 3");
  CHECK(ChooseBuildClass({DeviceOf("new")}, {{"old", 0}}, 3, "new")->warning.empty());
}

TEST_CASE("without records the only class of devices that run is taken", "[cli]") {
  const auto only =
      ChooseBuildClass({DeviceOf("a"), DeviceOf("a"), DeviceOf("b", false)}, {}, 3, "");
  REQUIRE(only.ok());
  CHECK(only->device_class == "a");
  CHECK(absl::IsInvalidArgument(
      ChooseBuildClass({DeviceOf("a"), DeviceOf("b")}, {{"c", 0}}, 3, "").status()));
  CHECK(absl::IsFailedPrecondition(ChooseBuildClass({}, {}, 3, "").status()));
}

}  // namespace
}  // namespace tessera::cli
