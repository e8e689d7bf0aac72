// The node tests that ONNX ships: each is a model of one operator, or of what it is made of, with
// inputs and outputs. claimed.txt names those that pass.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/passes.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/import.h"
#include "frontend/onnx/tensor.h"
#include "tests/support/source_file.h"

namespace tessera::frontend {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// input_0.pb, input_1.pb, … or of outputs.
absl::StatusOr<std::vector<graph::TensorRef>> ReadTensors(const fs::path& folder,
                                                          const std::string& kind) {
  std::vector<graph::TensorRef> tensors;
  for (int i = 0;; ++i) {
    const fs::path path = folder / absl::StrCat(kind, "_", i, ".pb");
    if (!fs::exists(path)) return tensors;
    onnx::TensorProto proto;
    int64_t budget = 1 << 30;
    if (!proto.ParseFromString(ReadFile(path))) return absl::InvalidArgumentError("no tensor");
    TESSERA_ASSIGN_OR_RETURN(tensors.emplace_back(), ReadTensor(proto, {}, budget));
  }
}

// ONNX's own tests allow 1e-3 of the value and 1e-7; narrow floats round more.
absl::Status Compare(const graph::Tensor& actual, const graph::Tensor& expected) {
  if (actual.type != expected.type) {
    return absl::InternalError(absl::StrCat("is ", graph::ToString(actual.type), ", not ",
                                            graph::ToString(expected.type)));
  }
  const ir::Type type = expected.type.element;
  const double relative = !type.is_float() ? 0 : type.bits < 32 ? 1e-2 : 1e-3;
  const double absolute = !type.is_float() ? 0 : type.bits < 32 ? 1e-3 : 1e-7;
  for (int64_t i = 0; i < expected.type.ElementCount(); ++i) {
    const double a = actual.At(i), b = expected.At(i);
    const bool is_same = a == b || (std::isnan(a) && std::isnan(b)) ||
                         std::abs(a - b) <= absolute + relative * std::abs(b);
    if (!is_same) return absl::InternalError(absl::StrCat("element ", i, " is ", a, ", not ", b));
  }
  return absl::OkStatus();
}

// As it is imported where the first `open` inputs are inputs of the graph and others are known.
absl::Status RunWith(const std::string& bytes, const std::vector<std::string>& names,
                     const std::vector<graph::TensorRef>& inputs,
                     const std::vector<graph::TensorRef>& outputs, size_t open) {
  ImportOptions options;
  for (size_t i = open; i < inputs.size(); ++i) {
    options.values[names[i]] = inputs[i];
  }
  TESSERA_ASSIGN_OR_RETURN(graph::Graph graph, ImportModel(bytes, options));
  TESSERA_ASSIGN_OR_RETURN(graph, graph::RunPasses(std::move(graph), graph::StandardPasses()));
  const std::vector<graph::TensorRef> fed(
      inputs.begin(), inputs.begin() + static_cast<int64_t>(std::min(open, inputs.size())));
  TESSERA_ASSIGN_OR_RETURN(const auto actual, graph::Evaluate(graph, fed));
  if (actual.size() != outputs.size()) return absl::InternalError("other outputs");
  for (size_t i = 0; i < outputs.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(Annotate(Compare(*actual[i], *outputs[i]), absl::StrCat("output ", i)));
  }
  return absl::OkStatus();
}

// ONNX 1.12 writes bfloat16 as u16.
void Relabel(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& declared,
             std::vector<graph::TensorRef>& tensors) {
  for (size_t i = 0; i < tensors.size() && static_cast<int>(i) < declared.size(); ++i) {
    const int type = declared[static_cast<int>(i)].type().tensor_type().elem_type();
    if (type != onnx::TensorProto::BFLOAT16) continue;
    auto copy = std::make_shared<graph::Tensor>(*tensors[i]);
    copy->type.element = ir::BFloat16();
    tensors[i] = copy;
  }
}

// What has to be known is an input in these tests: all but the first are told then, or all.
absl::Status RunTest(const fs::path& folder, onnx::ModelProto model) {
  TESSERA_ASSIGN_OR_RETURN(auto inputs, ReadTensors(folder / "test_data_set_0", "input"));
  TESSERA_ASSIGN_OR_RETURN(auto outputs, ReadTensors(folder / "test_data_set_0", "output"));
  Relabel(model.graph().input(), inputs);
  Relabel(model.graph().output(), outputs);
  // Most operators of older opsets are still the same in the oldest that there is.
  for (onnx::OperatorSetIdProto& set : *model.mutable_opset_import()) {
    if (set.domain().empty()) set.set_version(std::max<int64_t>(set.version(), kOldestOpset));
  }
  const std::string bytes = model.SerializeAsString();
  std::vector<std::string> names;  // without those that have values
  for (const auto& input : model.graph().input()) {
    const auto& known = model.graph().initializer();
    if (std::ranges::none_of(known, [&](const auto& t) { return t.name() == input.name(); })) {
      names.push_back(input.name());
    }
  }
  if (inputs.size() != names.size()) {
    return absl::UnimplementedError("an input is left out");
  }
  absl::Status status;
  for (const size_t open : {inputs.size(), size_t{1}, size_t{0}}) {
    status = RunWith(bytes, names, inputs, outputs, open);
    if (status.code() != absl::StatusCode::kFailedPrecondition) break;
  }
  return status;
}

}  // namespace

