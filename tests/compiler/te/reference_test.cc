#include "compiler/te/reference.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "compiler/ir/evaluate.h"
#include "compiler/ir/verify.h"
#include "tests/compiler/te/run.h"
#include "tests/support/workloads.h"

namespace tessera::te {

TEST_CASE("padding that a maximum passes over is no value of the results", "[te]") {
  const auto workload = ParseWorkload(
      "workload pool\ninput X: u8[4,6]\nconst K: f32[4]\n"
      "stage wide: f32[c:4, x:6] = cast(f32, X[c, x]) * K[c]\n"
      "stage pad: f32[c:4, x:8] = select(1 <= x && x < 7, wide[c, x - 1], -inf:f32)\n"
      "stage most: f32[c:4, x:6] = max[k:3] (pad[c, x + k])\n"
      "stage out: u8[c:4, x:6] = cast_sat(u8, most[c, x] / K[c])\noutput out\n");
  INFO(workload.status());
  REQUIRE(workload.ok());
  const Tolerance tolerance = OutputTolerance(workload->dag, 0);
  CHECK(std::isfinite(tolerance.absolute));
  CHECK(std::isfinite(tolerance.relative));
}

TEST_CASE("sampled elements equal the full evaluation bit for bit", "[te]") {
  const uint64_t seed = 5;
  for (const OpSpec& spec : TestWorkloads()) {
    CAPTURE(spec.name, seed);
    const Workload workload = Make(spec);
    const Run run = RunReference(workload, seed);
    const auto samples = SampleReference(workload, seed, 9);
    INFO(samples.status().ToString());
    REQUIRE(samples.ok());
    std::set<std::pair<int, int64_t>> places;
    for (const Sample& sample : *samples) {
      CAPTURE(sample.output, sample.index);
      CHECK(places.emplace(sample.output, sample.index).second);
      CHECK(run.outputs[sample.output][sample.index] == sample.value);
    }
    for (size_t o = 0; o < run.outputs.size(); ++o) {
      const auto elements = static_cast<int64_t>(run.outputs[o].size());
      CHECK(places.contains({static_cast<int>(o), 0}));
      CHECK(places.contains({static_cast<int>(o), elements - 1}));
    }
  }
}

TEST_CASE("sampling a large convolution computes only what its samples need", "[te]") {
  const Workload workload = Make({"C2",
                                  "conv2d",
                                  {{"ic", "64"},
                                   {"oc", "64"},
                                   {"size", "56"},
                                   {"k", "3"},
                                   {"pad", "1"},
                                   {"bias", "true"},
                                   {"relu", "true"},
                                   {"layout", "any"}}});
  const auto samples = SampleReference(workload, 1, 8, /*max_operations=*/200'000);
  INFO(samples.status().ToString());
  REQUIRE(samples.ok());
  CHECK(samples->size() == 8);
}

TEST_CASE("sampling stops before it takes more operations than allowed", "[te]") {
  const Workload workload = Make({"wide", "softmax", {{"m", "4"}, {"n", "100000"}}});
  const auto samples = SampleReference(workload, 1, 8, /*max_operations=*/10'000);
  CHECK(samples.status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(std::string(samples.status().message()).find("more than 10000") != std::string::npos);
}

TEST_CASE("samples depend on the seed alone", "[te]") {
  const Workload workload = Make({"square", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "16"}}});
  const auto first = SampleReference(workload, 1, 6), again = SampleReference(workload, 1, 6),
             other = SampleReference(workload, 2, 6);
  REQUIRE((first.ok() && again.ok() && other.ok()));
  bool differs = false;
  for (size_t i = 0; i < first->size(); ++i) {
    CHECK((*first)[i].index == (*again)[i].index);
    CHECK((*first)[i].value == (*again)[i].value);
    differs |= (*first)[i].index != (*other)[i].index;
  }
  CHECK(differs);
}

TEST_CASE("the reference program is row-major and passes the verifier", "[te]") {
  for (const OpSpec& spec : TestWorkloads()) {
    CAPTURE(spec.name);
    const Workload workload = Make(spec);
    const ir::Program program = ReferenceProgram(workload);
    REQUIRE(program.params.size() == workload.dag.inputs.size() + workload.dag.outputs.size());
    for (const ir::Buffer& param : program.params) CHECK(param->layout.empty());
    const absl::Status status = ir::Verify(program);
    INFO(status.ToString());
    CHECK(status.ok());
  }
}

TEST_CASE("test inputs stay in the range of their type", "[te]") {
  for (const ir::Type type : {ir::Int(8), ir::UInt(8), ir::Int(4), ir::UInt(1), ir::Float(16),
                              ir::BFloat16(), ir::Float(32)}) {
    CAPTURE(ir::ToString(type));
    const ir::Buffer buffer = ir::MakeBuffer("X", type, {3, 67});
    const std::vector<std::byte> bytes = TestInput(*buffer, 0, 7);
    REQUIRE(static_cast<int64_t>(bytes.size()) == buffer->StoredBytes());
    const double low = type.is_float() ? -1 : type.code == ir::TypeCode::kUInt ? 0 : -8;
    const double high = type.is_float()                    ? 1
                        : type.is_bool()                   ? 1
                        : type.code == ir::TypeCode::kUInt ? 15
                                                           : 7;
    std::set<double> seen;
    for (int64_t i = 0; i < 201; ++i) {
      const double value = ir::ReadElement(type, bytes, i);
      CHECK((value >= low && value <= high));
      seen.insert(value);
    }
    CHECK(seen.size() > 1);
  }
}

TEST_CASE("tolerance grows with the length of sums and is zero for integers", "[te]") {
  const auto tolerance = [](const std::string& k, const std::string& type) {
    return OutputTolerance(
        Make({"x", "matmul", {{"m", "2"}, {"n", "2"}, {"k", k}, {"dtype", type}}}).dag, 0);
  };
  CHECK(tolerance("4096", "f32").absolute > tolerance("64", "f32").absolute);
  CHECK(tolerance("4096", "f32").absolute < 1e-3);
  CHECK(tolerance("64", "f16").relative > tolerance("64", "f32").relative);
  CHECK(tolerance("64", "i8").absolute == 0);
  CHECK(tolerance("64", "i8").relative == 0);
  const Workload norm = Make({"n", "layer_norm", {{"m", "1"}, {"n", "1024"}}});
  CHECK(OutputTolerance(norm.dag, 0).absolute < 5e-4);
}

TEST_CASE("what TF32 rounds off counts where numbers have more bits than it holds", "[te]") {
  const auto tolerance = [](const std::string& operands, const std::string& product) {
    const auto workload = ParseWorkload(
        "workload p\n"
        "input A: f32[8,64]\n"
        "input B: f32[64,8]\n"
        "stage C: f32[x:8,y:64] = " +
        operands +
        "\n"
        "stage D: f32[m:8,n:8] = sum[k:64] (" +
        product +
        ")\n"
        "output D\n");
    INFO(workload.status());
    REQUIRE(workload.ok());
    return OutputTolerance(workload->dag, 0).absolute;
  };
  const std::string plain = "C[m, k] * B[k, n]", rounded = "tf32(C[m, k]) * tf32(B[k, n])";
  CHECK(tolerance("A[x, y]", rounded) == tolerance("A[x, y]", plain));
  const double exact = tolerance("exp(A[x, y])", plain);
  const double rough = tolerance("exp(A[x, y])", rounded);
  CHECK(rough > 10 * exact);
  CHECK(rough < 0.1);
  CHECK_FALSE(ParseWorkload("workload p\ninput A: f16[8]\nstage C: f16[x:8] = tf32(A[x])\n"
                            "output C\n")
                  .ok());
  const auto half = MakeWorkload(
      {"x", "matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}, {"dtype", "f16"}, {"tf32", "true"}}});
  CHECK_THAT(std::string(half.status().message()), Catch::Contains("tf32 is for dtype f32"));
}

TEST_CASE("an algorithm's error counts for the outputs that it feeds, at the stage that has it",
          "[te]") {
  const auto workload = ParseWorkload(
      "workload two\n"
      "input X: f32[64]\n"
      "input A: f32[32,64]\n"
      "stage sum: f32[m:32] = sum[n:64] (A[m, n] * X[n])\n"
      "stage fed: f32[m_1:32] = max(sum[m_1], 0.0)\n"
      "stage later: f32[m_2:32] = sum[j:32] (A[m_2, j] * fed[j])\n"
      "stage other: f32[m_3:32] = sum[i:64] (A[m_3, i] * A[0, i])\n"
      "output fed, later, other\n");
  INFO(workload.status());
  REQUIRE(workload.ok());
  const auto absolute = [&](int output, const ErrorFactors& factors) {
    return OutputTolerance(workload->dag, output, factors).absolute;
  };
  const ErrorFactors rewritten = {{"sum", 32}};
  CHECK(absolute(0, rewritten) == Approx(32 * absolute(0, {})));
  // What it does itself it does no worse.
  CHECK(absolute(1, rewritten) > 2 * absolute(1, {}));
  CHECK(absolute(1, rewritten) < 31 * absolute(1, {}));
  CHECK(absolute(2, rewritten) == absolute(2, {}));
}

TEST_CASE("a long sum of squares is within the tolerance in any order", "[te]") {
  const Workload norm = Make({"n", "norm2", {{"m", "1"}, {"n", "65536"}}});
  const std::vector<std::byte> bytes = TestInput(*norm.dag.inputs[0].buffer, 0, 1);
  const Tolerance tolerance = OutputTolerance(norm.dag, 0);
  const auto result = [&](int lanes) {
    std::vector<float> sums(lanes);
    for (int64_t i = 0; i < 65536; ++i) {
      const auto value = static_cast<float>(ir::ReadElement(ir::Float(32), bytes, i));
      sums[i % lanes] += value * value;
    }
    float sum = 0;
    for (const float part : sums) sum += part;
    return static_cast<double>(std::sqrt(sum));
  };
  for (const int lanes : {2, 8, 16, 128, 65536}) {
    CAPTURE(lanes, result(1), result(lanes));
    CHECK(std::abs(result(1) - result(lanes)) <=
          tolerance.absolute + tolerance.relative * result(1));
  }
  // Still far below what a wrong result would show.
  CHECK(tolerance.absolute < 0.003 * result(65536));
}

}  // namespace tessera::te
