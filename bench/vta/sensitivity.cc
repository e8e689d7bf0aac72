#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bench/vta/measures.h"

namespace tessera::bench {
namespace {

struct Parameter {
  const char* name;
  int64_t vta::Timing::* value;
};
constexpr Parameter kParameters[] = {
    {"bus_bytes", &vta::Timing::bus_bytes},
    {"row_latency", &vta::Timing::row_latency},
    {"fetch_burst", &vta::Timing::fetch_burst},
    {"queue_entries", &vta::Timing::queue_entries},
    {"token_entries", &vta::Timing::token_entries},
    {"gemm_depth", &vta::Timing::gemm_depth},
    {"alu_depth", &vta::Timing::alu_depth},
    {"turn_cycles", &vta::Timing::turn_cycles},
    {"gemm_interval", &vta::Timing::gemm_interval},
    {"alu_interval", &vta::Timing::alu_interval},
    {"alu_immediate_interval", &vta::Timing::alu_immediate_interval}};
// An odd 1 has no half; the next whole numbers stand for it.
std::array<int64_t, 2> Varied(int64_t value) {
  return {std::max<int64_t>(value / 2, 1), value + std::max<int64_t>(value / 2, 1)};
}

// How much longer each layer takes by other parameters: the tuned program, and the fastest of some.
// Nothing where none of them runs by these.
struct Change {
  std::vector<std::optional<double>> same, best;
};

absl::StatusOr<Change> Measure(const std::vector<TunedLayer>& tuned, const vta::Timing& timing) {
  constexpr size_t kPrograms = 8;
  Change change;
  change.same.resize(tuned.size());
  change.best.resize(tuned.size());
  TESSERA_RETURN_IF_ERROR(ForEach(tuned.size(), [&](size_t i) -> absl::Status {
    const auto before = static_cast<double>(tuned[i].search.Best());
    std::vector<std::string> traces = {tuned[i].search.best_trace};
    for (const auto& [cycles, trace] : tuned[i].layer->Fastest(kPrograms)) traces.push_back(trace);
    for (size_t t = 0; t < traces.size(); ++t) {
      const absl::StatusOr<SimulatedProgram> run = tuned[i].layer->Simulate(traces[t], timing);
      // Deeper pipelines than the target says make programs wrong that come back too early.
      if (absl::IsFailedPrecondition(run.status())) continue;
      TESSERA_RETURN_IF_ERROR(run.status());
      const double ratio = static_cast<double>(run->report.cycles) / before;
      if (t == 0) change.same[i] = ratio;
      change.best[i] = std::min(ratio, change.best[i].value_or(ratio));
    }
    return absl::OkStatus();
  }));
  return change;
}

}  // namespace

absl::StatusOr<Rows> MeasureSensitivity(const std::vector<TunedLayer>& tuned) {
  Rows rows = Rows::array();
  for (const Parameter& parameter : kParameters) {
    const vta::Timing usual;
    for (const int64_t value : Varied(usual.*parameter.value)) {
      if (value == usual.*parameter.value) continue;
      vta::Timing timing;
      timing.*parameter.value = value;
      TESSERA_ASSIGN_OR_RETURN(const Change change, Measure(tuned, timing));
      for (const bool best : {false, true}) {
        Rows row = {{"parameter", absl::StrCat(parameter.name, " = ", value)},
                    {"programs", best ? "best of 8" : "tuned"}};
        for (size_t i = 0; i < tuned.size(); ++i) {
          const std::optional<double> ratio = (best ? change.best : change.same)[i];
          row[tuned[i].layer->layer().name] = ratio ? Rows(*ratio) : Rows();
        }
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

}  // namespace tessera::bench
