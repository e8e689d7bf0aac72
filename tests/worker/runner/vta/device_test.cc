#include "worker/runner/vta/device.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "tests/worker/runner/vta/fake_registers.h"
#include "tests/worker/vta_programs.h"
#include "worker/runner/vta/register_board.h"

namespace tessera::vta {
namespace {

using runner::Device;
using Bytes = std::vector<int8_t>;

absl::Span<const std::byte> AsBytes(const Bytes& values) {
  return {reinterpret_cast<const std::byte*>(values.data()), values.size()};
}
absl::Span<std::byte> AsWritable(Bytes& values) {
  return {reinterpret_cast<std::byte*>(values.data()), values.size()};
}

Bytes RandomValues(Rng& rng, int64_t count) {
  Bytes values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<int8_t>(rng.Between(-128, 127)));
  return values;
}

std::unique_ptr<Device> OpenWithBuffers(const std::string& setup = kNoPipelines) {
  auto device = OpenSimulator(setup);
  INFO(device.status());
  REQUIRE(device.ok());
  for (const int64_t bytes : {kInputBytes, kWeightBytes, kResultBytes}) {
    REQUIRE((*device)->AddBuffer(bytes).ok());
  }
  return *std::move(device);
}

double SecondsOf(Device& device, int64_t calls) {
  const absl::StatusOr<double> seconds = device.Call(calls);
  INFO(seconds.status());
  REQUIRE(seconds.ok());
  return *seconds;
}

// Loads the product into `device`, calls it and checks what it computes. Seconds of the call.
double CheckProduct(Device& device) {
  Rng rng(1);
  const Bytes inputs = RandomValues(rng, kInputBytes), weights = RandomValues(rng, kWeightBytes);
  const absl::Status loaded = device.Load(CodeOf(SmallProduct()), "");
  INFO(loaded);
  REQUIRE(loaded.ok());
  REQUIRE(device.Write(0, 0, AsBytes(inputs)).ok());
  REQUIRE(device.Write(1, 0, AsBytes(weights)).ok());
  REQUIRE(device.Fill(2, 0xff).ok());
  REQUIRE(device.Prepare().ok());
  const double seconds = SecondsOf(device, 1);
  Bytes results(kResultBytes);
  REQUIRE(device.Read(2, 0, AsWritable(results)).ok());
  CHECK(results == PlainProduct(inputs.data(), weights.data(), kRows, kColumns, kDepth));
  return seconds;
}

TEST_CASE("a simulated device computes, in seconds of its own clock", "[vta]") {
  const auto device = OpenWithBuffers();
  const double seconds = CheckProduct(*device);
  CHECK(seconds > 1e-6);
  CHECK(seconds < 1e-4);
  CHECK(SecondsOf(*device, 3) == Approx(3 * seconds));
  const auto faster = OpenWithBuffers(R"({"GEMM_DEPTH": 1, "ALU_DEPTH": 1, "CLOCK_MHZ": 200})");
  CHECK(CheckProduct(*faster) == Approx(seconds / 2));
}

TEST_CASE("buffers of a device lie between margins that it leaves alone", "[vta]") {
  const auto device = OpenWithBuffers();
  const Bytes margin(Device::kMargin, 0x5a);
  for (const int buffer : {0, 1, 2}) {
    const int64_t bytes = std::vector{kInputBytes, kWeightBytes, kResultBytes}[buffer];
    REQUIRE(device->Write(buffer, -Device::kMargin, AsBytes(margin)).ok());
    REQUIRE(device->Write(buffer, bytes, AsBytes(margin)).ok());
  }
  CheckProduct(*device);
  for (const int buffer : {0, 1, 2}) {
    CAPTURE(buffer);
    const int64_t bytes = std::vector{kInputBytes, kWeightBytes, kResultBytes}[buffer];
    Bytes before(margin.size()), behind(margin.size());
    REQUIRE(device->Read(buffer, -Device::kMargin, AsWritable(before)).ok());
    REQUIRE(device->Read(buffer, bytes, AsWritable(behind)).ok());
    CHECK(before == margin);
    CHECK(behind == margin);
  }
}

TEST_CASE("kernels of a call hand on what they compute in the workspace", "[vta]") {
  constexpr int64_t kWidth = 2;
  auto opened = OpenSimulator(kNoPipelines);
  REQUIRE(opened.ok());
  Device& device = **opened;
  for (const int64_t bytes : {kInputBytes, kWeightBytes, kRows * kWidth * 16}) {
    REQUIRE(device.AddBuffer(bytes).ok());
  }
  proto::DeviceCode code;
  code.kind = "vta";
  code.workspace_bytes = kResultBytes;
  code.launches = {{.kernel = "first", .arguments = {{0}, {1}, {proto::kWorkspaceArgument}}},
                   {.kernel = "second", .arguments = {{proto::kWorkspaceArgument}, {1}, {2}}}};
  code.source = PrintKernels(
      {{"second", ProductCode(kRows, kWidth, kColumns, 1)}, {"first", SmallProduct()}});
  REQUIRE(device.Load(code, "").ok());
  Rng rng(2);
  const Bytes inputs = RandomValues(rng, kInputBytes), weights = RandomValues(rng, kWeightBytes);
  REQUIRE(device.Write(0, 0, AsBytes(inputs)).ok());
  REQUIRE(device.Write(1, 0, AsBytes(weights)).ok());
  REQUIRE(device.Fill(proto::kWorkspaceArgument, 0xff).ok());
  SecondsOf(device, 1);
  const Bytes between = PlainProduct(inputs.data(), weights.data(), kRows, kColumns, kDepth);
  Bytes results(kRows * kWidth * 16);
  REQUIRE(device.Read(2, 0, AsWritable(results)).ok());
  CHECK(results == PlainProduct(between.data(), weights.data(), kRows, kWidth, kColumns));
}

TEST_CASE("preparation is run once, before the calls", "[vta]") {
  const auto device = OpenWithBuffers();
  proto::DeviceCode code = CodeOf(SmallProduct());
  REQUIRE(device->AddBuffer(kWeightBytes).ok());
  code.preparation = {{.kernel = "product", .arguments = {{0}, {1}, {3}}}};
  REQUIRE(device->Load(code, "").ok());
  Rng rng(3);
  const Bytes inputs = RandomValues(rng, kInputBytes), weights = RandomValues(rng, kWeightBytes);
  REQUIRE(device->Write(0, 0, AsBytes(inputs)).ok());
  REQUIRE(device->Write(1, 0, AsBytes(weights)).ok());
  const Bytes expected = PlainProduct(inputs.data(), weights.data(), kRows, kColumns, kDepth);
  for (const int buffer : {2, 3}) REQUIRE(device->Fill(buffer, 0x11).ok());
  const auto found = [&](int buffer) {
    Bytes results(kResultBytes);
    REQUIRE(device->Read(buffer, 0, AsWritable(results)).ok());
    return results;
  };
  REQUIRE(device->Prepare().ok());
  CHECK(found(3) == expected);
  CHECK(found(2) != expected);
  REQUIRE(device->Fill(3, 0x11).ok());
  SecondsOf(*device, 1);
  CHECK(found(2) == expected);
  CHECK(found(3) == Bytes(kResultBytes, 0x11));
}

TEST_CASE("a device over a board that counts no cycles is timed by the host", "[vta]") {
  std::vector<uint8_t> memory(0x80000);
  const Dram dram = {memory.data() + 0x10000, 0x10000, 0x70000};
  FakeRegisters registers(dram);
  registers.timing = {.gemm_depth = 1, .alu_depth = 1};
  absl::StatusOr<std::shared_ptr<Board>> board =
      RegisterBoard::Open(registers.Access(Clock::Real()), dram, absl::Seconds(10));
  REQUIRE(board.ok());
  const auto device = MakeDevice(*board, ParseSetup("").value());
  for (const int64_t bytes : {kInputBytes, kWeightBytes, kResultBytes}) {
    REQUIRE(device->AddBuffer(bytes).ok());
  }
  const auto start = std::chrono::steady_clock::now();
  const double seconds = CheckProduct(*device);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  CHECK(seconds > 0);
  CHECK(seconds <= wall.count());
  CHECK(device->Evict().ok());
  CHECK(registers.faults.empty());
}

TEST_CASE("what a device can't load or run is said", "[vta]") {
  const auto refusal = [](const proto::DeviceCode& code) {
    const absl::Status status = OpenWithBuffers()->Load(code, "");
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK_THAT(refusal(CodeOf(PrintKernels({{"other", SmallProduct()}}))),
             Catch::Contains("there is no kernel product"));
  CHECK_THAT(refusal(CodeOf("kernel product\nsome program\n")),
             Catch::Contains("kernel product: "));
  Code wider = SmallProduct();
  wider.config.log_inp_bytes = 14;
  CHECK_THAT(refusal(CodeOf(wider)), Catch::Contains("is for the configuration {\"LOG_BATCH\":0") &&
                                         Catch::Contains("\"LOG_INP_BUFF_SIZE\":14"));
  proto::DeviceCode beyond = CodeOf(SmallProduct());
  beyond.launches[0].arguments[2] = {proto::kWorkspaceArgument};
  CHECK_THAT(refusal(beyond), Catch::Contains("passed a buffer that is not there"));

  const auto failure = [](Device& device, const Code& code) {
    REQUIRE(device.Load(CodeOf(code), "").ok());
    for (const int buffer : {0, 1}) REQUIRE(device.Fill(buffer, 1).ok());
    const absl::Status status = device.Call(1).status();
    CHECK_FALSE(status.ok());
    return std::string(status.message());
  };
  CHECK_THAT(failure(*OpenWithBuffers(), ProductCode(kRows + 1, kColumns, kDepth, 1)),
             Catch::Contains("kernel product: it moves what lies outside of its buffers"));
  // The default pipelines are longer.
  CHECK_THAT(
      failure(*OpenWithBuffers(""), SmallProduct()),
      Catch::Contains("kernel product: VTA: instruction ") && Catch::Contains("tile 0 of acc"));
  CHECK(absl::IsResourceExhausted(OpenWithBuffers()->AddBuffer(int64_t{1} << 30)));
}

TEST_CASE("a device can't be opened without its configuration or its board", "[vta]") {
  CHECK(absl::IsInvalidArgument(OpenSimulator("{").status()));
  const auto missing = OpenBoard(R"({"REGISTERS": "/dev/null-7"})").status();
  CHECK_THAT(std::string(missing.message()), Catch::Contains("/dev/null-7"));
  const auto unknown = OpenBoard(R"({"TARGET": "de10nano"})").status();
  CHECK(absl::IsInvalidArgument(unknown));
  CHECK_THAT(std::string(unknown.message()), Catch::Contains("TARGET de10nano"));
}

}  // namespace
}  // namespace tessera::vta
