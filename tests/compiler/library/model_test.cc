#include "compiler/library/model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/hash.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/layouts.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"
#include "tests/compiler/graph/random_net.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/elf.h"
#include "tests/compiler/library/loaded.h"
#include "tests/compiler/library/model_fixture.h"

namespace tessera::library {
namespace {

// A residual block with a head, of two convolutions that are one task.
const char* const kModel =
    "graph net\n"
    "input image: f32[1,2,5,5]\n"
    "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
    "const v: f32[2,2,1,1] = [0.5,1,-1,0.125]\n"
    "const b: f32[2] = [0.5,-0.5]\n"
    "const fc: f32[3,2] = [1,2,3,4,5,6]\n"
    "one = conv(image, w, b): f32[1,2,5,5]\n"
    "one_relu = relu(one): f32[1,2,5,5]\n"
    "mid = conv(one_relu, v, b): f32[1,2,5,5]\n"
    "mid_relu = relu(mid): f32[1,2,5,5]\n"
    "two = conv(mid_relu, w, b): f32[1,2,5,5]\n"
    "two_relu = relu(two): f32[1,2,5,5]\n"
    "sum = add(two_relu, image): f32[1,2,5,5]\n"
    "mean = reduce_mean(sum) axes=[2,3] keep=0: f32[1,2]\n"
    "scores = matmul(mean, fc) transpose_b=1: f32[1,3]\n"
    "softmax = softmax(scores): f32[1,3]\n"
    "output softmax\n"
    "output sum\n";

struct Net;  // as the header has it
using Create = int (*)(Net**);
using Run = int (*)(const Net*, const float*, float*, float*, void*);
using Destroy = void (*)(Net*);

}  // namespace

TEST_CASE("libraries of models in blocks of channels compute what graphs do", "[library]") {
  using RunNet =
      int (*)(const Net*, const float*, const float*, float*, float*, void*);  // of RandomNet
  const uint64_t seed = 23;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int blocked = 0;
  for (uint64_t i = 0; i < 6; ++i) {
    const graph::Graph graph = graph::RandomNet(random, 24);
    INFO(graph::Print(graph));
    // Blocks wherever they can be.
    const auto plan =
        graph::PlanModel(graph, ir::X86Target("sse4.2").value(), [](const te::Workload& workload) {
          return std::optional(workload.dag.outputs[0]->layout.empty() ? 2.0 : 1.0);
        });
    REQUIRE(plan.ok());
    for (const graph::Task& task : plan->tasks) {
      blocked += task.workload.dag.outputs[0]->layout.empty() ? 0 : 1;
    }
    const absl::StatusOr<LibraryFiles> files = BuildLibrary(SpecOf(*plan));
    INFO(files.status().ToString());
    REQUIRE(files.ok());
    const Library library(files->shared_object());
    Net* net = nullptr;
    REQUIRE(library.Find<Create>("net_create")(&net) == 0);
    const std::vector<graph::TensorRef> inputs = graph::SomeInputs(graph, seed + i);
    const auto expected = graph::Outputs(graph, inputs);
    const Aligned x(inputs[0]->bytes.size()), y(inputs[1]->bytes.size());
    const Aligned first(expected[0].size() * 4), second(expected[1].size() * 4);
    const Aligned workspace(library.Find<size_t (*)()>("net_workspace_bytes")());
    std::memcpy(x.data, inputs[0]->bytes.data(), x.bytes);
    std::memcpy(y.data, inputs[1]->bytes.data(), y.bytes);
    REQUIRE(library.Find<RunNet>("net_run")(net, x.data, y.data, first.data, second.data,
                                            workspace.data) == 0);
    const float* const actual[] = {first.data, second.data};
    for (size_t o = 0; o < 2; ++o) {
      for (size_t e = 0; e < expected[o].size(); ++e) {
        CAPTURE(o, e);
        CHECK(actual[o][e] == Approx(expected[o][e]).margin(1e-4));
      }
    }
    library.Find<Destroy>("net_destroy")(net);
  }
  CHECK(blocked > 3);
}

TEST_CASE("a model's library computes what its graph does", "[library]") {
  const graph::Graph graph = graph::Parsed(kModel);
  const graph::Plan plan = *graph::MakePlan(graph);
  const absl::StatusOr<LibraryFiles> files = BuildLibrary(SpecOf(plan));
  INFO(files.status().ToString());
  REQUIRE(files.ok());
  CHECK(files->header().find("int net_run(const net* model, const float* image, float* softmax, "
                             "float* sum, void* workspace);") != std::string::npos);
  const auto manifest = nlohmann::json::parse(files->manifest());
  const auto& described = manifest["model"];
  CHECK(described["name"] == "net");
  CHECK(described["graph_digest"] == Sha256Hex(graph::Print(plan.graph)));
  CHECK(described["inputs"] == nlohmann::json::parse(R"([{"name": "image", "model_name": "image",
      "type": "f32", "shape": [1, 2, 5, 5], "layout": "row-major", "bytes": 200}])"));
  REQUIRE(described["outputs"].size() == 2);
  CHECK(described["outputs"][0]["name"] == "softmax");
  CHECK(described["outputs"][1]["bytes"] == 200);
  REQUIRE(described["steps"].size() == plan.steps.size());
  CHECK(described["steps"][0]["op"] == manifest["ops"][0]["name"]);
  CHECK(described["steps"][0]["inputs"][0] == nlohmann::json{{"tensor", "image"}});
  CHECK(described["steps"][0]["inputs"][1] == nlohmann::json{{"constant", 0}});
  CHECK(manifest["ops"].size() == plan.tasks.size());
  CHECK(plan.tasks.size() < plan.steps.size());
  for (const std::string& needed : Needed(files->shared_object())) {
    CHECK((needed == "libc.so.6" || needed == "libm.so.6"));
  }

