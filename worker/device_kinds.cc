#include "worker/device_kinds.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/limits.h"
#include "worker/runner/cuda/device.h"
#include "worker/runner/opencl/device.h"
#include "worker/runner/vta/device.h"
#include "worker/runner/vta/setup.h"

namespace tessera {
namespace {

// As of ir::Target, which a runner does not know: what a target may have at most.
constexpr int64_t kMaxWaveThreads = 128;
constexpr int64_t kMaxImageTexels = (int64_t{1} << 29) - 1;
constexpr int64_t kUsualWaveThreads = 32;
constexpr int64_t kLeastTexelBytes = 8;  // four of f16

// "pthread-skylake-avx512-AMD EPYC" as "pthread-skylake-avx512-amd-epyc".
std::string Slug(std::string_view text) {
  std::string slug;
  for (const char c : text) {
    const bool keeps = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.';
    if (keeps) {
      slug += absl::ascii_tolower(static_cast<unsigned char>(c));
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug.substr(0, 64);
}

// The first of `devices` whose name contains `name`. NotFound where there are others only;
// FailedPrecondition where there is none, with what to do (`install`).
template <typename Info>
absl::StatusOr<Info> Choose(const std::vector<Info>& devices, std::string_view name,
                            std::string_view kind, std::string_view install) {
  for (const Info& device : devices) {
    if (absl::StrContains(device.name, AbslView(name))) return device;
  }
  if (devices.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no ", AbslView(kind), " device; ", AbslView(install)));
  }
  return absl::NotFoundError(absl::StrCat(
      "--device: no ", AbslView(kind), " device is called \"", AbslView(name), "\"; there are ",
      absl::StrJoin(devices, ", ", [](std::string* out, const Info& device) {
        absl::StrAppend(out, "\"", device.name, "\"");
      })));
}

// " l2=… block=… wave=… shared=…", within what a target may have.
template <typename Info>
std::string LimitsOf(const Info& device) {
  const int64_t wave = device.wave_threads > 0 ? device.wave_threads : kUsualWaveThreads;
  return absl::StrCat(" l2=", std::max<int64_t>(device.cache_bytes, 1), " block=",
                      std::clamp<int64_t>(device.block_threads, 1, proto::kMaxBlockThreads),
                      " wave=", std::clamp<int64_t>(wave, 1, kMaxWaveThreads),
                      " shared=", std::max<int64_t>(device.shared_bytes, 1));
}

absl::StatusOr<agent::Host> DescribeOpenCl(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<opencl::DeviceInfo> devices, opencl::ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const opencl::DeviceInfo found,
                           Choose(devices, name, "OpenCL",
                                  "install the driver of one (Debian, on CPUs: pocl-opencl-icd)"));
  agent::Host host;
  host.target = absl::StrCat("opencl", found.has_fp16 ? "/fp16" : "", LimitsOf(found));
  if (found.constant_bytes > 0) absl::StrAppend(&host.target, " constant=", found.constant_bytes);
  // A buffer's image begins with the margin before it.
  const int64_t texels = found.image_texels - runner::Device::kMargin / kLeastTexelBytes;
  if (texels > 0) {
    absl::StrAppend(&host.target, " texels=", std::min<int64_t>(texels, kMaxImageTexels));
  }
  host.device_class.name = absl::StrCat("opencl/", Slug(found.name), "/", Slug(found.driver));
  host.device_class.description = absl::StrCat(
      found.name, ", ", found.vendor, ", ", found.platform, " ", found.driver, ", ",
      found.compute_units, " compute unit(s), ", found.memory_bytes >> 20, " MiB, at most ",
      found.block_threads, " threads and ", found.shared_bytes >> 10, " KiB a block");
  return host;
}

// Of the levels that a target can have (ir::Target), the highest that the device has.
std::string LevelOf(int compute_capability) {
  constexpr std::array kLevels = {70, 75, 80, 86, 87, 89, 90};
  const auto above = std::ranges::upper_bound(kLevels, compute_capability);
  return above == kLevels.begin() ? "" : absl::StrCat("sm_", *(above - 1));
}

absl::StatusOr<agent::Host> DescribeCuda(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<cuda::DeviceInfo> devices, cuda::ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const cuda::DeviceInfo found,
                           Choose(devices, name, "CUDA", "an NVIDIA GPU is needed"));
  const std::string level = LevelOf(found.compute_capability);
  const std::string capability =
      absl::StrCat(found.compute_capability / 10, ".", found.compute_capability % 10);
  if (level.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("--device: ", found.name,
                                                      " is of compute capability ", capability,
                                                      "; at least 7.0 is needed"));
  }
  agent::Host host;
  const std::string driver =
      absl::StrCat(found.driver_version / 1000, ".", found.driver_version % 1000 / 10);
  host.target = absl::StrCat("cuda/", level, LimitsOf(found));
  if (found.block_registers > 0) {
    absl::StrAppend(&host.target, " registers=", found.block_registers);
  }
  host.device_class.name = absl::StrCat("cuda/", Slug(found.name), "/", driver);
  host.device_class.description = absl::StrCat(
      found.name, ", compute capability ", capability, ", driver for CUDA ", driver, ", ",
      found.processors, " multiprocessor(s), ", found.memory_bytes >> 20, " MiB, at most ",
      found.block_threads, " threads and ", found.shared_bytes >> 10, " KiB a block");
  return host;
}

absl::Status CheckVtaConfig(std::string_view text) { return vta::ParseSetup(text).status(); }

absl::StatusOr<agent::Host> DescribeSimulator(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(const vta::Setup setup, vta::ParseSetup(text));
  return agent::Host{
      .target = vta::TargetText(setup),
      .device_class = {.name = vta::SimulatorClass(setup),
                       .description = absl::StrCat("simulated VTA of ", setup.clock_mhz, " MHz, ",
                                                   vta::Describe(setup.config))},
      .peak_gops = vta::PeakGops(setup)};
}

absl::StatusOr<agent::Host> DescribeBoard(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(const vta::Setup setup, vta::ParseSetup(text));
  // Whether it answers shows now.
  TESSERA_RETURN_IF_ERROR(vta::OpenBoard(text).status());
  return agent::Host{
      .target = vta::TargetText(setup),
      .device_class = {.name = vta::BoardClass(setup),
                       .description = absl::StrCat("VTA on ", setup.board, " of ", setup.clock_mhz,
                                                   " MHz, ", vta::Describe(setup.config))},
      .peak_gops = vta::PeakGops(setup)};
}

}  // namespace

absl::Span<const DeviceKind> DeviceKinds() {
  using runner::TimeSource;
  static const std::array<DeviceKind, 4> kinds = {
      DeviceKind{{"opencl", "opencl", TimeSource::kDevice, opencl::OpenDevice, opencl::CompilerOf},
                 DescribeOpenCl},
      DeviceKind{{"cuda", "cuda", TimeSource::kDevice, cuda::OpenDevice, nullptr}, DescribeCuda},
      DeviceKind{{"vta-sim", "vta", TimeSource::kSimulator, vta::OpenSimulator, nullptr},
                 DescribeSimulator,
                 CheckVtaConfig},
      DeviceKind{{"vta", "vta", TimeSource::kDevice, vta::OpenBoard, nullptr},
                 DescribeBoard,
                 CheckVtaConfig}};
  return kinds;
}

const DeviceKind* FindDeviceKind(std::string_view name) {
  for (const DeviceKind& kind : DeviceKinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

}  // namespace tessera
