#include <sched.h>
#include <unistd.h>

#include <cctype>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/codegen.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

namespace tessera::codegen {
namespace {

constexpr int kMaxCpus = 4096;

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "32K" or "1M" as sysfs writes sizes; 0 when unreadable.
int64_t ParseSize(const std::string& text) {
  size_t digits = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
  int64_t value = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &value)) return 0;
  if (digits == text.size()) return value;
  return text[digits] == 'K' ? value << 10 : text[digits] == 'M' ? value << 20 : value;
}

// Size of the data or unified cache of a level as the first allowed core sees it.
int64_t CacheBytes(int cpu, int level, int sysconf_name) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        absl::StrCat("/sys/devices/system/cpu/cpu", cpu, "/cache/index", index, "/");
    if (ReadLine(folder + "level") != absl::StrCat(level)) continue;
    if (ReadLine(folder + "type") == "Instruction") continue;
    if (const int64_t bytes = ParseSize(ReadLine(folder + "size")); bytes > 0) return bytes;
  }
  const long bytes = sysconf(sysconf_name);
  return bytes > 0 ? bytes : 0;
}

std::string Features() {
  const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  const auto has = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      const auto found = host.find(name);
      if (found == host.end() || !found->second) return false;
    }
    return true;
  };
#if defined(__aarch64__)
  std::string features = "aarch64/neon";
  if (has({"dotprod"})) features += ",dotprod";
  if (has({"fullfp16"})) features += ",fp16";
  return features;
#elif defined(__arm__)
  static_cast<void>(has);
  return "arm/neon";
#else
  // Whole levels only (x86-64-v2, -v3, -v4), as code is generated for them.
  std::string features = "x86/sse4.2";
  if (!has({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})) return features;
  features = "x86/avx2";
  if (!has({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})) return features;
  features = "x86/avx512";
  if (has({"avx512vnni"})) features += ",vnni";
  if (has({"avx512bf16"})) features += ",bf16";
  return features;
#endif
}

}  // namespace

ir::Target HostTarget() {
  absl::StatusOr<ir::Target> target = ir::ParseTarget(Features());
  TESSERA_CHECK(target.ok());
  int first_cpu = 0;
  cpu_set_t* allowed = CPU_ALLOC(kMaxCpus);
  const size_t size = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(size, allowed);
  if (sched_getaffinity(0, size, allowed) == 0) {
    target->max_threads = CPU_COUNT_S(size, allowed);
    while (first_cpu < kMaxCpus && !CPU_ISSET_S(static_cast<size_t>(first_cpu), size, allowed)) {
      ++first_cpu;
    }
  }
  CPU_FREE(allowed);
  if (const int64_t bytes = CacheBytes(first_cpu, 1, _SC_LEVEL1_DCACHE_SIZE); bytes > 0) {
    target->l1_bytes = bytes;
  }
  if (const int64_t bytes = CacheBytes(first_cpu, 2, _SC_LEVEL2_CACHE_SIZE); bytes > 0) {
    target->l2_bytes = bytes;
  }
  return *target;
}

}  // namespace tessera::codegen
