#include "cli/model_source.h"

#include <fstream>
#include <map>
#include <set>

#include "tests/compiler/graph/run.h"
#include "tests/frontend/onnx/model.h"
#include "tests/support/temporary_directory.h"

namespace tessera::cli {

TEST_CASE("a model's tasks are those of the job's target", "[cli]") {
  JobFile file;
  file.name = "net";
  file.model.push_back(
      {{},
       graph::Parsed("graph net\ninput x: f32[1,16,32,32]\n"
                     "first = max_pool(x) kernel=[3,3]: f32[1,16,30,30]\n"
                     "second = max_pool(first) kernel=[3,3]: f32[1,16,28,28]\n"
                     "third = max_pool(second) kernel=[3,3]: f32[1,16,26,26]\n"
                     "mean = reduce_mean(third) axes=[2,3]: f32[1,16,1,1]\noutput mean\n")});
  const auto layout_of_second = [&](const char* target) {
    REQUIRE(PlanFor(file, ir::ParseTarget(target).value()).ok());
    REQUIRE(file.operators.size() == 4);
    CHECK(file.operators[1].spec.name == "second");
    const ir::BufferNode& made = *file.operators[1].workload.dag.outputs[0];
    return made.layout.empty() ? "" : ir::LayoutToString(made.layout, made.shape);
  };
  CHECK(layout_of_second("x86/avx512") == "0 1/16 2 3 1%16");
  CHECK(layout_of_second("x86/avx2") == "0 1/8 2 3 1%8");
  CHECK(layout_of_second("cuda/sm_80") == "");
  // As of the target that is named.
  file.layouts = ir::ParseTarget("x86/avx512").value();
  CHECK(layout_of_second("x86/avx2") == "0 1/16 2 3 1%16");
  for (const char* target : {"aarch64/neon", "opencl"}) {
    const absl::Status refused = PlanFor(file, ir::ParseTarget(target).value()).status();
    CHECK(absl::IsInvalidArgument(refused));
    CHECK_THAT(std::string(refused.message()), Catch::Contains("versions for CPUs of one kind"));
  }
  // What is no model has the operators that it names.
  JobFile other;
  CHECK(PlanFor(other, ir::ParseTarget("x86/avx2").value()).ok());
  CHECK(other.operators.empty());
}

namespace {

// A product of x[batch, sequence length, 8] with weights that are the same for all extents, and a
// softmax of z[batch, 8], which doesn't depend on the sequence.
std::string WriteOpenModel(const std::string& folder) {
  std::vector<double> weights(64);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 5) - 2;
  frontend::Model model;
  model.Input("x", {1, 1, 8}).Open(0, 0, "batch").Open(0, 1, "sequence length");
  model.Floats("w", {8, 8}, weights).Node("MatMul", {"x", "w"}, {"y"});
  model.Input("z", {1, 8}).Open(1, 0, "batch").Node("Softmax", {"z"}, {"soft"});
  model.Output("y").Output("soft");
  std::string path = folder + "/net.onnx";
  std::ofstream(path, std::ios::binary) << model.File();
  return path;
}

}  // namespace

TEST_CASE("several extents of a dimension make buckets with weights and tasks in common", "[cli]") {
  const test::TemporaryDirectory folder;
  OperatorSource source;
  source.file = WriteOpenModel(folder.path);
  source.dimensions = {"batch=2", "sequence length=4,16,8"};
  const auto file = ModelJob(source);
  INFO(file.status());
  REQUIRE(file.ok());
  REQUIRE(file->model.size() == 3);
  using Extents = std::vector<std::pair<std::string, int64_t>>;
  CHECK(file->model[1].extents == Extents{{"sequence_length", 16}});
  graph::TensorRef weights;
  for (const graph::Bucket& bucket : file->model) {
    CHECK(bucket.graph.nodes[bucket.graph.Inputs()[0]].type.shape[0] == 2);
    for (const graph::Node& node : bucket.graph.nodes) {
      if (!node.is_constant() || node.type.ElementCount() != 64) continue;
      if (weights == nullptr) weights = node.constant;
      CHECK(node.constant == weights);
    }
  }
  CHECK(weights != nullptr);
  // The softmax is one task of three times the weight, products are three.
  std::map<double, int> weighted;
  std::set<std::string> names;
  for (const JobOperator& op : file->operators) {
    weighted[op.weight] += 1;
    CHECK(names.insert(op.spec.name).second);
    CHECK(op.workload.name == op.spec.name);
  }
  CHECK(weighted[1] == 3);
  CHECK(weighted[3] >= 1);
  CHECK(weighted.size() == 2);
  // The same for a target.
  JobFile stored = *file;
  REQUIRE(PlanFor(stored, ir::ParseTarget("x86/avx2").value()).ok());
  CHECK(stored.stored.size() == 3);
  CHECK(stored.stored[2].extents == Extents{{"sequence_length", 8}});
}

TEST_CASE("extents that make no buckets are refused", "[cli]") {
  const test::TemporaryDirectory folder;
  const std::string path = WriteOpenModel(folder.path);
  const auto message = [&](const std::vector<std::string>& dimensions, const char* samples = "") {
    OperatorSource source;
    source.file = path;
    source.dimensions = dimensions;
    source.int8.samples = samples;
    const auto file = ModelJob(source);
    CHECK(absl::IsInvalidArgument(file.status()));
    return std::string(file.status().message());
  };
  CHECK_THAT(message({"batch=1", "sequence length=4,4"}), Catch::Contains("is there twice"));
  CHECK_THAT(message({"batch=1", "batch=2"}), Catch::Contains("batch has extents already"));
  CHECK_THAT(message({"batch=1,2,3", "sequence length=1,2,3,4,5,6"}),
             Catch::Contains("18 combinations of extents; 16 are the most"));
  CHECK_THAT(message({"batch=1,0"}), Catch::Contains("numbers from 1 on"));
  CHECK_THAT(message({"batch=1", "sequence length=4,8"}, "somewhere"),
             Catch::Contains("--int8 and several extents"));
  // What shows one plan takes one extent.
  OperatorSource source;
  source.file = path;
  source.dimensions = {"batch=1", "sequence length=4,8"};
  CHECK(absl::IsInvalidArgument(ReadGraph(source).status()));
  CHECK(absl::IsInvalidArgument(ReadForward(source).status()));
}

}  // namespace tessera::cli
