#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/te/operators.h"

namespace tessera::te {

// The first of what `draw` gives that te::MakeWorkload takes: not one without outputs, as where a
// kernel is beyond its input or padding takes all that a transposed one spreads. A refused one if
// all are.
template <typename DrawSpec>
OpSpec DrawDefined(const DrawSpec& draw) {
  constexpr int kMaxDraws = 1000;
  for (int draws = 1;; ++draws) {
    OpSpec spec = draw();
    if (draws == kMaxDraws || !absl::IsInvalidArgument(MakeWorkload(spec).status())) return spec;
  }
}

// Draws small instances of any operator of the table with any of its attributes: extents of one and
// primes, every stride, padding, dilation, group count, layout, element type and epilogue. The
// interpreter runs each in a moment.
class RandomWorkload {
 public:
  explicit RandomWorkload(Rng rng) : rng_(rng) {}

  // What te::MakeWorkload takes, or would take but for a bug.
  OpSpec Draw(const std::string& name) {
    // Half of them contract: those have the most attributes.
    static const std::vector<std::string> contractions = {
        "matmul", "batch_matmul", "dense", "conv1d", "conv2d", "conv3d", "depthwise_conv2d", "t2d"};
    const std::string op = OneOf(rng_.Chance(0.5) ? contractions : OperatorNames());
    for (;;) {
      OpSpec spec = DrawDefined([&] {
        spec_ = {name, op, {}};
        DrawAttributes();
        return spec_;
      });
      const auto workload = MakeWorkload(spec);
      if (!workload.ok() || Points(*workload) <= kMaxPoints) return spec;
    }
  }

 private:
  static constexpr double kMaxPoints = 60'000;

  static double Points(const Workload& workload) {
    double total = 0;
    for (const Stage& stage : workload.dag.stages) {
      double points = 1;
      for (const Axis& axis : stage.axes) points *= static_cast<double>(axis.extent);
      for (const Axis& axis : stage.reduce_axes) points *= static_cast<double>(axis.extent);
      total += points;
    }
    return total;
  }

  template <typename T>
  const T& OneOf(const std::vector<T>& values) {
    return values[rng_.Below(values.size())];
  }
  void Set(const std::string& name, std::string value) {
    spec_.attributes[name] = std::move(value);
  }
  void Set(const std::string& name, int64_t value) { Set(name, absl::StrCat(value)); }
  void Extent(const std::string& name) {
    static const std::vector<int64_t> common = {1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 24, 31, 37};
    Set(name, OneOf(common));
  }
  void Flag(const std::string& name, double chance = 0.4) {
    if (rng_.Chance(chance)) Set(name, "true");
  }

  void ElementType(bool integer) {
    std::vector<std::string> types = {"f32", "f32", "f16", "bf16"};
    if (integer) types.push_back("i8");
    Set("dtype", OneOf(types));
  }
  void Epilogue() {
    for (const char* name : {"bias", "add", "relu"}) Flag(name);
    ElementType(/*integer=*/true);
    if (spec_.attributes["dtype"] != "i8") return;
    Flag("requantize", 0.4);
    if (!spec_.attributes.contains("requantize")) Set("shift", absl::StrCat(rng_.Between(0, 9)));
  }
  void Layout() {
    Set("layout", OneOf<std::string>(
                      {"nchw", "nhwc", "any", "any", absl::StrCat("nchwc", rng_.Between(2, 8))}));
  }

  // Extents, windows and steps of the last `rank` of d, h, w.
  void Spatial(int rank) {
    int64_t smallest_kernel = 8;
    for (const char letter : std::string("dhw").substr(3 - rank)) {
      const std::string axis(1, letter);
      const int64_t kernel = rng_.Between(1, rank == 3 ? 3 : 5);
      smallest_kernel = std::min(smallest_kernel, kernel);
      Set("k" + axis, kernel);
      Set(axis, rng_.Between(1, rank == 1 ? 31 : rank == 2 ? 11 : 6));
    }
    Set("stride", rng_.Between(1, 3));
    if (rng_.Chance(0.6)) Set("pad", rng_.Between(0, smallest_kernel));
    Layout();
  }

