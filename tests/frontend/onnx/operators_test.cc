// What ONNX's own node tests leave out: groups, directions, opsets after 17, com.microsoft.

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/test_data.h"
#include "compiler/graph/operators.h"
#include "tests/frontend/onnx/model.h"

namespace tessera::frontend {
namespace {

std::vector<double> Some(int64_t count, int which) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(TestValue(7, which, i));
  return values;
}

graph::TensorRef SomeTensor(const Shape& shape, int which) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return FloatTensor(shape, Some(count, which));
}

}  // namespace

TEST_CASE("a convolution in groups is that of each, side by side", "[onnx]") {
  for (const auto& [groups, results] : {std::pair{2, 6}, std::pair{4, 4}, std::pair{4, 8}}) {
    CAPTURE(groups, results);
    const int64_t channels = 4, each = channels / groups, out = results / groups;
    const std::vector<graph::TensorRef> x{SomeTensor({1, channels, 5, 5}, 0)};
    const Shape weights{results, each, 3, 3};
    const Fields fields{{"pads", Shape{1, 0, 1, 0}}, {"strides", Shape{2, 1}}};
    Model together, apart;
    for (Model* model : {&together, &apart}) {
      model->Input("x", {1, channels, 5, 5}).Floats("w", weights, Some(results * each * 9, 1));
      model->Floats("b", {results}, Some(results, 2));
    }
    Fields grouped = fields;
    grouped.emplace_back("group", int64_t{groups});
    together.Node("Conv", {"x", "w", "b"}, {"y"}, grouped).Output("y");
    std::vector<std::string> xs, ws, bs, ys;
    for (int g = 0; g < groups; ++g) {
      for (auto& [list, letter] : {std::pair{&xs, "x"}, {&ws, "w"}, {&bs, "b"}, {&ys, "y"}}) {
        list->push_back(letter + std::to_string(g));
      }
    }
    apart.Node("Split", {"x"}, xs, {{"axis", int64_t{1}}});
    apart.Node("Split", {"w"}, ws).Node("Split", {"b"}, bs);
    for (int g = 0; g < groups; ++g) apart.Node("Conv", {xs[g], ws[g], bs[g]}, {ys[g]}, fields);
    apart.Node("Concat", ys, {"y"}, {{"axis", int64_t{1}}}).Output("y");
    CHECK(out * groups == results);
    CheckNear(Result(together, x), Result(apart, x));
  }
}

TEST_CASE("a transposed convolution in groups is that of each", "[onnx]") {
  const std::vector<graph::TensorRef> x{SomeTensor({1, 2, 3, 3}, 0)};
  const Fields fields{{"strides", Shape{2, 2}}, {"dilations", Shape{1, 2}}};
  Fields grouped = fields;
  grouped.emplace_back("group", int64_t{2});
  Model together, apart;
  for (Model* model : {&together, &apart}) {
    model->Input("x", {1, 2, 3, 3}).Floats("w", {2, 3, 2, 2}, Some(24, 1));
  }
  together.Node("ConvTranspose", {"x", "w"}, {"y"}, grouped).Output("y");
  apart.Node("Split", {"x"}, {"x0", "x1"}, {{"axis", int64_t{1}}})
      .Node("Split", {"w"}, {"w0", "w1"});
  apart.Node("ConvTranspose", {"x0", "w0"}, {"y0"}, fields);
  apart.Node("ConvTranspose", {"x1", "w1"}, {"y1"}, fields);
  apart.Node("Concat", {"y0", "y1"}, {"y"}, {{"axis", int64_t{1}}}).Output("y");
  CheckNear(Result(together, x), Result(apart, x));
}

