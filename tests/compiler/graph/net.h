#pragma once

#include <random>
#include <utility>

#include "tests/compiler/graph/adjoint_check.h"

namespace tessera::graph {

// Layers whose weights are constants, as models have them.
class Net {
 public:
  explicit Net(uint64_t seed) : builder_("net"), random_(seed) {}

  int Input(std::vector<int64_t> shape) {
    return *builder_.Input("x", {ir::Float(32), std::move(shape), {}});
  }
  int Weights(std::vector<int64_t> shape) {
    return *builder_.Constant("w", RandomTensor({ir::Float(32), std::move(shape), {}}, random_));
  }
  int Add(std::string_view op, std::vector<int> operands, Attributes attributes = {}) {
    const absl::StatusOr<int> made = builder_.Add(op, std::move(operands), std::move(attributes));
    INFO(op << ": " << made.status().ToString());
    REQUIRE(made.ok());
    return *made;
  }
  int Conv(int x, int64_t channels, int64_t kernel, int64_t stride) {
    const int64_t before = (kernel - 1) / 2;
    const std::vector<int64_t> pad{before, before};
    const int w = Weights({channels, builder_.type(x).shape[1], kernel, kernel});
    return Add(
        "conv", {x, w, Weights({channels})},
        {{"strides", std::vector<int64_t>{stride, stride}}, {"before", pad}, {"behind", pad}});
  }
  int Dense(int x, int64_t width) {
    const int64_t terms = builder_.type(x).shape.back();
    return Add("matmul", {x, Weights({terms, width}), Weights({width})});
  }
  Graph Finish(int output) { return std::move(builder_).Finish({output}); }

  GraphBuilder builder_;

 private:
  std::mt19937_64 random_;
};

}  // namespace tessera::graph
