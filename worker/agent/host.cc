#include "worker/agent/host.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/runtime/cpu.h"

namespace tessera::agent {
namespace {

// Keys and values of a block of /proc/cpuinfo: of a processor, or of what all share.
using CpuInfo = std::map<std::string, std::string>;

std::vector<CpuInfo> ParseCpuInfo(std::istream& text) {
  std::vector<CpuInfo> blocks(1);
  for (std::string line; std::getline(text, line);) {
    if (line.empty()) {
      blocks.emplace_back();
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    blocks.back()[std::string(absl::StripAsciiWhitespace(parts.first))] =
        std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return blocks;
}

// The block of a core; the first where none is.
CpuInfo InfoOf(const std::vector<CpuInfo>& blocks, int core) {
  for (const CpuInfo& block : blocks) {
    const auto number = block.find("processor");
    if (number != block.end() && number->second == absl::StrCat(core)) return block;
  }
  return blocks[0];
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
  return std::max<int64_t>(0, sysconf(sysconf_name));
}

struct InstructionSet {
  std::string_view name;  // as targets call it
  int64_t bit;            // of compiler/runtime/cpu.h
};

// A kind's ladder of levels, and what there may be beside the highest.
#if defined(__x86_64__)
constexpr std::string_view kKind = "x86";
constexpr std::array kLevels = {InstructionSet{"sse4.2", TESSERA_CPU_SSE42},
                                InstructionSet{"avx2", TESSERA_CPU_AVX2},
                                InstructionSet{"avx512", TESSERA_CPU_AVX512}};
constexpr std::array kExtras = {InstructionSet{"bf16", TESSERA_CPU_BF16},
                                InstructionSet{"vnni", TESSERA_CPU_VNNI}};
#elif defined(__aarch64__)
constexpr std::string_view kKind = "aarch64";
constexpr std::array kLevels = {InstructionSet{"neon", TESSERA_CPU_NEON}};
constexpr std::array kExtras = {InstructionSet{"dotprod", TESSERA_CPU_DOTPROD},
                                InstructionSet{"fp16", TESSERA_CPU_FP16}};
#elif defined(__arm__)
constexpr std::string_view kKind = "arm";
constexpr std::array kLevels = {InstructionSet{"neon", TESSERA_CPU_NEON}};
constexpr std::array<InstructionSet, 0> kExtras = {};
#else
#error "workers run on x86-64, AArch64 and ARM only"
#endif

struct Isa {
  std::string level;                  // "avx512": of the kind's ladder, the highest
  std::vector<std::string> features;  // as targets name them, sorted
};

absl::StatusOr<Isa> FindIsa(std::string_view ceiling) {
  const int64_t bits = tessera_cpu_features();
  std::vector<std::string> levels;
  for (const InstructionSet& set : kLevels) {
    if ((bits & set.bit) != 0) levels.emplace_back(set.name);
  }
  if (levels.empty()) {
    return absl::UnimplementedError(absl::StrCat(
        "this CPU has no ", AbslView(kLevels[0].name),
        ", which is the least that code is generated for; --runner opencl needs none"));
  }
  auto level = levels.end() - 1;
  if (!ceiling.empty()) {
    level = std::find(levels.begin(), levels.end(), ceiling);
    if (level == levels.end()) {
      return absl::InvalidArgumentError(absl::StrCat("--isa: \"", AbslView(ceiling),
                                                     "\" is not among what this machine has (",
                                                     absl::StrJoin(levels, ", "), ")"));
    }
  }
  Isa isa{*level, {*level}};
  for (const InstructionSet& set : kExtras) {
    if ((bits & set.bit) != 0 && *level == kLevels.back().name) isa.features.emplace_back(set.name);
  }
  std::sort(isa.features.begin(), isa.features.end());
  return isa;
}

std::string Microarchitectures(const std::vector<CpuInfo>& blocks, const std::vector<int>& cores) {
  std::set<std::string> names;
  for (const int core : cores) {
    CpuInfo info = InfoOf(blocks, core);
    names.insert(
        info.contains("CPU implementer")
            ? Microarchitecture("arm", ToInt(info["CPU implementer"]), ToInt(info["CPU part"]))
            : Microarchitecture(info["vendor_id"], ToInt(info["cpu family"]),
                                ToInt(info["model"])));
  }
  return absl::StrJoin(names, "+");
}

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
  // AMD and Intel processor programming references; models are inclusive ranges. Of ARM CPUs the
  // implementer and the part, as the main ID register has them.
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
      {"arm", 0x41, 0xc05, 0xc05, "cortex-a5"},
      {"arm", 0x41, 0xc07, 0xc07, "cortex-a7"},
      {"arm", 0x41, 0xc08, 0xc08, "cortex-a8"},
      {"arm", 0x41, 0xc09, 0xc09, "cortex-a9"},
      {"arm", 0x41, 0xc0e, 0xc0e, "cortex-a17"},
      {"arm", 0x41, 0xc0f, 0xc0f, "cortex-a15"},
      {"arm", 0x41, 0xd03, 0xd03, "cortex-a53"},
      {"arm", 0x41, 0xd04, 0xd04, "cortex-a35"},
      {"arm", 0x41, 0xd05, 0xd05, "cortex-a55"},
      {"arm", 0x41, 0xd07, 0xd07, "cortex-a57"},
      {"arm", 0x41, 0xd08, 0xd08, "cortex-a72"},
      {"arm", 0x41, 0xd09, 0xd09, "cortex-a73"},
      {"arm", 0x41, 0xd0a, 0xd0a, "cortex-a75"},
      {"arm", 0x41, 0xd0b, 0xd0b, "cortex-a76"},
      {"arm", 0x41, 0xd0c, 0xd0c, "neoverse-n1"},
      {"arm", 0x41, 0xd0d, 0xd0d, "cortex-a77"},
      {"arm", 0x41, 0xd40, 0xd40, "neoverse-v1"},
      {"arm", 0x41, 0xd41, 0xd41, "cortex-a78"},
      {"arm", 0x41, 0xd44, 0xd44, "cortex-x1"},
      {"arm", 0x41, 0xd46, 0xd46, "cortex-a510"},
      {"arm", 0x41, 0xd47, 0xd47, "cortex-a710"},
      {"arm", 0x41, 0xd48, 0xd48, "cortex-x2"},
      {"arm", 0x41, 0xd49, 0xd49, "neoverse-n2"},
      {"arm", 0x41, 0xd4f, 0xd4f, "neoverse-v2"},
  };
  for (const Known& known : kKnown) {
    if (known.vendor == vendor && known.family == family && known.first_model <= model &&
        model <= known.last_model) {
      return std::string(known.name);
    }
  }
  const std::string_view maker = vendor == "AuthenticAMD"   ? "amd"
                                 : vendor == "GenuineIntel" ? "intel"
                                 : vendor == "arm"          ? "arm"
                                                            : "cpu";
  return absl::StrCat(AbslView(maker), "-", family, "-", model);
}

std::string Microarchitectures(std::istream& cpuinfo, const std::vector<int>& cores) {
  return Microarchitectures(ParseCpuInfo(cpuinfo), cores);
}

absl::StatusOr<Host> DescribeHost(const std::vector<int>& cores, std::string_view isa_ceiling) {
  TESSERA_CHECK(!cores.empty());
  TESSERA_ASSIGN_OR_RETURN(const Isa isa, FindIsa(isa_ceiling));
  std::ifstream file("/proc/cpuinfo");
  const std::vector<CpuInfo> blocks = ParseCpuInfo(file);
  const std::string architecture = Microarchitectures(blocks, cores);
  const int64_t l1 = CacheBytes(cores[0], 1, _SC_LEVEL1_DCACHE_SIZE);
  const int64_t l2 = CacheBytes(cores[0], 2, _SC_LEVEL2_CACHE_SIZE);
  const int64_t l3 = CacheBytes(cores[0], 3, _SC_LEVEL3_CACHE_SIZE);
  Host host;
  host.target = absl::StrCat(AbslView(kKind), "/", absl::StrJoin(isa.features, ","),
                             " l1=", l1 > 0 ? l1 : 32 << 10, " l2=", l2 > 0 ? l2 : 1 << 20,
                             " threads=", cores.size());
  host.device_class.name =
      absl::StrCat(AbslView(kKind), "/", architecture, "/", isa.level, "/", cores.size(), "c");
  const std::string model = InfoOf(blocks, cores[0])["model name"];
  const std::string governor =
      FirstLine(absl::StrCat("/sys/devices/system/cpu/cpu", cores[0], "/cpufreq/scaling_governor"));
  host.device_class.description =
      absl::StrCat(model.empty() ? architecture : model, ", ", cores.size(), " core(s), L1d ",
                   Kibibytes(l1), ", L2 ", Kibibytes(l2), ", L3 ", Kibibytes(l3), ", governor ",
                   governor.empty() ? "unknown" : governor);
  return host;
}

}  // namespace tessera::agent
