#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/vta/kernels.h"
#include "proto/device_code.h"
#include "tests/compiler/vta/code_examples.h"

// What tests run on the Versatile Tensor Accelerator: results [rows, columns] of tiles, each the
// sum of `depth` products of tiles of inputs [rows, depth] and weights [columns, depth], shifted by
// 4 and clipped; tiles of the default configuration.

namespace tessera::vta {

inline constexpr int64_t kRows = 6, kColumns = 2, kDepth = 3;
inline constexpr int64_t kInputBytes = kRows * kDepth * 16, kWeightBytes = kColumns * kDepth * 256,
                         kResultBytes = kRows * kColumns * 16;
// Pipelines that store a sum before the next step adds to it, as the programs require.
inline constexpr char kNoPipelines[] = R"({"GEMM_DEPTH": 1, "ALU_DEPTH": 1})";

inline Code SmallProduct() { return ProductCode(kRows, kColumns, kDepth, 2); }

// A call is one product, of buffers 0 (inputs), 1 (weights) and 2 (results).
inline proto::DeviceCode CodeOf(const std::string& source) {
  proto::DeviceCode code;
  code.kind = "vta";
  code.launches = {{.kernel = "product", .arguments = {{0}, {1}, {2}}}};
  code.source = source;
  return code;
}
inline proto::DeviceCode CodeOf(const Code& product) {
  return CodeOf(PrintKernels({{"product", product}}));
}

inline std::vector<int8_t> PlainProduct(const int8_t* inputs, const int8_t* weights, int64_t rows,
                                        int64_t columns, int64_t depth) {
  std::vector<int8_t> results;
  for (int64_t i = 0; i < rows * columns * 16; ++i) {
    const int64_t row = i / 16 / columns, column = i / 16 % columns, lane = i % 16;
    int32_t sum = 0;
    for (int64_t k = 0; k < depth * 16; ++k) {
      sum += inputs[row * depth * 16 + k] *
             weights[((column * depth + k / 16) * 16 + lane) * 16 + k % 16];
    }
    results.push_back(static_cast<int8_t>(std::clamp(sum >> 4, -128, 127)));
  }
  return results;
}

}  // namespace tessera::vta