TEST_CASE("a layer of both directions is one forward and one on the reversed sequence", "[onnx]") {
  for (const auto& [op, gates] : {std::pair{"LSTM", 4}, std::pair{"GRU", 3}, std::pair{"RNN", 1}}) {
    CAPTURE(op);
    const int64_t length = 4, batch = 2, inputs = 3, hidden = 2, rows = gates * hidden;
    const auto weights = [&](Model& model, const std::string& suffix, int64_t first,
                             int64_t count) {
      const auto part = [&](int64_t size, int which) {
        const std::vector<double> all = Some(2 * size, which);
        return std::vector<double>(all.begin() + first * size,
                                   all.begin() + (first + count) * size);
      };
      model.Floats("w" + suffix, {count, rows, inputs}, part(rows * inputs, 1));
      model.Floats("r" + suffix, {count, rows, hidden}, part(rows * hidden, 2));
      model.Floats("b" + suffix, {count, 2 * rows}, part(2 * rows, 3));
    };
    Model both, apart;
    both.Input("x", {length, batch, inputs});
    weights(both, "", 0, 2);
    both.Node(op, {"x", "w", "r", "b"}, {"y"}, {{"direction", std::string("bidirectional")}});
    both.Output("y");
    apart.Input("x", {length, batch, inputs}).Ints("lengths", {length, length});
    weights(apart, "0", 0, 1);
    weights(apart, "1", 1, 1);
    const Fields times{{"time_axis", int64_t{0}}, {"batch_axis", int64_t{1}}};
    apart.Node("ReverseSequence", {"x", "lengths"}, {"back"}, times);
    apart.Node(op, {"x", "w0", "r0", "b0"}, {"y0"}).Node(op, {"back", "w1", "r1", "b1"}, {"y1"});
    // [length, 1, batch, hidden]: reversed in time alone.
    apart.Ints("start", {-1}).Ints("end", {INT64_MIN}).Ints("axis", {0}).Ints("step", {-1});
    apart.Node("Slice", {"y1", "start", "end", "axis", "step"}, {"y2"});
    apart.Node("Concat", {"y0", "y2"}, {"y"}, {{"axis", int64_t{1}}}).Output("y");
    const std::vector<graph::TensorRef> x{SomeTensor({length, batch, inputs}, 0)};
    CheckNear(Result(both, x), Result(apart, x));
  }
}

TEST_CASE("the reset gate may come behind the product", "[onnx]") {
  // One unit, one step: h' = (1 - z) tanh(x + r (h + 1)) + z h, all gates' other weights 0.
  Model model;
  model.Input("x", {1, 1, 1}).Floats("w", {1, 3, 1}, {0, 0, 1}).Floats("r", {1, 3, 1}, {0, 0, 1});
  model.Floats("b", {1, 6}, {0, 0, 0, 0, 0, 1}).Floats("h", {1, 1, 1}, {0.5});
  model.Node("GRU", {"x", "w", "r", "b", "", "h"}, {"y"}, {{"linear_before_reset", int64_t{1}}});
  model.Output("y");
  CheckNear(Result(model, {FloatTensor({1, 1, 1}, {0.25})}),
            {0.5 * std::tanh(0.25 + 0.5 * 1.5) + 0.25});
}

TEST_CASE("sequences of several lengths are refused", "[onnx]") {
  Model model;
  model.Input("x", {2, 2, 1}).Floats("w", {1, 1, 1}, {1}).Floats("r", {1, 1, 1}, {1});
  model.Ints("lengths", {2, 1}).Node("RNN", {"x", "w", "r", "", "lengths"}, {"y"}).Output("y");
  CHECK(absl::StrContains(Refusal(model), "sequence_lens differ from the length of X"));
}

TEST_CASE("axes are inputs from opset 18 on", "[onnx]") {
  const std::vector<graph::TensorRef> x{FloatTensor({2, 2}, {1, 2, 3, 5})};
  Model old(17), recent(18), none(18);
  old.Input("x", {2, 2}).Node("ReduceMean", {"x"}, {"y"}, {{"axes", Shape{1}}}).Output("y");
  recent.Input("x", {2, 2}).Ints("a", {1}).Node("ReduceMean", {"x", "a"}, {"y"}).Output("y");
  none.Input("x", {2, 2}).Node("ReduceMax", {"x"}, {"y"}, {{"noop_with_empty_axes", int64_t{1}}});
  none.Output("y");
  CHECK(Result(old, x) == std::vector<double>{1.5, 4});
  CHECK(Result(recent, x) == std::vector<double>{1.5, 4});
  CHECK(Result(none, x) == std::vector<double>{1, 2, 3, 5});
}

TEST_CASE("split leaves the last part what is left, from opset 18 on", "[onnx]") {
  Model model(18);
  model.Input("x", {5});
  model.Node("Split", {"x"}, {"a", "b", "c"}, {{"num_outputs", int64_t{3}}}).Output("c");
  CHECK(Result(model, {FloatTensor({5}, {1, 2, 3, 4, 5})}) == std::vector<double>{5});
}

