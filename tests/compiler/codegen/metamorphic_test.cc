// Relations between runs of sampled programs at the shapes of real networks, which the interpreter
// is too slow for: schedules agree with one another, twice the input gives twice the sum, and the
// number of threads changes nothing.

#include <catch2/catch.hpp>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/compiler/codegen/loaded_kernel.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/stored_data.h"

namespace tessera::codegen {
namespace {

using Tensors = std::vector<std::vector<std::byte>>;  // row-major

constexpr int kThreads = 2;

ir::Target Target() {
  ir::Target target = HostTarget();
  target.max_threads = kThreads;
  return target;
}

Tensors Inputs(const te::Workload& workload) {
  Tensors inputs;
  for (size_t i = 0; i < workload.dag.inputs.size(); ++i) {
    inputs.push_back(te::TestInput(*workload.dag.inputs[i].buffer, static_cast<int>(i), 17));
  }
  return inputs;
}

// A schedule of a workload as machine code.
class Compiled {
 public:
  Compiled(const te::Workload& workload, const te::Candidate& candidate)
      : inputs_(workload.dag.inputs.size()),
        outputs_(workload.dag.outputs.size()),
        candidate_(candidate),
        kernel_(LoadedKernel::Load(candidate.program, Target()).value()) {
    if (candidate.preparation) {
      prepare_.push_back(LoadedKernel::Load(*candidate.preparation, Target()).value());
    }
  }

  std::vector<std::vector<double>> Run(const Tensors& inputs, int threads) const {
    std::vector<AlignedBytes> memory;
    std::vector<void*> pointers;
    for (size_t i = 0; i < candidate_.program.params.size(); ++i) {
      const ir::BufferNode& buffer = *candidate_.program.params[i];
      memory.emplace_back(static_cast<size_t>(buffer.StoredBytes()));
      if (i < inputs_) {
        const std::vector<std::byte> stored = ir::ToStored(buffer, inputs[i]);
        std::memcpy(memory.back().data(), stored.data(), stored.size());
      }
      pointers.push_back(memory.back().data());
    }
    tessera_launcher launcher{RunInOrder, threads};
    for (const LoadedKernel& prepare : prepare_) prepare.Run(pointers, &launcher);
    kernel_.Run(pointers, &launcher);
    std::vector<std::vector<double>> results;
    for (size_t i = 0; i < memory.size(); ++i) {
      CHECK(memory[i].GuardsIntact());
      if (i < inputs_ || i >= inputs_ + outputs_) continue;
      results.push_back(ir::FromStored(*candidate_.program.params[i],
                                       {memory[i].data(), memory[i].data() + memory[i].size()}));
    }
    return results;
  }

