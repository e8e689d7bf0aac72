#include "worker/opencl_device.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/limits.h"
#include "worker/runner/opencl/device.h"

namespace tessera {
namespace {

// As of ir::Target, which a runner does not know: what a target may have at most.
constexpr int64_t kMaxWaveThreads = 128;
constexpr int64_t kUsualWaveThreads = 32;

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

}  // namespace

absl::StatusOr<agent::Host> DescribeOpenClDevice(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<opencl::DeviceInfo> devices, opencl::ListDevices());
  const auto found = std::ranges::find_if(devices, [&](const opencl::DeviceInfo& device) {
    return absl::StrContains(device.name, AbslView(name));
  });
  if (found == devices.end()) {
    return absl::NotFoundError(absl::StrCat(
        "--device: no OpenCL device is called \"", AbslView(name), "\"; there ",
        devices.empty() ? "is none; install the driver of one (Debian, on CPUs: pocl-opencl-icd)"
                        : "are ",
        absl::StrJoin(devices, ", ", [](std::string* out, const opencl::DeviceInfo& device) {
          absl::StrAppend(out, "\"", device.name, "\"");
        })));
  }
  agent::Host host;
  const int64_t wave = found->wave_threads > 0 ? found->wave_threads : kUsualWaveThreads;
  host.target = absl::StrCat(
      "opencl", found->has_fp16 ? "/fp16" : "", " l2=", std::max<int64_t>(found->cache_bytes, 1),
      " block=", std::clamp<int64_t>(found->block_threads, 1, proto::kMaxBlockThreads),
      " wave=", std::clamp<int64_t>(wave, 1, kMaxWaveThreads),
      " shared=", std::max<int64_t>(found->shared_bytes, 1));
  host.device_class.name = absl::StrCat("opencl/", Slug(found->name), "/", Slug(found->driver));
  host.device_class.description = absl::StrCat(
      found->name, ", ", found->vendor, ", ", found->platform, " ", found->driver, ", ",
      found->compute_units, " compute unit(s), ", found->memory_bytes >> 20, " MiB, at most ",
      found->block_threads, " threads and ", found->shared_bytes >> 10, " KiB a block");
  return host;
}

}  // namespace tessera