TEST_CASE("softmax before opset 13 goes over all dimensions behind its axis", "[onnx]") {
  const std::vector<graph::TensorRef> x{FloatTensor({1, 2, 2}, {0, 0, 0, std::log(3.0)})};
  Model old(11), recent(13);
  old.Input("x", {1, 2, 2}).Node("Softmax", {"x"}, {"y"}).Output("y");
  recent.Input("x", {1, 2, 2}).Node("Softmax", {"x"}, {"y"}).Output("y");
  CheckNear(Result(old, x), {1 / 6.0, 1 / 6.0, 1 / 6.0, 0.5});
  CheckNear(Result(recent, x), {0.5, 0.5, 0.25, 0.75});
}

TEST_CASE("groups are normalised, scaled by group or by channel", "[onnx]") {
  // Two groups of two channels of one element: each group is -1, 1 where epsilon is nothing.
  const std::vector<graph::TensorRef> x{FloatTensor({1, 4, 1}, {1, 3, 10, 30})};
  const Fields fields{{"num_groups", int64_t{2}}, {"epsilon", 0.0}};
  Model old(18), recent(21);
  old.Input("x", {1, 4, 1}).Floats("s", {2}, {1, 2}).Floats("b", {2}, {0, 1});
  old.Node("GroupNormalization", {"x", "s", "b"}, {"y"}, fields).Output("y");
  recent.Input("x", {1, 4, 1}).Floats("s", {4}, {1, 2, 3, 4}).Floats("b", {4}, {0, 0, 0, 1});
  recent.Node("GroupNormalization", {"x", "s", "b"}, {"y"}, fields).Output("y");
  CheckNear(Result(old, x), {-1, 1, -1, 3});
  CheckNear(Result(recent, x), {-1, 2, -3, 5});
}

TEST_CASE("functions that newer opsets have", "[onnx]") {
  const std::vector<double> values{-2, -0.5, 0.5, 3};
  const std::vector<graph::TensorRef> x{FloatTensor({4}, values)};
  const auto result = [&](const std::string& op, const Fields& fields, const std::string& domain) {
    Model model(20);
    model.Input("x", {4}).Node(op, {"x"}, {"y"}, fields, domain).Output("y");
    return Result(model, x);
  };
  std::vector<double> exact, near, mish;
  for (const double v : values) {
    exact.push_back(v / 2 * (1 + std::erf(v / std::sqrt(2.0))));
    near.push_back(v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))));
    mish.push_back(v * std::tanh(std::log1p(std::exp(v))));
  }
  CheckNear(result("Gelu", {}, ""), exact);
  CheckNear(result("Gelu", {}, "com.microsoft"), exact);
  CheckNear(result("Gelu", {{"approximate", std::string("tanh")}}, ""), near);
  CheckNear(result("Mish", {}, ""), mish);
}

TEST_CASE("norms of windows, of all and of rows", "[onnx]") {
  const std::vector<graph::TensorRef> x{FloatTensor({1, 1, 4}, {3, -4, 0, 12})};
  const auto result = [&](const std::string& op, const Fields& fields) {
    Model model;
    model.Input("x", {1, 1, 4}).Node(op, {"x"}, {"y"}, fields).Output("y");
    return Result(model, x);
  };
  CheckNear(result("LpPool", {{"kernel_shape", Shape{2}}}), {5, 4, 12});
  CheckNear(result("LpPool", {{"kernel_shape", Shape{2}}, {"p", int64_t{1}}}), {7, 4, 12});
  CheckNear(result("GlobalLpPool", {}), {13});
  CheckNear(result("LpNormalization", {}), {3 / 13.0, -4 / 13.0, 0, 12 / 13.0});
  CheckNear(result("LpNormalization", {{"p", int64_t{1}}}), {3 / 19.0, -4 / 19.0, 0, 12 / 19.0});
}

TEST_CASE("angles far from zero keep their sine", "[onnx]") {
  const std::vector<double> values{-1000, -4, -3, -1.6, -1.5, 0, 1.5, 1.6, 2, 3.2, 4.8, 6.3, 500};
  const Shape shape{static_cast<int64_t>(values.size())};
  Model model;
  model.Input("x", shape).Node("Sin", {"x"}, {"s"}).Node("Cos", {"x"}, {"c"});
  model.Node("Concat", {"s", "c"}, {"y"}, {{"axis", int64_t{0}}}).Output("y");
  std::vector<double> expected;
  for (const double v : values) expected.push_back(std::sin(v));
  for (const double v : values) expected.push_back(std::cos(v));
  CheckNear(Result(model, {FloatTensor(shape, values)}), expected);
}

