#include "compiler/runtime/cpu.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
static int Has(unsigned word, unsigned bits) { return (word & bits) == bits; }

// The register states that the operating system saves; requires OSXSAVE.
static unsigned SavedStates(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  (void)high;
  return low;
}

int64_t tessera_cpu_features(void) {
  enum { kOsxsave = 1 << 27, kAvxStates = 0x6, kAvx512States = 0xe6 };
  unsigned a, b, c1, d, c_extended, last_of_7, b7, c7, a71;
  if (!__get_cpuid(1, &a, &b, &c1, &d)) return 0;
  if (!__get_cpuid(0x80000001, &a, &b, &c_extended, &d)) return 0;
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF.
  if (!Has(c1, 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23)) return 0;
  if (!Has(c_extended, 1u << 0)) return 0;
  int64_t features = TESSERA_CPU_SSE42;
  if (!__get_cpuid_count(7, 0, &last_of_7, &b7, &c7, &d)) return features;
  // FMA, MOVBE, OSXSAVE, AVX, F16C; LZCNT; BMI1, AVX2, BMI2.
  if (!Has(c1, 1u << 12 | 1u << 22 | kOsxsave | 1u << 28 | 1u << 29)) return features;
  if (!Has(c_extended, 1u << 5) || !Has(b7, 1u << 3 | 1u << 5 | 1u << 8)) return features;
  const unsigned saved = SavedStates();
  if (!Has(saved, kAvxStates)) return features;
  features |= TESSERA_CPU_AVX2;
  // F, DQ, CD, BW, VL.
  if (!Has(b7, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31)) return features;
  if (!Has(saved, kAvx512States)) return features;
  features |= TESSERA_CPU_AVX512;
  if (Has(c7, 1u << 11)) features |= TESSERA_CPU_VNNI;
  if (last_of_7 >= 1 && __get_cpuid_count(7, 1, &a71, &b, &c1, &d) && Has(a71, 1u << 5)) {
    features |= TESSERA_CPU_BF16;
  }
  return features;
}
#elif defined(__aarch64__)
int64_t tessera_cpu_features(void) {
  // Bits of the kernel's interface, arch/arm64/include/uapi/asm/hwcap.h: half precision both
  // scalar and in vectors.
  const unsigned long fp16 = 1ul << 9 | 1ul << 10, dotprod = 1ul << 20;
  const unsigned long has = getauxval(AT_HWCAP);
  int64_t features = TESSERA_CPU_NEON;
  if ((has & fp16) == fp16) features |= TESSERA_CPU_FP16;
  if ((has & dotprod) == dotprod) features |= TESSERA_CPU_DOTPROD;
  return features;
}
#elif defined(__arm__)
int64_t tessera_cpu_features(void) {
  // arch/arm/include/uapi/asm/hwcap.h.
  const unsigned long neon = 1ul << 12;
  return (getauxval(AT_HWCAP) & neon) != 0 ? TESSERA_CPU_NEON : 0;
}
#else
int64_t tessera_cpu_features(void) { return 0; }
#endif

typedef struct named_set {
  const char* name;
  int64_t allowed;
} named_set;

int64_t tessera_cpu_ceiling(const char* text) {
  enum {
    kAvx2 = TESSERA_CPU_SSE42 | TESSERA_CPU_AVX2,
    kAvx512 = kAvx2 | TESSERA_CPU_AVX512,
  };
  static const named_set kSets[] = {{"sse4.2", TESSERA_CPU_SSE42},
                                    {"avx2", kAvx2},
                                    {"avx512", kAvx512},
                                    {"bf16", kAvx512 | TESSERA_CPU_BF16},
                                    {"vnni", kAvx512 | TESSERA_CPU_VNNI},
                                    {"neon", TESSERA_CPU_NEON},
                                    {"fp16", TESSERA_CPU_NEON | TESSERA_CPU_FP16},
                                    {"dotprod", TESSERA_CPU_NEON | TESSERA_CPU_DOTPROD}};
  if (text == NULL || *text == '\0') return -1;
  int64_t allowed = 0;
  for (;;) {
    const char* end = text;
    while (*end != ',' && *end != '\0') ++end;
    const size_t length = (size_t)(end - text);
    int64_t added = 0;
    for (size_t i = 0; i < sizeof(kSets) / sizeof(kSets[0]); ++i) {
      if (strlen(kSets[i].name) == length && memcmp(kSets[i].name, text, length) == 0) {
        added = kSets[i].allowed;
      }
    }
    if (added == 0) return 0;
    allowed |= added;
    if (*end == '\0') return allowed;
    text = end + 1;
  }
}

static int64_t usable;

// At load, when nobody changes the environment yet.
__attribute__((constructor)) static void FindUsable(void) {
  usable = tessera_cpu_features() & tessera_cpu_ceiling(getenv("TESSERA_ISA"));
}

int64_t tessera_cpu_usable(void) { return usable; }
