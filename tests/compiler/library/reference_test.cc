#include "compiler/library/reference.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "compiler/te/reference.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/model_fixture.h"

namespace tessera::library {
namespace {

// With a convolution whose border is padded, integers, and more elements than are kept.
const char* const kModel =
    "graph net\n"
    "input image: f32[1,2,9,9]\n"
    "input index: i32[3]\n"
    "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
    "const table: f32[4,2] = [1,2,3,4,5,6,7,8]\n"
    "conv = conv(image, w) before=[1,1] behind=[1,1]: f32[1,2,11,11]\n"
    "relu = relu(conv): f32[1,2,11,11]\n"
    "mean = reduce_mean(relu) axes=[2,3] keep=0: f32[1,2]\n"
    "rows = gather(table, index): f32[3,2]\n"
    "sum = add(rows, mean): f32[3,2]\n"
    "best = argmax(sum): i32[3,1]\n"
    "output relu\n"
    "output sum\n"
    "output best\n";

// Of the only bucket.
absl::StatusOr<ModelReference> MakeReference(const LibrarySpec& spec) {
  absl::StatusOr<std::vector<ModelReference>> references = MakeReferences(spec);
  if (!references.ok()) return references.status();
  REQUIRE(references->size() == 1);
  return std::move((*references)[0]);
}

// The same inputs for the graph's evaluator.
std::vector<graph::TensorRef> Inputs(const graph::Graph& graph, uint64_t seed) {
  std::vector<graph::TensorRef> inputs;
  for (const int node : graph.Inputs()) {
    ir::BufferNode buffer;
    buffer.type = graph.nodes[node].type.element;
    const auto& shape = graph.nodes[node].type.shape;
    buffer.shape.assign(shape.begin(), shape.end());
    auto tensor = std::make_shared<graph::Tensor>();
    tensor->type = graph.nodes[node].type;
    tensor->bytes = te::TestInput(buffer, static_cast<int>(inputs.size()), seed);
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace

TEST_CASE("a model's reference is what its graph computes, and stands in the manifest",
          "[library]") {
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const graph::Graph graph = graph::Parsed(kModel);
  const LibrarySpec spec = SpecOf(graph::MakePlan(graph).value());
  const auto reference = MakeReference(spec);
  INFO(reference.status());
  REQUIRE(reference.ok());
  REQUIRE(reference->why_missing.empty());
  const auto expected = graph::Outputs(graph, Inputs(graph, reference->seed));
  REQUIRE(reference->outputs.size() == expected.size());
  for (size_t o = 0; o < expected.size(); ++o) {
    const ModelReference::Output& output = reference->outputs[o];
    CAPTURE(o);
    REQUIRE(output.elements.size() == std::min<size_t>(64, expected[o].size()));
    REQUIRE(output.values.size() == output.elements.size());
    double largest = 0;
    for (const double value : expected[o]) largest = std::max(largest, std::abs(value));
    CHECK(output.largest == Approx(largest));
    CHECK(output.elements.front() == 0);
    CHECK(output.elements.back() == static_cast<int64_t>(expected[o].size()) - 1);
    for (size_t i = 0; i < output.elements.size(); ++i) {
      CHECK(output.values[i] ==
            Approx(expected[o][static_cast<size_t>(output.elements[i])]).margin(1e-5));
    }
  }
  CHECK(reference->outputs[0].tolerance > 0);
  CHECK(reference->outputs[2].tolerance == 0);
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const auto json = nlohmann::json::parse(files->manifest())["reference"];
  CHECK(json["seed"] == reference->seed);
  CHECK(json["made_by"] == "default schedules for x86/sse4.2 threads=1");
  REQUIRE(json["outputs"].size() == expected.size());
  CHECK(json["outputs"][1]["values"] == reference->outputs[1].values);
  CHECK(json["outputs"][1]["elements"] == reference->outputs[1].elements);
}

TEST_CASE("a reference does not depend on what the library's operators run", "[library]") {
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const graph::Plan plan = graph::MakePlan(graph::Parsed(kModel)).value();
  const auto here = MakeReference(SpecOf(plan));
  const auto there = MakeReference(SpecOf(plan, {"aarch64/neon threads=4"}));
  REQUIRE(here.ok());
  REQUIRE(there.ok());
  for (size_t o = 0; o < here->outputs.size(); ++o) {
    CHECK(here->outputs[o].values == there->outputs[o].values);
  }
}

TEST_CASE("models that take too long, or compute what is no number, have no reference",
          "[library]") {
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const graph::Plan large = graph::MakePlan(graph::Parsed("graph net\n"
                                                          "input a: f32[4096,4096]\n"
                                                          "input b: f32[4096,4096]\n"
                                                          "c = matmul(a, b): f32[4096,4096]\n"
                                                          "output c\n"))
                                .value();
  const auto none = MakeReference(SpecOf(large));
  REQUIRE(none.ok());
  CHECK_THAT(none->why_missing, Catch::Contains("operations, more than 68719476736"));
  const graph::Plan prepared =
      graph::MakePlan(graph::Parsed("graph net\ninput a: f32[2]\n"
                                    "const w: f32[2,3] = [1,2,3,4,5,6]\nconst b: f32[2] = [1,2]\n"
                                    "s = reduce_sum(w) axes=[1] keep=0: f32[2]\n"
                                    "t = add(s, b): f32[2]\nc = add(a, t): f32[2]\noutput c\n"))
          .value();
  const auto by_create = MakeReference(SpecOf(prepared));
  INFO(by_create.status());
  REQUIRE(by_create.ok());
  CHECK(by_create->why_missing ==
        "a kernel computes from constants alone, when a model is created");
  const graph::Plan infinite = graph::MakePlan(graph::Parsed("graph net\n"
                                                             "input a: f32[100]\n"
                                                             "c = log(a): f32[100]\n"
                                                             "output c\n"))
                                   .value();
  const auto files = BuildLibrary(SpecOf(infinite));
  INFO(files.status());
  REQUIRE(files.ok());
  CHECK(nlohmann::json::parse(files->manifest())["reference"]["missing"] == "c is not finite");
}

// Prints figures.
TEST_CASE("how long references take", "[.][measure]") {
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  for (const char* text : {"graph net\n"
                           "input a: f32[2048,2048]\n"
                           "input b: f32[2048,2048]\n"
                           "c = matmul(a, b): f32[2048,2048]\n"
                           "output c\n",
                           "graph net\n"
                           "input x: f32[8,128,56,56]\n"
                           "input w: f32[128,128,3,3]\n"
                           "y = conv(x, w) before=[1,1] behind=[1,1]: f32[8,128,56,56]\n"
                           "output y\n"}) {
    const LibrarySpec spec = SpecOf(graph::MakePlan(graph::Parsed(text)).value());
    const auto begin = std::chrono::steady_clock::now();
    const auto reference = MakeReference(spec);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    REQUIRE(reference.ok());
    REQUIRE(reference->why_missing.empty());
    WARN(te::ExecutedOperations(spec.ops[0].workload.dag)
         << " operations: " << seconds.count() << " s");
  }
}

}  // namespace tessera::library
