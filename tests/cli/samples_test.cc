#include "cli/samples.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cli/model_source.h"
#include "cli/quantized_model.h"
#include "compiler/graph/text.h"
#include "tests/support/temporary_directory.h"

namespace tessera::cli {
namespace {

template <typename Number>
std::string Bytes(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

// As numpy.save writes it, version 1 or 2.
std::string Npy(const std::string& descr, const std::string& shape, const std::string& elements,
                int version = 1, const std::string& order = "False") {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  while ((header.size() + 13) % 64 != 0) header += ' ';
  header += '\n';
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    file += static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  return file + header + elements;
}

const graph::TensorType kType{ir::Float(32), {1, 2, 2}, {}};

std::vector<double> Numbers(std::string_view name, const std::string& bytes) {
  const auto tensor = ParseSample(name, bytes, kType);
  INFO(tensor.status().ToString());
  REQUIRE(tensor.ok());
  CHECK((*tensor)->type == kType);
  std::vector<double> numbers;
  for (int64_t i = 0; i < 4; ++i) numbers.push_back((*tensor)->At(i));
  return numbers;
}

std::string Refusal(std::string_view name, const std::string& bytes) {
  const auto tensor = ParseSample(name, bytes, kType);
  REQUIRE(!tensor.ok());
  return std::string(tensor.status().message());
}

graph::Graph GraphOf(const std::string& text) {
  const auto graph =
      graph::ParseGraph(text, [](const std::string&) { return absl::NotFoundError("none"); });
  INFO(graph.status().ToString());
  REQUIRE(graph.ok());
  return *graph;
}

void Write(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

TEST_CASE("samples are files of NumPy, or bytes", "[cli]") {
  const std::vector<float> floats{1.5F, -2, 0, 3};
  CHECK(Numbers("a.raw", Bytes(floats)) == std::vector<double>{1.5, -2, 0, 3});
  CHECK(Numbers("a.npy", Npy("<f4", "(1, 2, 2)", Bytes(floats))) ==
        std::vector<double>{1.5, -2, 0, 3});
  CHECK(Numbers("a.npy", Npy("<f8", "(2, 2)", Bytes<double>({1, 2, 3, 4.5}), 2)) ==
        std::vector<double>{1, 2, 3, 4.5});
  CHECK(Numbers("a.npy", Npy("|u1", "(2, 1, 2)", Bytes<uint8_t>({0, 1, 128, 255}))) ==
        std::vector<double>{0, 1, 128, 255});
  CHECK(Numbers("a.npy", Npy("<i8", "(2, 2)", Bytes<int64_t>({-1, 0, 1, 2}), 3)) ==
        std::vector<double>{-1, 0, 1, 2});
}

TEST_CASE("samples of another shape or kind are refused with the reason", "[cli]") {
  const std::string four = Bytes<float>({1, 2, 3, 4});
  CHECK(Refusal("a.raw", four + "x").find("has 17 bytes; f32[1,2,2] takes 16") !=
        std::string::npos);
  CHECK(Refusal("a.npy", four).find("no file of NumPy") != std::string::npos);
  CHECK(Refusal("a.npy", Npy("<f4", "(4,)", four)).find("is f32[4]; the input is f32[1,2,2]") !=
        std::string::npos);
  CHECK(Refusal("a.npy", Npy("<f4", "(2, 2)", four + "x")).find("has 17 bytes of numbers") !=
        std::string::npos);
  CHECK(Refusal("a.npy", Npy(">f4", "(2, 2)", four)).find("numbers of \">f4\"") !=
        std::string::npos);
  CHECK(Refusal("a.npy", Npy("<f4", "(2, 2)", four, 1, "True")).find("Fortran") !=
        std::string::npos);
  CHECK(Refusal("a.npy", Npy("<f4", "(2, two)", four)).find("\"two\" for an extent") !=
        std::string::npos);
  CHECK(Refusal("a.npy", Npy("<f4", "(2, 2)", four).substr(0, 20)).find("within its header") !=
        std::string::npos);
  // Every file that is cut short or has a byte changed is answered.
  const std::string whole = Npy("<f4", "(2, 2)", four);
  for (size_t i = 0; i < whole.size(); ++i) {
    CHECK(!ParseSample("a.npy", whole.substr(0, i), kType).ok());
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    (void)ParseSample("a.npy", changed, kType).status();
  }
}

TEST_CASE("a folder has a file for each sample, or a folder with one for each input", "[cli]") {
  const test::TemporaryDirectory folder;
  const graph::Graph one = GraphOf("graph g\ninput x: f32[2]\nr = relu(x): f32[2]\noutput r\n");
  CHECK(ReadSamples(folder.path, one).status().message().find("has 0 files") != std::string::npos);
  CHECK(!ReadSamples(folder.path + "/none", one).ok());
  Write(folder.path + "/b.raw", Bytes<float>({3, 4}));
  Write(folder.path + "/a.npy", Npy("<f4", "(2,)", Bytes<float>({1, 2})));
  Write(folder.path + "/.hidden", "x");
  const auto samples = ReadSamples(folder.path, one);
  REQUIRE(samples.ok());
  REQUIRE(samples->size() == 2);
  CHECK((*samples)[0][0]->At(1) == 2);
  CHECK((*samples)[1][0]->At(1) == 4);
  Write(folder.path + "/c.raw", "x");
  CHECK(ReadSamples(folder.path, one).status().message().find("c.raw: has 1 bytes") !=
        std::string::npos);

  const graph::Graph two = GraphOf(
      "graph g\ninput x: f32[2]\ninput n: i32[]\nr = relu(x): f32[2]\noutput r\noutput n\n");
  CHECK(ReadSamples(folder.path, two).status().message().find("0 folders; g has 2 inputs") !=
        std::string::npos);
  Write(folder.path + "/1/x.raw", Bytes<float>({5, 6}));
  Write(folder.path + "/1/n.npy", Npy("<i8", "()", Bytes<int64_t>({7})));
  const auto pairs = ReadSamples(folder.path, two);
  INFO(pairs.status().ToString());
  REQUIRE(pairs.ok());
  REQUIRE(pairs->size() == 1);
  CHECK((*pairs)[0][0]->At(0) == 5);
  CHECK((*pairs)[0][1]->At(0) == 7);
}

TEST_CASE("a model in i8 is told with its errors", "[cli]") {
  const test::TemporaryDirectory folder;
  const graph::Graph graph = GraphOf(
      "graph g\ninput x: f32[1,2]\nconst w: f32[2,2] = [1,0.5,-0.25,0.3]\n"
      "const v: f32[2,2] = [1,-2,0.7,0.1]\nfirst = matmul(x, w): f32[1,2]\n"
      "positive = relu(first): f32[1,2]\nsecond = matmul(positive, v): f32[1,2]\n"
      "third = matmul(second, v): f32[1,2]\noutput third\n");
  Write(folder.path + "/a.raw", Bytes<float>({0.3F, -0.8F}));
  Write(folder.path + "/b.raw", Bytes<float>({0.9F, 0.1F}));
  const auto model = CalibrateModel(
      graph, {.samples = folder.path, .ranges = "largest", .float_last = true, .keep = {}},
      graph::Interpreted);
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  // What the floats make of each sample is kept beside it.
  REQUIRE(model->samples.size() == 2);
  std::vector<graph::Sample> samples;
  for (const SampleRun& run : model->samples) {
    samples.push_back(run.inputs);
    const auto outputs = graph::Evaluate(graph, run.inputs);
    REQUIRE(outputs.ok());
    REQUIRE(run.outputs.size() == 1);
    CHECK(run.outputs[0]->bytes == (*outputs)[0]->bytes);
  }
  CHECK(samples[1][0]->At(0) == 0.9F);
  const auto arm = ir::ParseTarget("aarch64/neon,dotprod").value();
  const auto signed_only = QuantizeFor(*model, &arm), quantized = QuantizeFor(*model, nullptr);
  REQUIRE(signed_only.ok());
  REQUIRE(quantized.ok());
  const auto has_unsigned = [](const graph::Graph& of) {
    return std::ranges::any_of(
        of.nodes, [](const graph::Node& node) { return node.type.element == ir::UInt(8); });
  };
  CHECK(has_unsigned(quantized->graph));
  CHECK(!has_unsigned(signed_only->graph));
  // A model is made again for a target of other bytes.
  JobFile file;
  file.name = "net";
  file.model.push_back({{}, quantized->graph});
  file.calibrated = *model;
  for (const char* target : {"x86/avx2", "aarch64/neon,dotprod", "aarch64/neon", "x86/avx512"}) {
    CAPTURE(target);
    REQUIRE(PlanFor(file, ir::ParseTarget(target).value()).ok());
    CHECK(has_unsigned(file.model[0].graph) == (target[0] == 'x'));
    CHECK(has_unsigned(file.stored[0].graph) == (target[0] == 'x'));
  }
  const auto accuracy = graph::MeasureAccuracy(graph, *quantized, samples);
  REQUIRE(accuracy.ok());
  const std::string text = AccuracyText(*accuracy, quantized->floats);
  CHECK(text.find("third") < text.find("positive"));
  CHECK(text.find("on 2 samples; products of floats: third\n") != std::string::npos);
  const std::string json = AccuracyJson(*accuracy, quantized->floats);
  for (const char* part :
       {"\"samples\": 2", "\"snr_db\"", "\"same_largest\": 1.0", "\"positive\""}) {
    CAPTURE(part, json);
    CHECK(json.find(part) != std::string::npos);
  }
  CHECK(CalibrateModel(graph, {.samples = folder.path, .keep = {"x"}}, graph::Interpreted)
            .status()
            .message()
            .find("\"x\" is no product") != std::string::npos);
}

}  // namespace tessera::cli
