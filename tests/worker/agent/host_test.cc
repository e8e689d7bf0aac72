#include "worker/agent/host.h"

#include <catch2/catch.hpp>
#include <sstream>

namespace tessera::agent {
namespace {

TEST_CASE("a host says its target and device class with the number of its cores", "[agent]") {
  const auto host = DescribeHost({0}, "");
  INFO(host.status());
  REQUIRE(host.ok());
  CAPTURE(host->target, host->device_class.name);
  CHECK(host->target.find(" threads=1") != std::string::npos);
  CHECK(host->device_class.name.substr(host->device_class.name.size() - 3) == "/1c");
  CHECK(host->device_class.description.find("L2 ") != std::string::npos);
}

#if defined(__x86_64__)
TEST_CASE("a ceiling lowers the instruction set of a host", "[agent]") {
  const auto host = DescribeHost({0, 1}, "sse4.2");
  REQUIRE(host.ok());
  CHECK(host->target.substr(0, 11) == "x86/sse4.2 ");
  CHECK(host->device_class.name.find("/sse4.2/2c") != std::string::npos);
}
#endif

TEST_CASE("a ceiling that the machine lacks is refused with what it has", "[agent]") {
  const auto host = DescribeHost({0}, "sve");
  REQUIRE(absl::IsInvalidArgument(host.status()));
  CHECK(host.status().message().find("\"sve\" is not among") != absl::string_view::npos);
}

TEST_CASE("microarchitectures have names, unknown ones numbers", "[agent]") {
  CHECK(Microarchitecture("AuthenticAMD", 25, 0x11) == "zen4");
  CHECK(Microarchitecture("AuthenticAMD", 25, 0x21) == "zen3");
  CHECK(Microarchitecture("GenuineIntel", 6, 0x8f) == "sapphirerapids");
  CHECK(Microarchitecture("GenuineIntel", 6, 3) == "intel-6-3");
  CHECK(Microarchitecture("arm", 0x41, 0xd0c) == "neoverse-n1");
  CHECK(Microarchitecture("arm", 0x41, 0xc09) == "cortex-a9");
  CHECK(Microarchitecture("arm", 0x42, 3) == "arm-66-3");
}

TEST_CASE("cores of several kinds are told by those that are used", "[agent]") {
  const auto of = [](const std::string& text, const std::vector<int>& cores) {
    std::istringstream cpuinfo(text);
    return Microarchitectures(cpuinfo, cores);
  };
  const std::string phone =
      "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n\n"
      "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nHardware\t: Board\n";
  CHECK(of(phone, {0}) == "cortex-a53");
  CHECK(of(phone, {1}) == "cortex-a72");
  CHECK(of(phone, {0, 1}) == "cortex-a53+cortex-a72");
  CHECK(of("processor : 0\nvendor_id : AuthenticAMD\ncpu family : 25\nmodel : 17\n", {0}) ==
        "zen4");
  CHECK(of("", {0}) == "cpu-0-0");
}

}  // namespace
}  // namespace tessera::agent
