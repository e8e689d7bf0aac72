#pragma once

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "base/test_data.h"
#include "compiler/graph/graph.h"

namespace tessera::graph {

inline TensorRef SomeTensor(std::vector<int64_t> shape, uint64_t seed) {
  const TensorType type{ir::Float(32), std::move(shape), {}};
  std::vector<double> values;
  for (int64_t i = 0; i < type.ElementCount(); ++i) values.push_back(TestValue(seed, 0, i) / 2);
  return MakeTensor(type.element, type.shape, values);
}

// Convolutions, windows and what stands between them in networks, on images of a few channels, most
// of them multiples of four.
inline Graph RandomNet(std::mt19937_64& random, int operators) {
  GraphBuilder builder("net");
  std::vector<int> nodes{*builder.Input("x", {ir::Float(32), {1, 3, 6, 6}, {}}),
                         *builder.Input("y", {ir::Float(32), {1, 8, 6, 6}, {}})};
  const auto any = [&] {
    return nodes[nodes.size() - 1 - random() % std::min<size_t>(nodes.size(), 5)];
  };
  const auto weights = [&](std::vector<int64_t> shape) {
    return *builder.Constant("w", SomeTensor(std::move(shape), random()));
  };
  using Ints = std::vector<int64_t>;
  for (int i = 0; i < operators; ++i) {
    const int a = any(), b = any();
    const std::vector<int64_t> shape = builder.type(a).shape, other = builder.type(b).shape;
    const int64_t c = shape[1], h = shape[2], w = shape[3];
    const int64_t out = std::vector<int64_t>{4, 8, 12, 6}[random() % 4];
    const Ints one{1, 1};
    absl::StatusOr<int> made;
    switch (random() % 11) {
      case 0:
        made = builder.Add("conv", {a, weights({out, c, 1, 1}), weights({out})});
        break;
      case 1:
        made =
            builder.Add("conv", {a, weights({out, c, 3, 3})}, {{"before", one}, {"behind", one}});
        break;
      case 2:
        made = builder.Add("depthwise_conv", {a, weights({c, 3, 3})},
                           {{"before", one}, {"behind", one}});
        break;
      case 3:
        made = builder.Add("max_pool", {a}, {{"kernel", Ints{2, 2}}, {"behind", one}});
        break;
      case 4:
        made = shape == other ? builder.Add("add", {a, b}) : builder.Add("relu", {a});
        break;
      case 5:
        made = builder.Add("reduce_mean", {a}, {{"axes", Ints{2, 3}}});
        made = builder.Add("mul", {a, *builder.Add("sigmoid", {*made})});
        break;
      case 6:
        made = Ints(shape.begin() + 2, shape.end()) == Ints(other.begin() + 2, other.end()) &&
                       c + other[1] < 24
                   ? builder.Add("concat", {a, b}, {{"axis", int64_t{1}}})
                   : builder.Add("tanh", {a});
        break;
      case 7:
        made = c > 4 ? builder.Add("slice", {a},
                                   {{"starts", Ints{0, 4, 0, 0}},
                                    {"steps", Ints{1, 1, 1, 1}},
                                    {"shape", Ints{1, c - 4, h, w}}})
                     : builder.Add("relu", {a});
        break;
      case 8:  // channels shuffled: rows before and behind it
        if (c % 2 != 0) {
          made = a;
          break;
        }
        made = builder.Add("reshape", {a}, {{"shape", Ints{1, 2, c / 2, h, w}}});
        made = builder.Add("transpose", {*made}, {{"order", Ints{0, 2, 1, 3, 4}}});
        made = builder.Add("reshape", {*made}, {{"shape", shape}});
        break;
      case 9:
        made = builder.Add("softmax", {a}, {{"axis", int64_t{1}}});
        break;
      default:
        made =
            builder.Add("pad", {a}, {{"before", Ints{0, 0, 1, 0}}, {"behind", Ints{0, 0, 0, 1}}});
        break;
    }
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    nodes.push_back(*made);
  }
  const int last = nodes.back();
  absl::StatusOr<int> head = builder.Add("reduce_mean", {last}, {{"axes", Ints{2, 3}}});
  head = builder.Add("reshape", {*head}, {{"shape", Ints{1, builder.type(last).shape[1]}}});
  head = builder.Add("matmul", {*head, weights({builder.type(last).shape[1], 5})});
  REQUIRE(head.ok());
  return std::move(builder).Finish({*head, any()});
}

}  // namespace tessera::graph