  void Channels() {
    if (rng_.Chance(0.3)) Set("n", rng_.Between(1, 3));
    const int64_t groups = rng_.Chance(0.3) ? rng_.Between(2, 4) : 1;
    Set("groups", groups);
    for (const char* name : {"ic", "oc"}) {
      Set(name, groups * (groups > 1 ? rng_.Between(1, 6) : rng_.Between(1, 17)));
    }
  }

  void DrawAttributes() {
    const std::string& op = spec_.op;
    if (op == "matmul" || op == "batch_matmul" || op == "dense") {
      for (const char* name : {"m", "n", "k"}) Extent(name);
      if (op == "batch_matmul") Set("batch", rng_.Between(1, 4));
      if (op != "dense") {
        Flag("transpose_b");
        Set("b", OneOf<std::string>({"const", "input"}));
      }
      Epilogue();
    } else if (op == "conv1d" || op == "conv2d" || op == "conv3d") {
      Spatial(op[4] - '0');
      Channels();
      Set("dilation", rng_.Chance(0.3) ? rng_.Between(2, 3) : 1);
      Epilogue();
    } else if (op == "capsule_conv2d") {
      for (const char* name : {"ic", "oc"}) Set(name, rng_.Between(1, 9));
      Set("capsule", rng_.Between(1, 3));
      for (const char* name : {"h", "w"}) Set(name, rng_.Between(1, 6));
      for (const char* name : {"kh", "kw"}) Set(name, rng_.Between(1, 3));
      Set("stride", rng_.Between(1, 2));
      Set("pad", rng_.Between(0, 1));
      Epilogue();
    } else if (op == "attention_scores") {
      for (const char* name : {"n", "heads"}) Set(name, rng_.Between(1, 3));
      for (const char* name : {"seq", "dim"}) Set(name, rng_.Between(1, 19));
      ElementType(/*integer=*/false);
    } else if (op == "lstm_cell") {
      Set("m", rng_.Between(1, 4));
      for (const char* name : {"input", "hidden"}) Set(name, rng_.Between(1, 19));
      ElementType(/*integer=*/false);
    } else if (op == "depthwise_conv2d") {
      Spatial(2);
      Extent("c");
      Set("multiplier", rng_.Chance(0.3) ? rng_.Between(2, 3) : 1);
      Set("dilation", rng_.Chance(0.3) ? rng_.Between(2, 3) : 1);
      Epilogue();
    } else if (op == "t2d") {
      Spatial(2);
      for (const char* name : {"ic", "oc"}) Set(name, rng_.Between(1, 13));
      Epilogue();
    } else if (op == "max_pool2d" || op == "avg_pool2d") {
      Spatial(2);
      Extent("c");
      if (op == "avg_pool2d") {
        Set("count_include_pad", OneOf<std::string>({"true", "false"}));
      }
      ElementType(/*integer=*/op == "max_pool2d");
    } else if (op == "global_avg_pool") {
      for (const char* name : {"c", "h", "w"}) Extent(name);
      Layout();
      ElementType(/*integer=*/false);
    } else {
      // Rows: [m, n]. A longer product leaves the range of its type.
      const bool product = op == "reduce_prod";
      for (const char* name : {"m", "n"}) {
        if (product) Set(name, rng_.Between(1, 6));
        if (!product) Extent(name);
      }
      if (op.starts_with("reduce_")) Set("axis", rng_.Between(0, 1));
      ElementType(/*integer=*/false);
    }
  }

  Rng rng_;
  OpSpec spec_;
};

// As a user would write it: "conv2d h=3 …".
inline std::string ToText(const OpSpec& spec) {
  std::string text = spec.op;
  for (const auto& [name, value] : spec.attributes) absl::StrAppend(&text, " ", name, "=", value);
  return text;
}

}  // namespace tessera::te