TEST_CASE("a resize may name its axes", "[onnx]") {
  Model model(18);
  model.Input("x", {1, 2, 2}).Floats("s", {1}, {2});
  model.Node("Resize", {"x", "", "s"}, {"y"},
             {{"axes", Shape{2}}, {"mode", std::string("linear")}});
  model.Output("y");
  CheckNear(Result(model, {FloatTensor({1, 2, 2}, {0, 4, 8, 16})}), {0, 1, 3, 4, 8, 10, 14, 16});
}

TEST_CASE("quantised operators of com.microsoft compute as their numbers do", "[onnx]") {
  // Scales 0.5 and 0.25, zero points 10 and 0; the result in steps of 1 from -100 on.
  Model model(13);
  model.Input("a", {1, 1, 2}, onnx::TensorProto::UINT8).Bytes("b", {1, 1, 2}, {4, 8});
  model.Floats("sa", {}, {0.5}).Floats("sb", {}, {0.25}).Floats("sy", {}, {1});
  model.Bytes("za", {}, {10}).Bytes("zb", {}, {0}).Bytes("zy", {}, {100});
  const std::vector<std::string> both{"a", "sa", "za", "b", "sb", "zb", "sy", "zy"};
  model.Node("QLinearAdd", both, {"sum"}, {}, "com.microsoft");
  model.Node("QLinearMul", both, {"product"}, {}, "com.microsoft");
  model.Node("QLinearConcat", {"sy", "zy", "a", "sa", "za", "b", "sb", "zb"}, {"joined"},
             {{"axis", int64_t{2}}}, "com.microsoft");
  model.Node("QLinearGlobalAveragePool", {"a", "sa", "za", "sy", "zy"}, {"mean"}, {},
             "com.microsoft");
  model.Node("Concat", {"sum", "product", "joined", "mean"}, {"y"}, {{"axis", int64_t{2}}});
  model.Output("y");
  // a = 2, 4 and b = 1, 2.
  const auto a = graph::MakeTensor(ir::UInt(8), {1, 1, 2}, {14, 18});
  CHECK(Result(model, {a}) == std::vector<double>{103, 106, 102, 108, 102, 104, 101, 102, 103});
}

TEST_CASE("quantised functions of com.microsoft", "[onnx]") {
  // x = -2, 2, 6 in steps of 0.5; results in steps of 0.25 from -32 on.
  const auto x = graph::MakeTensor(ir::UInt(8), {1, 1, 3}, {6, 14, 22});
  const auto result = [&](const std::string& op, const Fields& fields) {
    Model model(13);
    model.Input("x", {1, 1, 3}, onnx::TensorProto::UINT8)
        .Floats("s", {}, {0.5})
        .Bytes("z", {}, {10});
    model.Floats("sy", {}, {0.25}).Bytes("zy", {}, {128});
    model.Node(op, {"x", "s", "z", "sy", "zy"}, {"y"}, fields, "com.microsoft").Output("y");
    return Result(model, {x});
  };
  CHECK(result("QLinearLeakyRelu", {{"alpha", 0.25}}) == std::vector<double>{126, 136, 152});
  CHECK(result("QLinearSigmoid", {}) == std::vector<double>{128, 132, 132});
  CHECK(result("QLinearAveragePool", {{"kernel_shape", Shape{2}}}) ==
        std::vector<double>{128, 144});
}

