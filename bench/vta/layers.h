#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/te/operators.h"
#include "compiler/vta/timing.h"

// ResNet-18's convolutions but the first, as C2 to C12 of arXiv:1802.04799 table 2 (there is no C3
// in the network: both operands of its first sum have 64 channels).

namespace tessera::bench {

inline constexpr double kVtaHertz = 100e6;  // of the PYNQ design
inline constexpr int64_t kVtaBlock = 16;

// What is done to each sum, and how many operations of the ALU that takes.
struct Epilogue {
  bool bias = true;  // then a shift, ReLU and a clip
  int64_t Immediates() const { return 3; }
};

struct Layer {
  std::string name;
  int64_t in_channels, out_channels, size, window, stride;
  int times;  // in the network
  // On a board, as tuned by AutoTVM: the sample output of TVM's tutorial "Auto-tuning a
  // convolutional network on VTA" (v0.8, vta/tutorials/autotvm/tune_relay_vta.py), by its shapes.
  double published_gops;

  te::OpSpec Spec(const Epilogue& epilogue) const;
  int64_t out_size() const { return (size - 1) / stride + 1; }
  int64_t Results() const;   // tiles
  int64_t Products() const;  // of tiles
  double Gops(int64_t cycles) const;
};
const std::vector<Layer>& Layers();

// Cycles below which no program of the layer comes that computes sums by products of tiles and
// narrows them on the ALU: what an engine or the bus is busy for at least.
struct Roof {
  int64_t products = 0;  // one after the other
  int64_t compute = 0;   // with resets and operations of the ALU
  int64_t reads = 0;     // every byte that is needed once
  int64_t writes = 0;
  int64_t Cycles() const;
};
Roof RoofOf(const Layer& layer, const Epilogue& epilogue, const vta::Timing& timing);

}  // namespace tessera::bench