 private:
  size_t inputs_, outputs_;
  te::Candidate candidate_;
  LoadedKernel kernel_;
  std::vector<LoadedKernel> prepare_;
};

// The first element that is further from the expected one than allowed; nothing if there is none.
std::string Difference(const std::vector<double>& actual, const std::vector<double>& expected,
                       const te::Tolerance& tolerance) {
  for (size_t i = 0; i < actual.size(); ++i) {
    const double limit = tolerance.absolute + tolerance.relative * std::abs(expected[i]);
    if (actual[i] == expected[i] || std::abs(actual[i] - expected[i]) <= limit) continue;
    return absl::StrCat("element ", i, ": ", actual[i], " instead of ", expected[i]);
  }
  return "";
}

// `samples` programs of the workload's space. `is_linear`: its output doubles with its first input.
void Check(const te::OpSpec& spec, int samples, bool is_linear) {
  CAPTURE(spec.name);
  const auto workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  const te::Dag& dag = workload->dag;
  const auto compile = [&](const schedule::Trace& trace) {
    const auto candidate = passes::LowerTrace(*workload, trace);
    REQUIRE(candidate.ok());
    return std::pair(Compiled(*workload, *candidate), candidate->error_factors);
  };
  const Tensors inputs = Inputs(*workload);
  Tensors doubled = inputs;
  const ir::Type type = dag.inputs[0].buffer->type;
  for (int64_t i = 0; is_linear && i < dag.inputs[0].buffer->ElementCount(); ++i) {
    ir::WriteElement(type, absl::MakeSpan(doubled[0]), i, 2 * ir::ReadElement(type, inputs[0], i));
  }
  const auto expected = compile(schedule::DefaultTrace(dag, Target()).value()).first.Run(inputs, 1);
  const auto space = space::BuildSpace(*workload, Target(), kThreads);
  REQUIRE(space.ok());
  const uint64_t seed = 29;
  Rng rng(seed);
  for (int s = 0; s < samples; ++s) {
    const schedule::Trace trace = space->ToTrace(space->Sample(rng)).value();
    CAPTURE(seed, s, schedule::Print(trace));
    const auto [program, factors] = compile(trace);
    const auto actual = program.Run(inputs, 1);
    for (size_t o = 0; o < expected.size(); ++o) {
      const te::Tolerance tolerance = te::OutputTolerance(dag, static_cast<int>(o), factors);
      CHECK(Difference(actual[o], expected[o], tolerance) == "");
    }
    const bool threads_agree = program.Run(inputs, kThreads) == actual;
    CHECK(threads_agree);
    if (!is_linear) continue;
    auto twice = actual;
    for (double& value : twice[0]) value *= 2;
    const bool is_doubled = program.Run(doubled, kThreads) == twice;
    CHECK(is_doubled);
  }
}

}  // namespace

TEST_CASE("sampled programs agree with one another at real shapes", "[codegen]") {
  using A = std::map<std::string, std::string>;
  const A conv = {{"ic", "64"}, {"oc", "96"}, {"size", "28"}, {"k", "3"}, {"pad", "1"}};
  const auto with = [](A attributes, const A& more) {
    for (const auto& [name, value] : more) attributes[name] = value;
    return attributes;
  };
  Check({"winograd", "conv2d", with(conv, {{"layout", "any"}})}, 8, true);
  Check({"direct", "conv2d", with(conv, {{"layout", "any"}, {"algorithm", "direct"}})}, 6, true);
  Check({"nchw", "conv2d", with(conv, {{"size", "29"}, {"algorithm", "direct"}})}, 4, true);
  Check({"strided", "conv2d", with(conv, {{"stride", "2"}, {"layout", "nhwc"}})}, 4, true);
  Check({"fused", "conv2d",
         with(conv, {{"layout", "any"}, {"bias", "true"}, {"add", "true"}, {"relu", "true"}})},
        4, false);
  Check({"grouped", "conv2d", with(conv, {{"groups", "4"}, {"layout", "any"}})}, 4, true);
  Check({"bytes", "conv2d", with(conv, {{"dtype", "i8"}, {"layout", "any"}})}, 4, true);
  Check({"requantized", "conv2d",
         with(conv, {{"dtype", "i8"}, {"requantize", "true"}, {"layout", "any"}})},
        4, false);
  Check(
      {"depthwise",
       "depthwise_conv2d",
       {{"c", "96"}, {"size", "56"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}, {"layout", "any"}}},
      4, true);
  Check({"transposed",
         "t2d",
         {{"ic", "64"}, {"oc", "48"}, {"size", "8"}, {"k", "4"}, {"stride", "2"}, {"pad", "1"}}},
        4, true);
  Check({"product", "matmul", {{"m", "96"}, {"n", "200"}, {"k", "257"}}}, 6, true);
  Check({"half", "matmul", {{"m", "64"}, {"n", "100"}, {"k", "256"}, {"dtype", "bf16"}}}, 4, false);
  Check({"row", "matmul", {{"m", "1"}, {"n", "1000"}, {"k", "512"}}}, 4, true);
  Check({"batch", "batch_matmul", {{"batch", "6"}, {"m", "64"}, {"n", "64"}, {"k", "32"}}}, 4,
        true);
  Check({"attention", "attention_scores", {{"seq", "64"}, {"heads", "4"}, {"dim", "32"}}}, 4,
        false);
  Check({"recurrent", "lstm_cell", {{"input", "64"}, {"hidden", "64"}}}, 4, false);
  Check({"softmax", "softmax", {{"m", "64"}, {"n", "1000"}}}, 6, false);
  Check({"norm", "layer_norm", {{"m", "32"}, {"n", "768"}}}, 6, false);
  Check({"one_row", "reduce_sum", {{"m", "1"}, {"n", "100000"}}}, 6, true);
  Check({"argmax", "argmax", {{"m", "32"}, {"n", "1000"}}}, 4, false);
}

}  // namespace tessera::codegen
