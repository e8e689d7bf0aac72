#include "codesign/report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace tessera::codesign {
namespace {

using Json = nlohmann::ordered_json;

int64_t AluLanes(const Variant& variant) {
  return int64_t{variant.config.batch()} * variant.config.block() >> variant.log_alu_narrowing;
}

Json ScreeningJson(const Screening& screening) {
  return {{"screened", screening.screened},     {"not_encodable", screening.not_encodable},
          {"not_served", screening.not_served}, {"widths", screening.widths},
          {"block_rams", screening.block_rams}, {"luts", screening.luts},
          {"clock", screening.clock},           {"slower", screening.slower}};
}

Json LayersJson(const Evaluated& one, const Network& network) {
  Json layers = Json::array();
  const double hertz = 1e6 * static_cast<double>(one.tuned.variant.megahertz);
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const TunedLayer& layer = one.tuned.layers[i];
    layers.push_back({{"name", network.layers[i].workload.name},
                      {"count", network.layers[i].count},
                      {"seconds", layer.best.cycles / hertz},
                      {"cycles", layer.best.cycles},
                      {"trials", layer.tried.size()},
                      {"config", Json::parse(layer.best_config, nullptr, false)}});
  }
  return layers;
}

Json VariantJson(const Evaluated& one, const Network& network) {
  Json after = Json::array();
  for (int trials = 1; trials <= one.trials; ++trials) {
    // Null before each layer has a program.
    after.push_back(one.tuned.SecondsAfter(network, static_cast<size_t>(trials)));
  }
  return {{"variant", ToString(one.tuned.variant)},
          {"config", Json::parse(ToWorkerConfig(one.tuned.variant))},
          {"alu_lanes", AluLanes(one.tuned.variant)},
          {"seconds", one.seconds},
          {"estimated_joules", one.joules},
          {"dsps", one.resources.dsps},
          {"bram18s", one.resources.bram18s},
          {"luts", one.resources.luts},
          {"front", one.front},
          {"estimated_seconds", one.estimated_seconds},
          {"trials", one.trials},
          {"seconds_after_trials", std::move(after)},
          {"layers", LayersJson(one, network)}};
}

}  // namespace

std::string ToCsv(const Exploration& exploration) {
  std::string csv =
      "is_default,front,batch,block,uop_bytes,inp_bytes,wgt_bytes,acc_bytes,alu_lanes,bus_bits,"
      "stages,megahertz,seconds,estimated_joules,dsps,bram18s,luts,cycles,dram_bytes,"
      "estimated_seconds,trials\n";
  for (const Evaluated& one : exploration.tuned) {
    const Variant& v = one.tuned.variant;
    absl::StrAppendFormat(
        &csv, "%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%.9g,%.6g,%d,%d,%d,%.0f,%.0f,%.9g,%d\n",
        &one == &exploration.tuned.front() ? 1 : 0, one.front, v.config.batch(), v.config.block(),
        1 << v.config.log_uop_bytes, 1 << v.config.log_inp_bytes, 1 << v.config.log_wgt_bytes,
        1 << v.config.log_acc_bytes, AluLanes(v), v.bus_bits, v.stages, v.megahertz, one.seconds,
        one.joules, one.resources.dsps, one.resources.bram18s, one.resources.luts,
        one.activity.cycles, one.activity.dram_bytes, one.estimated_seconds, one.trials);
  }
  return csv;
}

std::string ToJson(const Exploration& exploration, const Network& network,
                   const ExploreOptions& options) {
  Json variants = Json::array();
  for (const Evaluated& one : exploration.tuned) variants.push_back(VariantJson(one, network));
  const Json document = {
      {"network", network.name},
      {"device", exploration.device.name},
      {"seed", options.seed},
      {"trials", options.trials},
      {"transfer", options.transfer},
      {"screening", ScreeningJson(exploration.screening)},
      {"candidates", exploration.candidates},
      {"configurations", exploration.configurations},
      {"no_memory", exploration.no_memory},
      {"no_program", exploration.no_program},
      {"default", ToString(exploration.tuned.front().tuned.variant)},
      {"best_within_default_at_its_clock",
       ToString(BestWithinDefault(exploration, true).tuned.variant)},
      {"best_within_default", ToString(BestWithinDefault(exploration, false).tuned.variant)},
      {"leanest_at_its_clock", ToString(LeanestAtItsClock(exploration, kAsFast).tuned.variant)},
      {"variants", std::move(variants)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tessera::codesign
