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

const std::map<std::string, std::string> kTargets = {{"a", "x86/avx2"},
                                                     {"b", "x86/sse4.2"},
                                                     {"arm", "aarch64/neon"},
                                                     {"new", "x86/avx2 threads=2"},
                                                     {"old", "x86/avx2 l1=49152"},
                                                     {"wide", "x86/avx512"}};

absl::StatusOr<BuildClasses> Choose(const std::vector<db::Device>& devices,
                                    const std::vector<RecordedClass>& recorded,
                                    const std::vector<std::string>& wanted = {}) {
  return ChooseBuildClasses(devices, recorded, kTargets, 3, wanted);
}

TEST_CASE("a library is built from the class that has the records", "[cli]") {
  const auto old_only = Choose({DeviceOf("new")}, {{"old", 2}, {"new", 0}});
  REQUIRE(old_only.ok());
  CHECK(old_only->names == std::vector<std::string>{"old"});
  CHECK(old_only->warnings ==
        std::vector<std::string>{
            "the records are of device class old, which no device has now (devices have new)"});

  const auto same = Choose({DeviceOf("new"), DeviceOf("idle")}, {{"new", 1}});
  REQUIRE(same.ok());
  CHECK(same->names == std::vector<std::string>{"new"});
  CHECK(same->warnings.empty());
}

TEST_CASE("all classes with records make a library where instruction sets tell them apart",
          "[cli]") {
  const auto all = Choose({DeviceOf("new")}, {{"a", 2}, {"b", 2}});
  REQUIRE(all.ok());
  CHECK(all->names == std::vector<std::string>{"a", "b"});
  CHECK(all->warnings.empty());
  const auto two = Choose({}, {{"a", 2}, {"b", 1}, {"old", 3}}, {"b", "old"});
  REQUIRE(two.ok());
  CHECK(two->names == std::vector<std::string>{"b", "old"});
  CHECK(two->warnings.empty());
}

TEST_CASE("a class that would slow down CPUs with a better tuned version is left out", "[cli]") {
  const auto chosen = Choose({DeviceOf("a")}, {{"a", 1}, {"b", 3}});
  REQUIRE(chosen.ok());
  CHECK(chosen->names == std::vector<std::string>{"b"});
  CHECK(chosen->warnings ==
        std::vector<std::string>{
            "device class a is left out, because its CPUs run the version of b, too, which has "
            "more records: a has of 1 of 3, b has of 3 of 3; tune the others on it, or name each "
            "with --device-class"});
  // Named ones are as they were named.
  const auto named = Choose({}, {{"a", 1}, {"b", 3}}, {"a", "b"});
  REQUIRE(named.ok());
  CHECK(named->names == std::vector<std::string>{"a", "b"});
  // A lesser one is in nobody's way: it runs where no other one does.
  const auto lesser = Choose({DeviceOf("a")}, {{"a", 3}, {"b", 1}});
  REQUIRE(lesser.ok());
  CHECK(lesser->names == std::vector<std::string>{"a", "b"});
  CHECK(lesser->warnings.empty());
  // Of three the two that are left out are compared with the one that stays.
  const auto three = Choose({}, {{"a", 2}, {"b", 3}, {"wide", 1}});
  REQUIRE(three.ok());
  CHECK(three->names == std::vector<std::string>{"b"});
  REQUIRE(three->warnings.size() == 2);
  CHECK(three->warnings[1].find("b has of 3 of 3") != std::string::npos);
}

TEST_CASE("several classes that no library can tell apart are a choice of the user", "[cli]") {
  CHECK(Choose({DeviceOf("new")}, {{"old", 2}, {"new", 1}}).status() ==
        absl::InvalidArgumentError("several device classes have records of these operators (old "
                                   "has of 2 of 3, new has of 1 of 3), but old and new have the "
                                   "same instruction set, avx2, by which a library chooses its "
                                   "version; choose with --device-class"));
  CHECK(std::string(Choose({}, {{"a", 2}, {"arm", 1}}).status().message())
            .find("a and arm are machines of different kinds, which need a library each") !=
        std::string::npos);
  CHECK(absl::IsInvalidArgument(Choose({}, {{"old", 2}, {"new", 1}}, {"old", "new"}).status()));
  CHECK(absl::IsInvalidArgument(Choose({}, {}, {"a", "a"}).status()));
  CHECK(absl::IsInvalidArgument(Choose({}, {}, {"a", "unheard of"}).status()));
  const auto named = Choose({DeviceOf("new")}, {{"old", 2}, {"new", 1}}, {"new"});
  REQUIRE(named.ok());
  CHECK(named->names == std::vector<std::string>{"new"});
  CHECK(named->warnings.empty());
}

TEST_CASE("a class that measured code of several targets has the richest", "[cli]") {
  CHECK(RichestTarget({"x86/avx2", "x86/avx512", "x86/avx512,vnni", "x86/sse4.2"}) ==
        "x86/avx512,vnni");
  CHECK(RichestTarget({"aarch64/neon", "aarch64/dotprod,neon"}) == "aarch64/dotprod,neon");
  CHECK(RichestTarget({}).empty());
}

TEST_CASE("a named class without records is warned of when another has some", "[cli]") {
  const auto warned = Choose({DeviceOf("new")}, {{"old", 2}}, {"new"});
  REQUIRE(warned.ok());
  CHECK(warned->names == std::vector<std::string>{"new"});
  CHECK(warned->warnings ==
        std::vector<std::string>{"no operator has a record on device class new, so all get the "
                                 "default schedule; old has of 2 of 3"});
  CHECK(Choose({DeviceOf("new")}, {{"old", 0}}, {"new"})->warnings.empty());
}

TEST_CASE("without records the only class of devices that run is taken", "[cli]") {
  const auto only = Choose({DeviceOf("a"), DeviceOf("a"), DeviceOf("b", false)}, {});
  REQUIRE(only.ok());
  CHECK(only->names == std::vector<std::string>{"a"});
  CHECK(absl::IsInvalidArgument(Choose({DeviceOf("a"), DeviceOf("b")}, {{"c", 0}}).status()));
  CHECK(absl::IsFailedPrecondition(Choose({}, {}).status()));
}

}  // namespace
}  // namespace tessera::cli
