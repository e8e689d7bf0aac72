#include "proto/device_code.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/rng.h"

namespace tessera::proto {
namespace {

DeviceCode Example() {
  DeviceCode code;
  code.kind = "opencl";
  code.workspace_bytes = 4096;
  code.preparation = {{"prepare_0", {4, 1, 1}, {64, 1, 1}, 0, {{1}, {3, ArgumentKind::kConstant}}}};
  code.launches = {{"kernel_0", {32, 2, 1}, {16, 16, 1}, 512, {{0}, {3}, {kWorkspaceArgument}}},
                   {"kernel_1", {1, 1, 1}, {1, 1, 1}, 0, {{kWorkspaceArgument}, {2}}},
                   {"kernel_2",
                    {1, 1, 1},
                    {1, 1, 1},
                    0,
                    {{0, ArgumentKind::kImageF32}, {1, ArgumentKind::kImageF16}, {2}}}};
  code.source = "// of two kernels\n__kernel void kernel_0() {}\n";
  return code;
}

TEST_CASE("device code is read as it was printed", "[proto]") {
  const std::string text = Print(Example());
  CHECK(text.find("// launch kernel_0 blocks 32 2 1 threads 16 16 1 shared 512 arguments 0 3 "
                  "workspace\n") != std::string::npos);
  CHECK(text.find(" arguments 1 3:constant\n") != std::string::npos);
  CHECK(text.find(" arguments 0:image_f32 1:image_f16 2\n") != std::string::npos);
  const auto read = ParseDeviceCode(text, 4);
  INFO(read.status());
  REQUIRE(read.ok());
  CHECK(*read == Example());
}

TEST_CASE("device code that is no such is refused by its line", "[proto]") {
  const std::string text = Print(Example());
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    const auto read = ParseDeviceCode(changed, 4);
    CHECK(read.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(read.status().message());
  };
  CHECK_THAT(refusal("opencl 3", "opencl 2"), Catch::Contains("line 1 is of version 2"));
  CHECK_THAT(refusal("opencl 3", "metal 3"), Catch::Contains("line 1 is of no known kind"));
  CHECK_THAT(refusal("workspace 4096", "workspace -1"), Catch::Contains("line 2"));
  CHECK_THAT(refusal("arguments 1 3", "arguments 1 4"), Catch::Contains("none of the 4 buffers"));
  CHECK_THAT(refusal("3:constant", "3:texture"),
             Catch::Contains("\"3:texture\"; known are N, N:constant, N:image_f32, N:image_f16"));
  CHECK_THAT(refusal("3:constant", "workspace:constant"), Catch::Contains("none of the 4 buffers"));
  CHECK_THAT(refusal("tessera opencl", "tessera cuda"),
             Catch::Contains("\"3:constant\"; known are N"));
  CHECK_THAT(refusal("threads 64 1 1", "threads 64 64 64"), Catch::Contains("threads a block"));
  CHECK_THAT(refusal("shared 512", "shared -1"), Catch::Contains("shared memory out of range"));
  CHECK_THAT(refusal("blocks 4 1 1", "blocks 0 1 1"), Catch::Contains("line 3"));
  CHECK_THAT(refusal("prepare_0", "system(0)"), Catch::Contains("line 3"));
  CHECK_THAT(std::string(ParseDeviceCode("", 4).status().message()), Catch::Contains("line 1"));
}

TEST_CASE("device code for VTA has neither blocks nor threads nor kinds of memory", "[proto]") {
  DeviceCode code;
  code.kind = "vta";
  code.launches = {{.kernel = "product", .arguments = {{0}, {kWorkspaceArgument}, {1}}}};
  code.source = "kernel product\n";
  const auto read = ParseDeviceCode(Print(code), 2);
  INFO(read.status());
  REQUIRE(read.ok());
  CHECK(*read == code);
  const auto refusal = [&](auto change) {
    DeviceCode changed = code;
    change(changed.launches[0]);
    return std::string(ParseDeviceCode(Print(changed), 2).status().message());
  };
  const auto has_none = Catch::Contains("line 3 has blocks, threads or shared memory");
  CHECK_THAT(refusal([](KernelLaunch& launch) { launch.blocks[2] = 2; }), has_none);
  CHECK_THAT(refusal([](KernelLaunch& launch) { launch.threads[0] = 2; }), has_none);
  CHECK_THAT(refusal([](KernelLaunch& launch) { launch.shared_bytes = 4; }), has_none);
  CHECK_THAT(
      refusal([](KernelLaunch& launch) { launch.arguments[0].kind = ArgumentKind::kConstant; }),
      Catch::Contains("\"0:constant\"; known are N"));
}

TEST_CASE("hostile device code is refused or read, never more", "[proto]") {
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  const std::string text = Print(Example());
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = text.substr(0, rng.Below(text.size() + 1));
    for (uint64_t edits = rng.Below(4); edits > 0 && !changed.empty(); --edits) {
      changed[rng.Below(changed.size())] = static_cast<char>(rng.Below(256));
    }
    const auto read = ParseDeviceCode(changed, 4);
    if (!read.ok()) continue;
    const auto again = ParseDeviceCode(Print(*read), 4);
    REQUIRE(again.ok());
    CHECK(*again == *read);
  }
}

}  // namespace
}  // namespace tessera::proto
