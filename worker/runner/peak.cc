#include "worker/runner/peak.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) || defined(__arm__)
#include <arm_neon.h>
#endif

#include "base/status.h"
#include "worker/runner/cores.h"

namespace tessera::runner {
namespace {

// A loop runs `rounds` rounds and returns the floating-point operations it did. Accumulators
// converge to 1: no overflow, no subnormals. Enough of them to cover latency × width of current
// cores.
using Loop = double (*)(int64_t rounds);
std::atomic<float> g_sink;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double LoopAvx512(int64_t rounds) {
  constexpr int kAccumulators = 20;
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.5f);
  __m512 sums[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 20
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_fmadd_ps(sums[i], a, b);
  }
  for (int i = 1; i < kAccumulators; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  g_sink = _mm512_cvtss_f32(sums[0]);
  return 2.0 * 16 * kAccumulators * static_cast<double>(rounds);
}

__attribute__((target("avx2,fma"))) double LoopAvx2(int64_t rounds) {
  constexpr int kAccumulators = 12;
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.5f);
  __m256 sums[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm256_fmadd_ps(sums[i], a, b);
  }
  for (int i = 1; i < kAccumulators; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  g_sink = _mm256_cvtss_f32(sums[0]);
  return 2.0 * 8 * kAccumulators * static_cast<double>(rounds);
}

double LoopSse(int64_t rounds) {
  constexpr int kAccumulators = 12;
  const __m128 a = _mm_set1_ps(0.5f), b = _mm_set1_ps(0.5f);
  __m128 sums[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm_add_ps(_mm_mul_ps(sums[i], a), b);
  }
  for (int i = 1; i < kAccumulators; ++i) sums[0] = _mm_add_ps(sums[0], sums[i]);
  g_sink = _mm_cvtss_f32(sums[0]);
  return 2.0 * 4 * kAccumulators * static_cast<double>(rounds);
}
#elif defined(__aarch64__) || defined(__arm__)
#if defined(__aarch64__)
#define TESSERA_NEON
constexpr int kAccumulators = 24;
TESSERA_NEON float32x4_t MinusProduct(float32x4_t sum, float32x4_t a, float32x4_t b) {
  return vfmsq_f32(sum, a, b);
}
#else
// 16 registers, and no fused form in the first of these CPUs.
#define TESSERA_NEON __attribute__((target("fpu=neon")))
constexpr int kAccumulators = 12;
TESSERA_NEON float32x4_t MinusProduct(float32x4_t sum, float32x4_t a, float32x4_t b) {
  return vmlsq_f32(sum, a, b);
}
#endif

TESSERA_NEON double LoopNeon(int64_t rounds) {
  const float32x4_t a = vdupq_n_f32(0.5f), b = vdupq_n_f32(0.5f);
  float32x4_t sums[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) sums[i] = vdupq_n_f32(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kAccumulators; ++i) sums[i] = MinusProduct(sums[i], a, b);
  }
  for (int i = 1; i < kAccumulators; ++i) sums[0] = vaddq_f32(sums[0], sums[i]);
  g_sink = vgetq_lane_f32(sums[0], 0);
  return 2.0 * 4 * kAccumulators * static_cast<double>(rounds);
}
#endif

struct NamedLoop {
  Loop loop;
  std::string_view features;
};

NamedLoop ChooseLoop() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {LoopAvx512, "avx512"};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {LoopAvx2, "avx2"};
  return {LoopSse, "sse4.2"};
#else
  return {LoopNeon, "neon"};
#endif
}

constexpr int64_t kRounds = 20'000;  // 0.1 to 0.3 ms

// Rounds until `deadline`, all threads starting each together. Returns operations a second of this
// thread in its best round.
double BestRate(Loop loop, absl::Time deadline, std::atomic<int>& waiting, int threads) {
  waiting.fetch_add(1);
  while (waiting.load(std::memory_order_acquire) < threads) std::this_thread::yield();
  double best = 0;
  do {
    const absl::Time start = absl::Now();
    const double operations = loop(kRounds);
    best = std::max(best, operations / absl::ToDoubleSeconds(absl::Now() - start));
  } while (absl::Now() < deadline);
  return best;
}

}  // namespace

absl::StatusOr<PeakFlops> MeasurePeakFlops(int threads, const std::vector<int>& cores,
                                           absl::Duration duration) {
  if (threads < 1 || (!cores.empty() && cores.size() != static_cast<size_t>(threads))) {
    return absl::InvalidArgumentError(
        absl::StrCat("peak: ", threads, " threads on ", cores.size(),
                     " cores; one core a thread, or none, is needed"));
  }
  const NamedLoop chosen = ChooseLoop();
  std::vector<double> rates(static_cast<size_t>(threads), 0);
  std::atomic<int> waiting = 0, unpinned = -1;
  // Threads of their own even for one, so that the caller keeps its cores.
  std::vector<std::thread> workers;
  for (size_t i = 0; i < rates.size(); ++i) {
    workers.emplace_back([&, i] {
      if (!cores.empty() && !PinThisThread(cores[i])) unpinned = cores[i];
      rates[i] = BestRate(chosen.loop, absl::Now() + duration, waiting, threads);
    });
  }
  for (std::thread& worker : workers) worker.join();
  if (unpinned >= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("core ", unpinned.load(), " can't be used by this process"));
  }
  PeakFlops peak;
  peak.features = chosen.features;
  for (const double rate : rates) peak.gflops += rate * 1e-9;
  return peak;
}

}  // namespace tessera::runner