TEST_CASE("a quantised product has integers, scales of columns and a bias in steps of both",
          "[onnx]") {
  // a - zero is [[1, 2], [-3, 4]], b's columns are [1, -1] and [2, 3], in steps of 0.5 · 1 and · 2.
  const auto a = graph::MakeTensor(ir::UInt(8), {2, 2}, {11, 12, 7, 14});
  const auto result = [&](bool is_turned, std::vector<std::string> operands, const Fields& more) {
    Model model(13);
    model.Input("a", {2, 2}, onnx::TensorProto::UINT8)
        .Floats("sa", {}, {0.5})
        .Bytes("za", {}, {10});
    model.Bytes("b", {2, 2}, is_turned ? Shape{1, -1, 2, 3} : Shape{1, 2, -1, 3},
                onnx::TensorProto::INT8);
    model.Floats("sb", {2}, {1, 2}).Bytes("zb", {2}, {0, 0}, onnx::TensorProto::INT8);
    model.Bytes("c", {2}, {100, -1}, onnx::TensorProto::INT32);
    model.Floats("sy", {}, {0.5}).Bytes("zy", {}, {30});
    operands.insert(operands.begin(), {"a", "sa", "za", "b", "sb", "zb"});
    Fields fields = more;
    if (is_turned) fields.emplace_back("transB", int64_t{1});
    model.Node("QGemm", operands, {"y"}, fields, "com.microsoft").Output("y");
    return Result(model, {a});
  };
  for (const bool is_turned : {false, true}) {
    CAPTURE(is_turned);
    // Sums are -1, 8 and -7, 6.
    CHECK(result(is_turned, {}, {}) == std::vector<double>{-0.5, 8, -3.5, 6});
    CHECK(result(is_turned, {"c"}, {{"alpha", 2.0}}) == std::vector<double>{99, 14, 93, 10});
    CHECK(result(is_turned, {"c", "sy", "zy"}, {}) == std::vector<double>{129, 44, 123, 40});
  }
}

TEST_CASE("bytes with zero points are convolved as integers", "[onnx]") {
  const auto x = graph::MakeTensor(ir::UInt(8), {1, 1, 3}, {0, 200, 255});
  Model model(13);
  model.Input("x", {1, 1, 3}, onnx::TensorProto::UINT8);
  model.Bytes("w", {2, 1, 2}, {1, -1, 127, -128}, onnx::TensorProto::INT8);
  model.Bytes("zx", {}, {128}).Bytes("zw", {2}, {0, 1}, onnx::TensorProto::INT8);
  model.Node("ConvInteger", {"x", "w", "zx", "zw"}, {"y"}, {{"pads", Shape{1, 0}}}).Output("y");
  // x - 128 is -128, 72, 127 and 0 where it is padded; w - zero is 1, -1 and 126, -129.
  CHECK(Result(model, {x}) ==
        std::vector<double>{128, -200, -55, 16512, -25416, 126 * 72 - 129 * 127.0});
}

TEST_CASE("what joins more parts than a kernel has tensors is several", "[onnx]") {
  const int count = 200;
  Model model;
  std::vector<std::string> parts;
  std::vector<double> values;
  model.Input("x", {count});
  for (int i = 0; i < count; ++i) parts.push_back(absl::StrCat("part", i));
  for (int i = 0; i < count; ++i) values.push_back(i);
  model.Node("Split", {"x"}, parts);
  std::ranges::reverse(parts);
  model.Node("Concat", parts, {"y"}, {{"axis", int64_t{0}}}).Output("y");
  const auto graph = ImportModel(model.proto.SerializeAsString());
  REQUIRE(graph.ok());
  for (const graph::Node& node : graph->nodes) {
    CHECK(node.operands.size() < static_cast<size_t>(graph::kMaxKernelTensors));
  }
  const std::vector<double> expected(values.rbegin(), values.rend());
  CHECK(Result(model, {FloatTensor({count}, values)}) == expected);
}

TEST_CASE("sums over letters", "[onnx]") {
  const auto result = [](const std::string& equation, const Shape& a, const Shape& b) {
    Model model;
    model.Input("a", a).Input("b", b);
    model.Node("Einsum", {"a", "b"}, {"y"}, {{"equation", equation}}).Output("y");
    return Result(model, {SomeTensor(a, 0), SomeTensor(b, 1)});
  };
  // Attention's products: heads apart, and back.
  const std::vector<double> a = Some(12, 0), b = Some(12, 1);
  std::vector<double> scores;
  for (int h = 0; h < 2; ++h) {
    for (int q = 0; q < 2; ++q) {
      for (int k = 0; k < 2; ++k) {
        double sum = 0;
        for (int d = 0; d < 3; ++d) sum += a[(q * 2 + h) * 3 + d] * b[(k * 2 + h) * 3 + d];
        scores.push_back(sum);
      }
    }
  }
  CheckNear(result("bqhd,bkhd->bhqk", {1, 2, 2, 3}, {1, 2, 2, 3}), scores);
  CheckNear(result("...qhd,...khd->...hqk", {1, 2, 2, 3}, {1, 2, 2, 3}), scores);
}

}  // namespace tessera::frontend
