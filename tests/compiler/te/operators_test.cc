#include "compiler/te/operators.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "compiler/te/reference.h"
#include "tests/compiler/te/plain_loops.h"
#include "tests/compiler/te/run.h"
#include "tests/support/workloads.h"

namespace tessera::te {
namespace {

std::string ErrorOf(const OpSpec& spec) {
  const auto workload = MakeWorkload(spec);
  CHECK_FALSE(workload.ok());
  CHECK(workload.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(workload.status().message());
}

OpSpec Conv(std::map<std::string, std::string> changes) {
  OpSpec spec{"C2", "conv2d", {{"ic", "64"}, {"oc", "64"}, {"size", "56"}, {"k", "3"}}};
  for (auto& [name, value] : changes) spec.attributes[name] = value;
  return spec;
}

}  // namespace

TEST_CASE("every operator computes what plain loops compute", "[te]") {
  for (const OpSpec& spec : TestWorkloads()) {
    for (const uint64_t seed : {1u, 77u}) {
      CAPTURE(spec.name, seed);
      const Workload workload = Make(spec);
      const Run run = RunReference(workload, seed);
      const PlainResult plain = PlainLoops(spec, run.inputs);
      REQUIRE(plain.outputs.size() == run.outputs.size());
      for (size_t o = 0; o < plain.outputs.size(); ++o) {
        const Tolerance tolerance = OutputTolerance(workload.dag, static_cast<int>(o));
        REQUIRE(plain.outputs[o].size() == run.outputs[o].size());
        for (size_t i = 0; i < plain.outputs[o].size(); ++i) {
          const double expected = plain.outputs[o][i], actual = run.outputs[o][i];
          if (std::abs(actual - expected) <=
              tolerance.absolute + tolerance.relative * std::abs(expected)) {
            continue;
          }
          CAPTURE(o, i);
          CHECK(actual == expected);
        }
      }
    }
  }
}

TEST_CASE("the test workloads use every operator and have distinct names", "[te]") {
  std::set<std::string> names, used;
  for (const OpSpec& spec : TestWorkloads()) {
    CHECK(names.insert(spec.name).second);
    used.insert(spec.op);
  }
  const std::vector<std::string> all = OperatorNames();
  CHECK(used == std::set<std::string>(all.begin(), all.end()));
}

TEST_CASE("operator help lists every operator with its defaults", "[te]") {
  const std::string help = OperatorHelp();
  for (const std::string& name : OperatorNames()) {
    CHECK(("\n" + help).find("\n" + name + ":") != std::string::npos);
  }
  CHECK(help.find("stride=1") != std::string::npos);
  CHECK(help.find("layout(nchw|nhwc|nchwc<N>|any)=nchw") != std::string::npos);
}

TEST_CASE("an operator refuses what it does not know, with what it has", "[te]") {
  CHECK(ErrorOf({"C2", "conv3", {}}).find("\"C2\": no operator \"conv3\"; there are matmul,") == 0);
  CHECK(ErrorOf({"conv3", "conv3", {}}).find("no operator \"conv3\"; there are matmul,") == 0);
  const std::string unknown = ErrorOf(Conv({{"strides", "2"}}));
  CHECK(unknown.find("\"C2\" (conv2d): no attribute \"strides\"; conv2d has n, ic,") !=
        std::string::npos);
}

TEST_CASE("an operator refuses values outside their limits and names them", "[te]") {
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  contains(ErrorOf(Conv({{"ic", "0"}})),
           "ic is \"0\"; it has to be a whole number from 1 to 1099511627776");
  contains(ErrorOf(Conv({{"size", "0"}})), "size is \"0\"");
  contains(ErrorOf(Conv({{"ic", "64.5"}})), "ic is \"64.5\"");
  contains(ErrorOf(Conv({{"ic", "99999999999999999999"}})), "ic is \"99999999999999999999\"");
  contains(ErrorOf(Conv({{"relu", "maybe"}})), "relu is \"maybe\"; it has to be true or false");
  contains(ErrorOf(Conv({{"dtype", "f128"}})), "one of f32, f16, bf16, i8");
  contains(ErrorOf(Conv({{"layout", "nchwc0"}})), "nchwc<N>, any with N from 2 to 256");
  contains(ErrorOf(Conv({{"layout", "nchwc048"}})), "layout is \"nchwc048\"");
  contains(ErrorOf(Conv({{"layout", "nchwc48"}})), "64 channels, which 48 does not divide");
  contains(ErrorOf(Conv({{"groups", "3"}})), "groups is 3, which does not divide ic 64");
  contains(ErrorOf(Conv({{"groups", "4"}, {"oc", "66"}})), "does not divide oc 66");
  contains(ErrorOf(Conv({{"k", "60"}})), "h is 56, but the kernel spans 60");
  contains(ErrorOf(Conv({{"k", "60"}, {"pad", "1"}})),
           "h is 56 (58 with padding), but the kernel spans 60");
  contains(ErrorOf(Conv({{"size", "1048577"}})), "has more than 2^40");
  contains(ErrorOf(Conv({{"n", "1099511627776"}, {"size", "1099511627776"}})),
           "\"C2\" (conv2d): tensor X");
  contains(ErrorOf({"big", "matmul", {{"m", "1048576"}, {"n", "1048576"}, {"k", "1048576"}}}),
           "has more than 2^56");
  contains(ErrorOf({"C2", "conv2d", {{"ic", "1"}, {"oc", "1"}, {"k", "3"}}}),
           "attribute h (or size) is missing");
  contains(ErrorOf({"C2", "conv2d", {{"size", "9"}, {"oc", "1"}, {"k", "3"}}}),
           "attribute ic is missing");
  contains(ErrorOf({"P", "max_pool2d", {{"c", "1"}, {"size", "9"}, {"k", "2"}, {"pad", "2"}}}),
           "pad is 2; it has to be below kh 2");
  contains(
      ErrorOf({"T", "t2d", {{"ic", "1"}, {"oc", "1"}, {"size", "1"}, {"k", "4"}, {"pad", "3"}}}),
      "the output's h would be -2");
}

TEST_CASE("only integers are requantized", "[te]") {
  CHECK(absl::StrContains(ErrorOf(Conv({{"requantize", "true"}, {"dtype", "bf16"}})),
                          "requantize is for dtype i8, not bf16"));
  const Workload workload = Make(Conv({{"requantize", "true"}, {"dtype", "i8"}, {"add", "true"}}));
  CHECK(workload.dag.outputs[0]->type == ir::Int(8));
  CHECK(workload.dag.inputs.back().buffer->type == ir::Int(8));  // Residual
  CHECK(OutputTolerance(workload.dag, 0).absolute == 0);
}

TEST_CASE("only integers that aren't scaled are shifted", "[te]") {
  CHECK(absl::StrContains(ErrorOf(Conv({{"shift", "4"}})),
                          "shift is 4; it is for dtype i8 without requantize"));
  CHECK(absl::StrContains(ErrorOf(Conv({{"shift", "4"}, {"dtype", "i8"}, {"requantize", "true"}})),
                          "shift is 4; it is for dtype i8 without requantize"));
  const Workload workload = Make(Conv({{"shift", "4"}, {"dtype", "i8"}, {"add", "true"}}));
  CHECK(workload.dag.outputs[0]->type == ir::Int(8));
  CHECK(workload.dag.inputs.back().buffer->type == ir::Int(8));  // Residual
  CHECK(OutputTolerance(workload.dag, 0).absolute == 0);
}

TEST_CASE("a long text in a message is cut", "[te]") {
  CHECK(ErrorOf(Conv({{"ic", std::string(100000, '9')}})).size() < 300);
  CHECK(ErrorOf({std::string(100000, 'x'), "conv2d", {}}).size() < 300);
}

TEST_CASE("layouts of activations follow the attribute", "[te]") {
  const auto x = [](const std::string& layout) {
    return Make(Conv({{"layout", layout}, {"pad", "1"}})).dag.inputs[0].buffer;
  };
  CHECK(x("nchw")->layout.empty());
  CHECK(ir::LayoutToString(x("nhwc")->layout, x("nhwc")->shape) == "0 2 3 1");
  CHECK(ir::LayoutToString(x("nchwc16")->layout, x("nchwc16")->shape) == "0 1/16 2 3 1%16");
  const Workload any = Make(Conv({{"layout", "any"}, {"bias", "true"}, {"relu", "true"}}));
  CHECK(any.dag.inputs[0].buffer->policy == ir::LayoutPolicy::kBlocked);
  CHECK(any.dag.inputs[0].buffer->block_axis == 1);
  CHECK(any.dag.inputs[1].buffer->policy == ir::LayoutPolicy::kFree);
  CHECK(any.dag.inputs[1].is_constant);
  CHECK(any.dag.inputs[2].buffer->policy == ir::LayoutPolicy::kFixed);
  CHECK(any.dag.inputs[2].is_constant);
  CHECK(any.dag.outputs[0]->policy == ir::LayoutPolicy::kBlocked);
  CHECK(any.dag.outputs[0]->name == "relu");
}

TEST_CASE("padding is a stage with only the conditions that are needed", "[te]") {
  CHECK(Make(Conv({})).dag.StageNamed("pad") == -1);
  // Stride 2 never reaches the padding at the end of an even extent.
  const Workload workload = Make(Conv({{"pad", "1"}, {"stride", "2"}}));
  const int pad = workload.dag.StageNamed("pad");
  REQUIRE(pad == 0);
  CHECK(workload.dag.stages[pad].output()->shape == std::vector<int64_t>{1, 64, 57, 57});
  CHECK(Print(workload).find("< 57") == std::string::npos);
  CHECK(Print(workload).find("1 <= h") != std::string::npos);
}

}  // namespace tessera::te
