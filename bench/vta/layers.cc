#include "bench/vta/layers.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace tessera::bench {

const std::vector<Layer>& Layers() {
  static const std::vector<Layer> layers = {
      {"c2", 64, 64, 56, 3, 1, 4, 31.26},    {"c4", 64, 128, 56, 3, 2, 1, 22.74},
      {"c5", 64, 128, 56, 1, 2, 1, 22.97},   {"c6", 128, 128, 28, 3, 1, 3, 15.15},
      {"c7", 128, 256, 28, 3, 2, 1, 2.18},   {"c8", 128, 256, 28, 1, 2, 1, 27.69},
      {"c9", 256, 256, 14, 3, 1, 3, 15.27},  {"c10", 256, 512, 14, 3, 2, 1, 6.32},
      {"c11", 256, 512, 14, 1, 2, 1, 23.24}, {"c12", 512, 512, 7, 3, 1, 3, 3.99}};
  return layers;
}

te::OpSpec Layer::Spec(const Epilogue& epilogue) const {
  std::map<std::string, std::string> attributes = {
      {"dtype", "i8"}, {"layout", "nchwc16"}, {"shift", "8"}, {"relu", "true"}};
  const auto set = [&](const char* attribute, int64_t value) {
    attributes[attribute] = absl::StrCat(value);
  };
  set("ic", in_channels);
  set("oc", out_channels);
  set("size", size);
  set("k", window);
  set("stride", stride);
  set("pad", window / 2);
  if (epilogue.bias) attributes["bias"] = "true";
  return {name, "conv2d", attributes};
}

int64_t Layer::Results() const { return out_size() * out_size() * (out_channels / kVtaBlock); }

int64_t Layer::Products() const { return Results() * (in_channels / kVtaBlock) * window * window; }

double Layer::Gops(int64_t cycles) const {
  const double operations = 2.0 * static_cast<double>(Products() * kVtaBlock * kVtaBlock);
  return operations / (static_cast<double>(cycles) / kVtaHertz) / 1e9;
}

int64_t Roof::Cycles() const { return std::max({compute, reads, writes}); }

Roof RoofOf(const Layer& layer, const Epilogue& epilogue, const vta::Timing& timing) {
  constexpr int64_t kAccumulatorBytes = 4;
  const int64_t results = layer.Results();
  // Windows of one pixel leave out what lies between.
  const int64_t read_size = layer.window >= layer.stride ? layer.size : layer.out_size();
  const int64_t bias_bytes = epilogue.bias ? layer.out_channels * kAccumulatorBytes : 0;
  const int64_t bias_cycles = bias_bytes / timing.bus_bytes;
  const int64_t bytes = layer.in_channels * read_size * read_size +
                        layer.in_channels * layer.out_channels * layer.window * layer.window +
                        bias_bytes;
  Roof roof;
  roof.products = layer.Products() * timing.gemm_interval;
  const int64_t alu = epilogue.Immediates() * timing.alu_immediate_interval +
                      (epilogue.bias ? timing.alu_interval : 0);
  roof.compute = roof.products + results * (timing.gemm_interval + alu) + bias_cycles;
  roof.reads = bytes / timing.bus_bytes;
  roof.writes = results * kVtaBlock / timing.bus_bytes;
  return roof;
}

}  // namespace tessera::bench
