#include "compiler/vta/timing.h"

#include "absl/strings/str_cat.h"

namespace tessera::vta {
namespace {

struct Limit {
  const char* name;
  int64_t Timing::* value;
  int64_t min;
};
constexpr int64_t kMaxTiming = 1 << 20;  // so that no sum of cycles overflows
constexpr Limit kLimits[] = {{"bus_bytes", &Timing::bus_bytes, 1},
                             {"row_latency", &Timing::row_latency, 0},
                             {"fetch_burst", &Timing::fetch_burst, 1},
                             {"queue_entries", &Timing::queue_entries, 1},
                             {"token_entries", &Timing::token_entries, 1},
                             {"gemm_depth", &Timing::gemm_depth, 0},
                             {"alu_depth", &Timing::alu_depth, 0},
                             {"turn_cycles", &Timing::turn_cycles, 0},
                             {"gemm_interval", &Timing::gemm_interval, 1},
                             {"alu_interval", &Timing::alu_interval, 1},
                             {"alu_immediate_interval", &Timing::alu_immediate_interval, 1}};

}  // namespace

absl::Status CheckTiming(const Timing& timing) {
  for (const Limit& limit : kLimits) {
    const int64_t value = timing.*limit.value;
    if (value >= limit.min && value <= kMaxTiming) continue;
    return absl::InvalidArgumentError(absl::StrCat("VTA timing: ", limit.name, " is ", value,
                                                   ", not ", limit.min, " to ", kMaxTiming));
  }
  return absl::OkStatus();
}

}  // namespace tessera::vta
