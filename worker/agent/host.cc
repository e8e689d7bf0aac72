#include "worker/agent/host.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::agent {
namespace {

// The keys and values of the first processor in /proc/cpuinfo.
std::map<std::string, std::string> ReadCpuInfo() {
  std::map<std::string, std::string> info;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    info[std::string(absl::StripAsciiWhitespace(parts.first))] =
        std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return info;
}

int ToInt(const std::string& text) {
  int value = 0;
  return absl::SimpleAtoi(text, &value) || absl::SimpleHexAtoi(text, &value) ? value : 0;
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Bytes of the data or unified cache of a level; 0 when it can't be read.
int64_t CacheBytes(int core, int level, int sysconf_name) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        absl::StrCat("/sys/devices/system/cpu/cpu", core, "/cache/index", index, "/");
    if (FirstLine(folder + "level") != absl::StrCat(level)) continue;
    if (FirstLine(folder + "type") == "Instruction") continue;
    std::string size = FirstLine(folder + "size");
    int shift = 0;
    if (!size.empty() && (size.back() == 'K' || size.back() == 'M')) {
      shift = size.back() == 'K' ? 10 : 20;
      size.pop_back();
    }
    int64_t value = 0;
    if (absl::SimpleAtoi(size, &value) && value > 0) return value << shift;
  }
  return std::max(0L, sysconf(sysconf_name));
}

struct Isa {
  std::string kind;                   // "x86"
  std::string level;                  // "avx512": of the kind's ladder, the highest
  std::vector<std::string> features;  // as targets name them, sorted
};

#if defined(__x86_64__)
constexpr std::array<std::string_view, 3> kLevels = {"sse4.2", "avx2", "avx512"};

absl::StatusOr<Isa> FindIsa(std::string_view ceiling) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const size_t has = avx512 ? 2 : avx2 ? 1 : 0;
  size_t level = has;
  if (!ceiling.empty()) {
    level = std::find(kLevels.begin(), kLevels.end(), ceiling) - kLevels.begin();
    if (level > has) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--isa: \"", AbslView(ceiling), "\" is not among what this machine has (sse4.2",
          has >= 1 ? ", avx2" : "", has >= 2 ? ", avx512" : "", ")"));
    }
  }
  Isa isa{"x86", std::string(kLevels[level]), {std::string(kLevels[level])}};
  if (level == 2 && __builtin_cpu_supports("avx512bf16")) isa.features.push_back("bf16");
  if (level == 2 && __builtin_cpu_supports("avx512vnni")) isa.features.push_back("vnni");
  return isa;
}
#elif defined(__aarch64__)
absl::StatusOr<Isa> FindIsa(std::string_view ceiling) {
  if (!ceiling.empty() && ceiling != "neon") {
    return absl::InvalidArgumentError(absl::StrCat("--isa: \"", AbslView(ceiling),
                                                   "\" is not among what this machine has (neon)"));
  }
  std::map<std::string, std::string> info = ReadCpuInfo();
  const std::vector<std::string> flags = absl::StrSplit(info["Features"], ' ');
  const auto has = [&](std::string_view flag) {
    return std::find(flags.begin(), flags.end(), flag) != flags.end();
  };
  Isa isa{"aarch64", "neon", {}};
  if (has("asimddp")) isa.features.push_back("dotprod");
  if (has("asimdhp")) isa.features.push_back("fp16");
  isa.features.push_back("neon");
  return isa;
}
#else
absl::StatusOr<Isa> FindIsa(std::string_view) {
  return absl::UnimplementedError("workers run on x86-64 and AArch64 only");
}
#endif

std::string Kibibytes(int64_t bytes) {
  return bytes >= 1 << 20 ? absl::StrCat(bytes >> 20, " MiB") : absl::StrCat(bytes >> 10, " KiB");
}

}  // namespace

std::string Microarchitecture(std::string_view vendor, int family, int model) {
  struct Known {
    std::string_view vendor;
    int family, first_model, last_model;
    std::string_view name;
  };
  // AMD and Intel processor programming references; models are inclusive ranges.
  static constexpr Known kKnown[] = {
      {"AuthenticAMD", 23, 0x00, 0x2f, "zen"},
      {"AuthenticAMD", 23, 0x30, 0xff, "zen2"},
      {"AuthenticAMD", 25, 0x00, 0x0f, "zen3"},
      {"AuthenticAMD", 25, 0x10, 0x1f, "zen4"},
      {"AuthenticAMD", 25, 0x20, 0x5f, "zen3"},
      {"AuthenticAMD", 25, 0x60, 0xaf, "zen4"},
      {"AuthenticAMD", 26, 0x00, 0xff, "zen5"},
      {"GenuineIntel", 6, 0x3c, 0x3f, "haswell"},
      {"GenuineIntel", 6, 0x4f, 0x4f, "broadwell"},
      {"GenuineIntel", 6, 0x55, 0x55, "skylake-avx512"},
      {"GenuineIntel", 6, 0x6a, 0x6c, "icelake-server"},
      {"GenuineIntel", 6, 0x8f, 0x8f, "sapphirerapids"},
      {"GenuineIntel", 6, 0xcf, 0xcf, "emeraldrapids"},
      {"GenuineIntel", 6, 0xad, 0xae, "graniterapids"},
  };
  for (const Known& known : kKnown) {
    if (known.vendor == vendor && known.family == family && known.first_model <= model &&
        model <= known.last_model) {
      return std::string(known.name);
    }
  }
  const std::string_view maker = vendor == "AuthenticAMD"   ? "amd"
                                 : vendor == "GenuineIntel" ? "intel"
                                                            : "cpu";
  return absl::StrCat(AbslView(maker), "-", family, "-", model);
}

absl::StatusOr<Host> DescribeHost(const std::vector<int>& cores, std::string_view isa_ceiling) {
  TESSERA_CHECK(!cores.empty());
  TESSERA_ASSIGN_OR_RETURN(const Isa isa, FindIsa(isa_ceiling));
  std::map<std::string, std::string> info = ReadCpuInfo();
  const std::string architecture =
      isa.kind == "x86"
          ? Microarchitecture(info["vendor_id"], ToInt(info["cpu family"]), ToInt(info["model"]))
          : Microarchitecture(info["CPU implementer"], ToInt(info["CPU implementer"]),
                              ToInt(info["CPU part"]));
  const int64_t l1 = CacheBytes(cores[0], 1, _SC_LEVEL1_DCACHE_SIZE);
  const int64_t l2 = CacheBytes(cores[0], 2, _SC_LEVEL2_CACHE_SIZE);
  const int64_t l3 = CacheBytes(cores[0], 3, _SC_LEVEL3_CACHE_SIZE);
  Host host;
  host.target =
      absl::StrCat(isa.kind, "/", absl::StrJoin(isa.features, ","), " l1=", l1 > 0 ? l1 : 32 << 10,
                   " l2=", l2 > 0 ? l2 : 1 << 20, " threads=", cores.size());
  host.device_class.name =
      absl::StrCat(isa.kind, "/", architecture, "/", isa.level, "/", cores.size(), "c");
  const std::string model = info["model name"];
  const std::string governor =
      FirstLine(absl::StrCat("/sys/devices/system/cpu/cpu", cores[0], "/cpufreq/scaling_governor"));
  host.device_class.description =
      absl::StrCat(model.empty() ? architecture : model, ", ", cores.size(), " core(s), L1d ",
                   Kibibytes(l1), ", L2 ", Kibibytes(l2), ", L3 ", Kibibytes(l3), ", governor ",
                   governor.empty() ? "unknown" : governor);
  return host;
}

}  // namespace tessera::agent
