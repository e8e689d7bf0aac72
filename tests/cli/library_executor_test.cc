#include "cli/library_executor.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/quantized_model.h"
#include "cli/samples.h"
#include "compiler/graph/accuracy.h"
#include "compiler/graph/calibrate.h"
#include "tests/cli/fake_client.h"
#include "tests/compiler/graph/run.h"
#include "tests/support/captured_stderr.h"
#include "tests/support/temporary_directory.h"
#include "worker/builder/compile.h"

namespace tessera::cli {
namespace {

// A server with a builder in this process.
class BuildingClient : public FakeClient {
 public:
  absl::StatusOr<std::vector<std::string>> FindMissing(
      const std::vector<std::string>& digests) override {
    std::vector<std::string> missing;
    for (const std::string& digest : digests) {
      if (!artifacts_.contains(digest)) missing.push_back(digest);
    }
    return missing;
  }
  absl::Status Upload(const std::string& digest, const std::string& bytes) override {
    artifacts_[digest] = bytes;
    return absl::OkStatus();
  }
  absl::StatusOr<db::Selection> CreateSelection(const db::Selection& selection,
                                                const std::string& allowed) override {
    CHECK(allowed.empty());
    selection_ = selection;
    selection_.id = ++selections;
    return selection_;
  }
  absl::StatusOr<std::vector<BuiltFile>> BuildLibrary(const LibraryOrder& order) override {
    CHECK(order.selection == selections);
    std::vector<std::string> artifacts{artifacts_.at(selection_.model->graph)};
    for (const std::string& digest : selection_.model->constants) {
      artifacts.push_back(artifacts_.at(digest));
    }
    const auto compiled =
        builder::CompileLibrary({.name = order.name, .selection = selection_}, artifacts);
    if (!compiled.output.error.empty()) {
      return absl::FailedPreconditionError(compiled.output.error);
    }
    std::vector<BuiltFile> files;
    for (const auto& [name, bytes] : compiled.output.files) {
      files.push_back(
          {name, name.ends_with(".so") && !shared_object.empty() ? shared_object : bytes});
      if (change && name == "manifest.json") {
        nlohmann::json manifest = nlohmann::json::parse(bytes);
        change(manifest);
        files.back().bytes = manifest.dump();
      }
    }
    return files;
  }

  int64_t selections = 0;
  std::string shared_object;  // in the place of the built one; empty: none
  std::function<void(nlohmann::json& manifest)> change;

