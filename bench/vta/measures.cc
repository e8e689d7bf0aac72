#include "bench/vta/measures.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "codesign/for_each.h"

namespace tessera::bench {
namespace {

constexpr double kMillisecond = kVtaHertz / 1000;

double Share(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

absl::Status ForEach(size_t count, const std::function<absl::Status(size_t)>& visit) {
  const int cores = std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
  return codesign::ForEach(count, cores, visit);
}

absl::StatusOr<std::vector<TunedLayer>> Tune(const Epilogue& epilogue,
                                             const SearchOptions& options) {
  std::vector<TunedLayer> tuned(Layers().size());
  TESSERA_RETURN_IF_ERROR(ForEach(tuned.size(), [&](size_t i) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(tuned[i].layer, SimulatedLayer::Make(Layers()[i], epilogue));
    TESSERA_ASSIGN_OR_RETURN(tuned[i].search, Run(tuned[i].layer, options));
    return absl::OkStatus();
  }));
  return tuned;
}

absl::StatusOr<Rows> MeasureLayers(const std::vector<TunedLayer>& tuned, const Epilogue& epilogue) {
  Rows rows = Rows::array();
  for (const TunedLayer& of : tuned) {
    const Layer& layer = of.layer->layer();
    TESSERA_ASSIGN_OR_RETURN(const SimulatedProgram plain, of.layer->Simulate(""));
    TESSERA_ASSIGN_OR_RETURN(const SimulatedProgram best, of.layer->Simulate(of.search.best_trace));
    const Roof roof = RoofOf(layer, epilogue, {});
    const int64_t cycles = best.report.cycles;
    const vta::EngineReport& compute = best.report.of(vta::Engine::kCompute);
    const vta::EngineReport& load = best.report.of(vta::Engine::kLoad);
    const vta::EngineReport& store = best.report.of(vta::Engine::kStore);
    rows.push_back({{"layer", layer.name},
                    {"default_ms", static_cast<double>(plain.report.cycles) / kMillisecond},
                    {"tuned_cycles", cycles},
                    {"tuned_ms", static_cast<double>(cycles) / kMillisecond},
                    {"gops", layer.Gops(cycles)},
                    {"board_gops", layer.published_gops},
                    {"products", roof.products},
                    {"share_of_products", Share(roof.products, cycles)},
                    {"roof", roof.Cycles()},
                    {"share_of_roof", Share(roof.Cycles(), cycles)},
                    {"compute_busy", compute.busy},
                    {"compute_no_token", compute.no_token},
                    {"compute_bus", compute.bus},
                    {"load_busy", load.busy},
                    {"store_busy", store.busy},
                    {"bytes_read", best.report.dram_bytes_read},
                    {"instructions", best.instructions.size()}});
  }
  return rows;
}

absl::StatusOr<Rows> MeasureHiding(const std::vector<TunedLayer>& tuned,
                                   const SearchOptions& options) {
  SearchOptions plain = options;
  plain.pins = R"({"overlap.virtual":[0],"overlap.doubled":[0]})";
  std::vector<Search> searches(tuned.size());
  TESSERA_RETURN_IF_ERROR(ForEach(tuned.size(), [&](size_t i) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(searches[i], Run(tuned[i].layer, plain));
    return absl::OkStatus();
  }));
  Rows rows = Rows::array();
  const auto add = [&](const std::string& name, int64_t products, int64_t without, int64_t with) {
    rows.push_back({{"layer", name},
                    {"without_cycles", without},
                    {"with_cycles", with},
                    {"without_utilisation", Share(products, without)},
                    {"with_utilisation", Share(products, with)},
                    {"speedup", Share(without, with)}});
  };
  int64_t products = 0, all_without = 0, all_with = 0;
  for (size_t i = 0; i < tuned.size(); ++i) {
    const Layer& layer = tuned[i].layer->layer();
    const int64_t without = searches[i].Best(), with = tuned[i].search.Best();
    add(layer.name, layer.Products(), without, with);
    products += layer.times * layer.Products();
    all_without += layer.times * without;
    all_with += layer.times * with;
  }
  add("network", products, all_without, all_with);
  return rows;
}

absl::StatusOr<Rows> MeasureChisel(const std::vector<TunedLayer>& tuned) {
  // docs/vta-timing.md
  const vta::Timing chisel = {
      .row_latency = 16, .fetch_burst = 128, .turn_cycles = 0, .alu_immediate_interval = 1};
  constexpr size_t kPrograms = 32;
  std::vector<int64_t> same(tuned.size()), best(tuned.size());
  TESSERA_RETURN_IF_ERROR(ForEach(tuned.size(), [&](size_t i) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const SimulatedProgram tuned_program,
                             tuned[i].layer->Simulate(tuned[i].search.best_trace, chisel));
    same[i] = best[i] = tuned_program.report.cycles;
    for (const auto& [cycles, trace] : tuned[i].layer->Fastest(kPrograms)) {
      TESSERA_ASSIGN_OR_RETURN(const SimulatedProgram run, tuned[i].layer->Simulate(trace, chisel));
      best[i] = std::min(best[i], run.report.cycles);
    }
    return absl::OkStatus();
  }));
  Rows rows = Rows::array();
  int64_t products = 0, sum = 0, best_sum = 0;
  for (size_t i = 0; i < tuned.size(); ++i) {
    const Layer& layer = tuned[i].layer->layer();
    rows.push_back({{"layer", layer.name},
                    {"times", layer.times},
                    {"products", layer.Products()},
                    {"cycles", same[i]},
                    {"best_of_32", best[i]}});
    products += layer.times * layer.Products();
    sum += layer.times * same[i];
    best_sum += layer.times * best[i];
  }
  rows.push_back({{"layer", "network"},
                  {"times", 1},
                  {"products", products},
                  {"cycles", sum},
                  {"best_of_32", best_sum}});
  return rows;
}

}  // namespace tessera::bench
