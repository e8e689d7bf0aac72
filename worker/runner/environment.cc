#include "worker/runner/environment.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "base/status.h"
#include "compiler/runtime/kernel.h"

namespace tessera::runner {
namespace {

// The number in a one-line file of the system, or -1.
double ReadNumber(const std::string& path) {
  std::ifstream file(path);
  double value;
  return file >> value ? value : -1;
}

double CpuMhz(int core) {
  const double khz =
      ReadNumber(absl::StrCat("/sys/devices/system/cpu/cpu", core, "/cpufreq/scaling_cur_freq"));
  if (khz > 0) return khz / 1000;
  std::ifstream file("/proc/cpuinfo");
  int processor = -1;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (absl::StartsWith(line, "processor")) processor = std::atoi(line.c_str() + colon + 1);
    if (processor == core && absl::StartsWith(line, "cpu MHz")) {
      return std::strtod(line.c_str() + colon + 1, nullptr);
    }
  }
  return -1;
}

}  // namespace

db::Environment ReadEnvironment(const std::vector<int>& cores) {
  db::Environment environment;
  environment.cpu_mhz = CpuMhz(cores.empty() ? 0 : cores.front());
  double load;
  if (getloadavg(&load, 1) == 1) environment.load_average = load;
  const double millidegrees = ReadNumber("/sys/class/thermal/thermal_zone0/temp");
  if (millidegrees > 0) environment.temperature_celsius = millidegrees / 1000;
  environment.runtime_version = absl::StrCat("abi ", TESSERA_KERNEL_ABI);
  return environment;
}

int64_t AvailableMemoryBytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    constexpr char kName[] = "MemAvailable:";
    if (!absl::StartsWith(line, kName)) continue;
    const int64_t bytes = std::atoll(line.c_str() + sizeof(kName) - 1) * 1024;
    return std::min<int64_t>(bytes, std::numeric_limits<ptrdiff_t>::max());
  }
  return -1;
}

}  // namespace tessera::runner