 private:
  std::map<std::string, std::string> artifacts_;
  db::Selection selection_;
};

graph::Executor ExecutorOf(BuildingClient& client) {
  return LibraryExecutor([&client]() -> absl::StatusOr<Client*> { return &client; });
}

// A convolution with its activation, a sum, what is moved and what stays floats; 70 layers behind
// have more outputs than a function of a library could have parameters.
std::string NetText(int layers) {
  std::string text =
      "graph net\n"
      "input x: f32[1,2,8,8]\n"
      "input shift: f32[1,2,1,1]\n"
      "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
      "const v: f32[2,2,1,1] = [0.5,0.25,-1,0.75]\n"
      "const turn: f32[2,2,1,1] = [1,-0.75,0.75,1]\n"
      "conv = conv(x, w): f32[1,2,8,8]\n"
      "relu = relu(conv): f32[1,2,8,8]\n"
      "second = conv(relu, v): f32[1,2,8,8]\n"
      "sum = add(second, relu): f32[1,2,8,8]\n"
      "shifted = add(sum, shift): f32[1,2,8,8]\n"
      "pool = max_pool(shifted) kernel=[2,2] strides=[2,2]: f32[1,2,4,4]\n";
  std::string last = "pool";
  for (int i = 0; i < layers; ++i) {
    absl::StrAppend(&text, "c", i, " = conv(", last, ", turn): f32[1,2,4,4]\n");
    absl::StrAppend(&text, "t", i, " = tanh(c", i, "): f32[1,2,4,4]\n");
    last = absl::StrCat("t", i);
  }
  absl::StrAppend(&text, "mean = reduce_mean(", last, ") axes=[2,3] keep=0: f32[1,2]\n",
                  "output mean\noutput pool\n");
  return text;
}

void CheckAlike(absl::Span<const graph::ValueError> built,
                absl::Span<const graph::ValueError> expected) {
  REQUIRE(built.size() == expected.size());
  for (size_t i = 0; i < built.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(built[i].name == expected[i].name);
    CHECK(built[i].snr_db == Approx(expected[i].snr_db).margin(0.1));
    CHECK(built[i].largest == Approx(expected[i].largest).epsilon(1e-5));
    CHECK(built[i].largest_error == Approx(expected[i].largest_error).epsilon(0.02));
  }
}

}  // namespace

TEST_CASE("built libraries tell the ranges and the accuracy that the interpreter tells", "[cli]") {
  const test::CapturedStderr captured;
  const int layers = GENERATE(0, 70);
  const graph::Graph net = graph::Parsed(NetText(layers));
  std::vector<graph::Sample> samples;
  for (const uint64_t seed : {1, 2, 3}) samples.push_back(graph::SomeInputs(net, seed));
  for (const auto method : {graph::RangeMethod::kLargest, graph::RangeMethod::kPercentile,
                            graph::RangeMethod::kEntropy}) {
    BuildingClient client;
    const graph::Executor executor = ExecutorOf(client);
    const auto built = graph::Calibrate(net, samples, {.method = method}, executor);
    INFO(built.status());
    REQUIRE(built.ok());
    CHECK(client.selections == 1);
    const auto expected = graph::Calibrate(net, samples, {.method = method});
    REQUIRE(expected.ok());
    REQUIRE(built->size() == expected->size());
    for (size_t i = 0; i < built->size(); ++i) {
      CAPTURE(net.nodes[i].name);
      CHECK((*built)[i] == Approx((*expected)[i]).epsilon(1e-4));
    }
    const auto quantized = graph::Quantize(net, *expected);
    REQUIRE(quantized.ok());
    const auto accuracy = graph::MeasureAccuracy(net, *quantized, samples, executor);
    INFO(accuracy.status());
    REQUIRE(accuracy.ok());
    CHECK(client.selections == 2);  // the floats' library was there
    const auto oracle = graph::MeasureAccuracy(net, *quantized, samples);
    REQUIRE(oracle.ok());
    CheckAlike(accuracy->outputs, oracle->outputs);
    CheckAlike(accuracy->products, oracle->products);
    REQUIRE(accuracy->products.size() > 1);
  }
}

TEST_CASE("outputs that nothing computes, and those that are there twice, are told", "[cli]") {
  const test::CapturedStderr captured;
  const graph::Graph graph = graph::Parsed(
      "graph g\ninput x: f32[3]\ninput n: i32[2]\nconst c: f32[3] = [1,2,3]\n"
      "sum = add(x, c): f32[3]\nview = reshape(sum) shape=[1,3]: f32[1,3]\n"
      "output n\noutput view\noutput sum\noutput c\noutput sum\n");
  BuildingClient client;
  const auto run = ExecutorOf(client)(graph);
  INFO(run.status());
  REQUIRE(run.ok());
  for (const uint64_t seed : {1, 2}) {
    const auto inputs = graph::SomeInputs(graph, seed);
    const auto values = (*run)(inputs);
    INFO(values.status());
    REQUIRE(values.ok());
    const auto expected = graph::Evaluate(graph, inputs);
    REQUIRE(values->size() == 5);
    for (size_t o = 0; o < 5; ++o) {
      CHECK((*values)[o]->type == (*expected)[o]->type);
      CHECK((*values)[o]->bytes == (*expected)[o]->bytes);
    }
  }
  // Nothing to build.
  const auto known = ExecutorOf(client)(
      graph::Parsed("graph g\ninput x: f32[1]\nconst c: f32[1] = [2]\noutput c\noutput x\n"));
  REQUIRE(known.ok());
  const auto x = graph::MakeTensor(ir::Float(32), {1}, std::vector<double>{5});
  CHECK((*known)({{x}}).value()[0]->At(0) == 2);
  CHECK((*known)({{x}}).value()[1] == x);
  CHECK(client.selections == 1);
}

TEST_CASE("what a library of samples does wrong is told, and is no fault of the user's", "[cli]") {
  const test::CapturedStderr captured;
  const graph::Graph graph =
      graph::Parsed("graph g\ninput x: f32[3]\nr = relu(x): f32[3]\noutput r\n");
  BuildingClient client;
  client.shared_object = "no library";
  const absl::Status wrong = ExecutorOf(client)(graph).status();
  CHECK(absl::IsInternal(wrong));
  CHECK_THAT(std::string(wrong.message()), Catch::Contains("it can't be loaded: "));
  const absl::Status gone = LibraryExecutor([]() -> absl::StatusOr<Client*> {
                              return absl::UnavailableError("gone");
                            })(graph)
                                .status();
  CHECK(absl::IsUnavailable(gone));
}

TEST_CASE("a manifest of other outputs than the graph's is refused", "[cli]") {
  const test::CapturedStderr captured;
  const graph::Graph graph = graph::Parsed(
      "graph g\ninput x: f32[3]\nr = relu(x): f32[3]\nt = tanh(x): f32[3]\noutput r\noutput t\n");
  BuildingClient client;
  const auto refusal = [&](std::function<void(nlohmann::json & outputs)> change) {
    client.change = std::move(change);
    const absl::Status status = ExecutorOf(client)(graph).status();
    CHECK(absl::IsInternal(status));
    return std::string(status.message());
  };
  CHECK_THAT(refusal([](nlohmann::json& manifest) {
               manifest["model"]["outputs"].erase(1);
               manifest["reference"]["outputs"].erase(1);
             }),
             Catch::Contains("has 1 outputs, its graph 2"));
  CHECK_THAT(refusal([](nlohmann::json& manifest) {
               nlohmann::json& output = manifest["model"]["outputs"][0];
               output["shape"] = {4};
               output["bytes"] = 16;
             }),
             Catch::Contains("has 16 bytes, the graph's 12"));
}

TEST_CASE("a folder of samples quantises a model by one library, and a second compares it",
          "[cli]") {
  const test::TemporaryDirectory folder;
  const graph::Graph net = graph::Parsed(NetText(2));
  for (const uint64_t seed : {1, 2, 3}) {
    const graph::Sample sample = graph::SomeInputs(net, seed);
    const std::string path = absl::StrCat(folder.path, "/", seed);
    std::filesystem::create_directories(path);
    for (size_t i = 0; i < sample.size(); ++i) {
      const std::string& name = net.nodes[net.Inputs()[i]].name;
      std::ofstream(path + "/" + name + ".raw", std::ios::binary)
          .write(reinterpret_cast<const char*>(sample[i]->bytes.data()),
                 static_cast<std::streamsize>(sample[i]->bytes.size()));
    }
  }
  const QuantizationSource source{.samples = folder.path, .ranges = "largest", .keep = {"c0"}};
  const test::CapturedStderr captured;
  BuildingClient client;
  const graph::Executor executor = ExecutorOf(client);
  const auto model = CalibrateModel(net, source, executor);
  INFO(model.status());
  REQUIRE(model.ok());
  const auto quantized = QuantizeFor(*model, nullptr);
  REQUIRE(quantized.ok());
  CHECK(quantized->floats == std::vector<std::string>{"c0"});
  const auto interpreted = CalibrateModel(net, source, graph::Interpreted);
  REQUIRE(interpreted.ok());
  const auto expected_model = QuantizeFor(*interpreted, nullptr);
  REQUIRE(expected_model.ok());
  REQUIRE(model->samples.size() == 3);
  for (size_t s = 0; s < 3; ++s) {
    REQUIRE(model->samples[s].outputs.size() == 2);
    for (size_t o = 0; o < 2; ++o) {
      const graph::Tensor& expected = *interpreted->samples[s].outputs[o];
      for (int64_t i = 0; i < expected.type.ElementCount(); ++i) {
        CHECK(model->samples[s].outputs[o]->At(i) == Approx(expected.At(i)).margin(1e-5));
      }
    }
  }
  REQUIRE(quantized->products.size() == expected_model->products.size());
  for (size_t p = 0; p < quantized->products.size(); ++p) {
    CHECK(quantized->products[p].name == expected_model->products[p].name);
    CHECK(quantized->products[p].scale == Approx(expected_model->products[p].scale).epsilon(1e-5));
  }
  const auto accuracy = MeasureModel(*model, *quantized, executor);
  INFO(accuracy.status());
  REQUIRE(accuracy.ok());
  CHECK(accuracy->samples == 3);
  CHECK(client.selections == 2);
  CHECK_THAT(captured.Text(), Catch::Contains("building what runs the samples: "));
  CHECK_THAT(captured.Text(), Catch::Contains("samples calibrated: 3 of 3\n"));
  CHECK_THAT(captured.Text(), Catch::Contains("runs compared: 6 of 6\n"));
}

}  // namespace tessera::cli