TEST_CASE("the node tests of ONNX that are claimed pass, and no others", "[onnx][conformance]") {
  const fs::path data = "/usr/share/libonnx-testdata/data";
  if (!fs::exists(data)) {
    WARN("libonnx-testdata is not installed (deploy/install_deps.sh --tests)");
    return;
  }
  std::set<std::string> claimed;
  std::stringstream list(ReadSourceFile("tests/frontend/onnx/claimed.txt"));
  for (std::string line; std::getline(list, line);) {
    if (!line.empty() && line[0] != '#') claimed.insert(line);
  }
  // By operator how many pass of how many there are; of models of several, as one.
  std::map<std::string, std::pair<int, int>> counts;
  std::set<fs::path> folders;
  for (const char* kind : {"node", "simple", "pytorch-converted", "pytorch-operator"}) {
    for (const auto& entry : fs::directory_iterator(data / kind)) folders.insert(entry.path());
  }
  for (const fs::path& folder : folders) {
    const std::string kind = folder.parent_path().filename();
    const std::string name =  // without "test_"
        absl::StrCat(kind == "node" ? "" : kind + "/", folder.filename().string().substr(5));
    onnx::ModelProto model;
    CAPTURE(name);
    REQUIRE(model.ParseFromString(ReadFile(folder / "model.onnx")));
    const absl::Status status = RunTest(folder, model);
    INFO(status);
    CHECK(status.ok() == claimed.contains(name));
    claimed.erase(name);
    const bool is_one = model.graph().node_size() == 1;
    auto& [passed, all] = counts[kind != "node" ? kind
                                 : is_one       ? model.graph().node(0).op_type()
                                                : "several"];
    passed += status.ok() ? 1 : 0;
    ++all;
  }
  CAPTURE(claimed);  // but not among the tests
  CHECK(claimed.empty());

  const std::string document = ReadSourceFile("docs/onnx.md");
  for (const auto& [op, count] : counts) {
    if (count.first == 0) continue;
    const std::string row =
        absl::StrCat("| `", op, "` | ", count.first, " of ", count.second, " |");
    CAPTURE(row);
    CHECK(document.find(row) != std::string::npos);
  }
}

TEST_CASE("docs/onnx.md has a row for every operator", "[onnx][docs]") {
  const std::string document = ReadSourceFile("docs/onnx.md");
  for (const std::string_view name : ConverterNames()) {
    CAPTURE(name);
    CHECK(document.find(absl::StrCat("\n| `", std::string(name), "` | ")) != std::string::npos);
  }
}

}  // namespace tessera::frontend