  const Library library(files->shared_object());
  Net* net = nullptr;
  REQUIRE(library.Find<Create>("net_create")(&net) == 0);
  const size_t workspace_bytes = library.Find<size_t (*)()>("net_workspace_bytes")();
  CHECK(workspace_bytes >= static_cast<size_t>(plan.arena_bytes));
  CHECK(workspace_bytes == described["workspace_bytes"].get<size_t>());
  const auto run = library.Find<Run>("net_run");
  const uint64_t seed = 5;
  CAPTURE(seed);
  // Threads share the model, each on its own workspace.
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> softmax(4), sum(4);
  std::vector<int> results(4, -1);
  for (size_t t = 0; t < softmax.size(); ++t) {
    const std::vector<graph::TensorRef> inputs = graph::SomeInputs(graph, seed + t);
    threads.emplace_back([&, t, inputs] {
      const Aligned image(200), out_softmax(12), out_sum(200), workspace(workspace_bytes);
      std::memcpy(image.data, inputs[0]->bytes.data(), 200);
      for (int i = 0; i < 20; ++i) {
        results[t] = run(net, image.data, out_softmax.data, out_sum.data, workspace.data);
      }
      softmax[t].assign(out_softmax.data, out_softmax.data + 3);
      sum[t].assign(out_sum.data, out_sum.data + 50);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < softmax.size(); ++t) {
    CAPTURE(t);
    REQUIRE(results[t] == 0);
    const auto expected = graph::Outputs(graph, graph::SomeInputs(graph, seed + t));
    for (size_t i = 0; i < 3; ++i) CHECK(softmax[t][i] == Approx(expected[0][i]).margin(1e-5));
    for (size_t i = 0; i < 50; ++i) CHECK(sum[t][i] == Approx(expected[1][i]).margin(1e-5));
  }
  // More threads than the workspace has room for.
  REQUIRE(library.Find<int (*)(int)>("tessera_net_set_threads")(7) == 0);
  {
    const std::vector<graph::TensorRef> inputs = graph::SomeInputs(graph, seed);
    const Aligned image(200), out_softmax(12), out_sum(200), workspace(workspace_bytes);
    std::memcpy(image.data, inputs[0]->bytes.data(), 200);
    REQUIRE(run(net, image.data, out_softmax.data, out_sum.data, workspace.data) == 0);
    CHECK(std::equal(softmax[0].begin(), softmax[0].end(), out_softmax.data));
    CHECK(std::equal(sum[0].begin(), sum[0].end(), out_sum.data));
  }
  {
    const auto timed =
        library.Find<int (*)(const Net*, void* const*, void*, double*)>("net_run_timed");
    const std::vector<graph::TensorRef> inputs = graph::SomeInputs(graph, seed);
    const Aligned image(200), out_softmax(12), out_sum(200), workspace(workspace_bytes);
    std::memcpy(image.data, inputs[0]->bytes.data(), 200);
    void* const tensors[] = {image.data, out_softmax.data, out_sum.data};
    std::vector<double> seconds(plan.steps.size(), 1);
    REQUIRE(timed(net, tensors, workspace.data, seconds.data()) == 0);
    CHECK(std::equal(sum[0].begin(), sum[0].end(), out_sum.data));
    for (const double second : seconds) {
      CHECK(second > 1);  // added to what was there
      CHECK(second < 10);
    }
    CHECK(timed(net, tensors, workspace.data, nullptr) == 0);
    CHECK(timed(net, nullptr, workspace.data, nullptr) == 1);
    CHECK(timed(net, tensors, nullptr, nullptr) == 1);
    CHECK(files->header().find(absl::StrCat("#define net_STEPS ", seconds.size(), "\n")) !=
          std::string::npos);
  }
  const Aligned tensor(200);
  CHECK(run(nullptr, tensor.data, tensor.data, tensor.data, tensor.data) == 1);
  CHECK(run(net, nullptr, tensor.data, tensor.data, tensor.data) == 1);
  CHECK(run(net, tensor.data + 1, tensor.data, tensor.data, tensor.data) == 2);
  library.Find<Destroy>("net_destroy")(net);
  library.Find<Destroy>("net_destroy")(nullptr);
}

TEST_CASE("steps of the same weights share them packed", "[library]") {
  // As a recurrent layer is: a product by the same matrix again and again.
  const int64_t width = 256, times = 32;
  const int64_t bytes = width * width * 4;
  graph::GraphBuilder builder("again");
  const ir::Type type = ir::Float(32);
  const std::vector<double> small(static_cast<size_t>(width * width), 1.0 / width);
  int x = builder.Input("x", {type, {1, width}, {}}).value();
  const int w = builder.Constant("w", graph::MakeTensor(type, {width, width}, small)).value();
  for (int64_t i = 0; i < times; ++i) x = builder.Add("matmul", {x, w}).value();
  const graph::Plan plan = *graph::MakePlan(std::move(builder).Finish({x}));
  REQUIRE(plan.steps.size() == static_cast<size_t>(times));
  const absl::StatusOr<LibraryFiles> files = BuildLibrary(SpecOf(plan));
  INFO(files.status().ToString());
  REQUIRE(files.ok());
  CHECK(static_cast<int64_t>(files->shared_object().size()) < 4 * bytes);
  const Library library(files->shared_object());
  Net* net = nullptr;
  REQUIRE(library.Find<Create>("net_create")(&net) == 0);
  const Aligned in(width * 4), out(width * 4);
  const Aligned workspace(library.Find<size_t (*)()>("net_workspace_bytes")() + 1);
  std::fill_n(in.data, width, 3.0f);
  using RunOne = int (*)(const Net*, const float*, float*, void*);
  REQUIRE(library.Find<RunOne>("net_run")(net, in.data, out.data, workspace.data) == 0);
  for (int64_t i = 0; i < width; ++i) CHECK(out.data[i] == Approx(3).margin(1e-4));
  library.Find<Destroy>("net_destroy")(net);
}

TEST_CASE("the same model gives the same bytes, of which the manifest has the digests",
          "[library]") {
  const graph::Plan plan = *graph::MakePlan(graph::Parsed(kModel));
  const auto files = BuildLibrary(SpecOf(plan)), again = BuildLibrary(SpecOf(plan));
  REQUIRE(files.ok());
  REQUIRE(again.ok());
  REQUIRE(again->files.size() == files->files.size());
  std::map<std::string, std::string> digests;
  const auto manifest = nlohmann::json::parse(files->manifest());
  for (const auto& file : manifest["files"]) {
    digests[file["name"]] = file["sha256"];
  }
  for (size_t i = 0; i < files->files.size(); ++i) {
    const LibraryFile& file = files->files[i];
    CAPTURE(file.name);
    CHECK(again->files[i].name == file.name);
    CHECK(again->files[i].bytes == file.bytes);
    CHECK(files->Find(file.name) == &file.bytes);
    if (file.name != "manifest.json") CHECK(digests[file.name] == Sha256Hex(file.bytes));
  }
  CHECK(digests.size() == files->files.size() - 1);
  CHECK(files->Find("nothing") == nullptr);
}

TEST_CASE("a model that names what is not there is refused", "[library]") {
  const graph::Plan plan = *graph::MakePlan(graph::Parsed(kModel));
  LibrarySpec spec = SpecOf(plan);
  spec.model->buckets[0].steps[1].op = 17;
  CHECK(BuildLibrary(spec).status().message().find("step 1 runs operator 17 of") !=
        std::string::npos);
  spec = SpecOf(plan);
  spec.model->buckets[0].steps[0].output.at = 1 << 20;
  CHECK(BuildLibrary(spec).status().message().find("at place 1048576, where there are 0") !=
        std::string::npos);
  spec = SpecOf(plan);
  spec.model->buckets[0].steps[0].inputs.push_back({});
  CHECK(BuildLibrary(spec).status().message().find("inputs and one output") != std::string::npos);
  spec = SpecOf(plan);
  spec.model->buckets[0].steps[0].inputs[1] = {ModelPlace::Kind::kArena, 0};
  CHECK(BuildLibrary(spec).status().message().find("is a constant of its operator") !=
        std::string::npos);
  spec = SpecOf(plan);
  spec.model->buckets[0].steps[0].output = {ModelPlace::Kind::kArena, 8};
  CHECK(BuildLibrary(spec).status().message().find("aligned to 64") != std::string::npos);
  spec = SpecOf(plan);
  spec.model->constants.resize(64);
  CHECK(BuildLibrary(spec).status().message().find("where there are") != std::string::npos);
}

}  // namespace tessera::library
