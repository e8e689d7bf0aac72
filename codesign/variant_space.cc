#include "codesign/variant_space.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tessera::codesign {
namespace {

struct Pace {
  int64_t stages, megahertz;
};

// Of the clocks that are reached those that are worth it: the fastest for their stages, by the
// fewest stages.
std::vector<Pace> WorthwhilePaces(const VariantAxes& axes, const Device& device, int64_t& reached) {
  std::map<int64_t, int64_t> fewest_stages;  // by clock
  for (const int64_t stages : axes.stages) {
    int64_t fastest = 0;
    for (const int64_t megahertz : axes.megahertz) {
      const Clock clock = {static_cast<double>(megahertz), SynthesisPeriod(stages)};
      if (FindClockObstacle(clock, device) != Obstacle::kNone) continue;
      ++reached;
      fastest = std::max(fastest, megahertz);
    }
    if (fastest == 0) continue;
    const auto [at, is_new] = fewest_stages.emplace(fastest, stages);
    if (!is_new) at->second = std::min(at->second, stages);
  }
  std::vector<Pace> paces;
  for (const auto& [megahertz, stages] : fewest_stages) paces.push_back({stages, megahertz});
  return paces;
}

template <typename Visit>
void ForEachConfig(const VariantAxes& axes, const Visit& visit) {
  vta::Config config;
  for (const int log_batch : axes.log_batch) {
    config.log_batch = log_batch;
    for (const int log_block : axes.log_block) {
      config.log_block = log_block;
      for (const int log_uop : axes.log_uop_bytes) {
        config.log_uop_bytes = log_uop;
        for (const int log_inp : axes.log_inp_bytes) {
          config.log_inp_bytes = log_inp;
          for (const int log_wgt : axes.log_wgt_bytes) {
            config.log_wgt_bytes = log_wgt;
            for (const int log_acc : axes.log_acc_bytes) {
              config.log_acc_bytes = log_acc;
              visit(config);
            }
          }
        }
      }
    }
  }
}

}  // namespace

VariantAxes DefaultAxes() {
  return {.log_batch = {0, 1, 2},
          .log_block = {3, 4, 5},
          .log_uop_bytes = {12, 13, 14, 15},
          .log_inp_bytes = {12, 13, 14, 15, 16, 17},
          .log_wgt_bytes = {15, 16, 17, 18, 19, 20},
          .log_acc_bytes = {14, 15, 16, 17, 18, 19},
          .log_alu_narrowing = {0, 1, 2},
          .bus_bits = {32, 64, 128},
          .stages = {3, 4, 5, 6, 8, 9, 11, 14, 17, 20},
          .megahertz = {75, 100, 111, 125, 142, 166, 200, 250, 300, 333}};
}

Screening Screen(const VariantAxes& axes, const Device& device,
                 const std::function<bool(const vta::Config&)>& serves) {
  Screening screening;
  int64_t reached = 0;
  const std::vector<Pace> paces = WorthwhilePaces(axes, device, reached);
  const auto all_paces = static_cast<int64_t>(axes.stages.size() * axes.megahertz.size());
  const int64_t widths = static_cast<int64_t>(axes.log_alu_narrowing.size() * axes.bus_bits.size());
  std::map<std::pair<int, int>, bool> served;  // by batch and block
  ForEachConfig(axes, [&](const vta::Config& config) {
    screening.screened += widths * all_paces;
    if (!vta::CheckEncodable(config).ok()) {
      screening.not_encodable += widths * all_paces;
      return;
    }
    const auto shape = std::pair(config.log_batch, config.log_block);
    auto known = served.find(shape);
    if (known == served.end()) known = served.emplace(shape, serves(config)).first;
    if (!known->second) {
      screening.not_served += widths * all_paces;
      return;
    }
    for (const int log_alu_narrowing : axes.log_alu_narrowing) {
      for (const int64_t bus_bits : axes.bus_bits) {
        switch (FindSizeObstacle(config, device, {log_alu_narrowing, bus_bits})) {
          case Obstacle::kBlockRams:
            screening.block_rams += all_paces;
            continue;
          case Obstacle::kLuts:
            screening.luts += all_paces;
            continue;
          case Obstacle::kWidths:
            screening.widths += all_paces;
            continue;
          case Obstacle::kEncoding:
          case Obstacle::kClock:
          case Obstacle::kNone:
            break;
        }
        screening.clock += all_paces - reached;
        screening.slower += reached - static_cast<int64_t>(paces.size());
        for (const Pace& pace : paces) {
          screening.variants.push_back(
              {config, log_alu_narrowing, bus_bits, pace.stages, pace.megahertz});
        }
      }
    }
  });
  return screening;
}

}  // namespace tessera::codesign
