// Hostile models: whatever a file holds, it is imported or refused, in bounded time and memory.

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/frontend/onnx/model.h"

namespace tessera::frontend {
namespace {

std::vector<Model> Seeds() {
  std::vector<Model> models;
  Model& conv = models.emplace_back(13);
  conv.Input("x", {1, 4, 8, 8}).Floats("w", {4, 2, 3, 3}, std::vector<double>(72, 0.5));
  conv.Ints("sizes", {1, 4, 16, 16}).Ints("flat", {1, -1}).Ints("pads", {0, 0, 1, 1, 0, 0, 1, 1});
  conv.Node("Conv", {"x", "w"}, {"c"},
            {{"group", int64_t{2}},
             {"strides", Shape{2, 2}},
             {"pads", Shape{1, 1, 1, 1}},
             {"dilations", Shape{1, 1}}});
  conv.Node("MaxPool", {"c"}, {"p"}, {{"kernel_shape", Shape{2, 2}}, {"strides", Shape{1, 1}}});
  conv.Node("Resize", {"p", "", "", "sizes"}, {"r"}, {{"mode", std::string("linear")}});
  conv.Node("Pad", {"r", "pads"}, {"q"}).Node("Reshape", {"q", "flat"}, {"y"});
  conv.Node("ConvTranspose", {"c", "w"}, {"t"},
            {{"group", int64_t{2}}, {"strides", Shape{2, 2}}, {"output_shape", Shape{8, 8}}});
  conv.Output("y").Output("t");
  Model& shapes = models.emplace_back(13);
  shapes.Input("x", {2, 6}).Ints("axes", {1}).Ints("parts", {2, 4}).Ints("times", {2, 3});
  shapes.Ints("start", {}, {0})
      .Ints("limit", {}, {6})
      .Ints("step", {}, {2})
      .Ints("index", {0, -1})
      .Ints("first", {0, 1});
  shapes.Node("Split", {"x", "parts"}, {"a", "b"}, {{"axis", int64_t{1}}});
  shapes.Node("Tile", {"a", "times"}, {"t"}).Node("Range", {"start", "limit", "step"}, {"r"});
  shapes.Node("Gather", {"b", "r"}, {"g"}, {{"axis", int64_t{1}}});
  shapes.Node("ReduceSum", {"g", "axes"}, {"s"}).Node("Slice", {"t", "first", "times"}, {"l"});
  shapes.Node("Expand", {"s", "times"}, {"e"}).Node("ConstantOfShape", {"times"}, {"z"});
  shapes.Node("OneHot", {"index", "limit", "v"}, {"o"}).Floats("v", {2}, {0, 1});
  for (const char* name : {"l", "e", "z", "o"}) shapes.Output(name);
  Model& lstm = models.emplace_back(14);
  lstm.Input("x", {3, 1, 2}).Floats("w", {1, 8, 2}, std::vector<double>(16, 0.1));
  lstm.Floats("r", {1, 8, 2}, std::vector<double>(16, 0.1)).Ints("lengths", {3});
  lstm.Node("LSTM", {"x", "w", "r", "", "lengths"}, {"y"}, {{"hidden_size", int64_t{2}}});
  lstm.Node("Einsum", {"y", "y"}, {"z"}, {{"equation", std::string("abcd,abce->ade")}});
  lstm.Output("z");
  Model& quantized = models.emplace_back(13);
  quantized.Input("x", {1, 2, 4, 4}, onnx::TensorProto::UINT8).Floats("s", {}, {0.5});
  quantized.Bytes("z", {}, {128}).Bytes("w", {2, 2, 1, 1}, {1, 2, 3, 4}, onnx::TensorProto::INT8);
  quantized.Bytes("wz", {2}, {0, 1}, onnx::TensorProto::INT8);
  quantized.Node("QLinearConv", {"x", "s", "z", "w", "s", "wz", "s", "z"}, {"c"});
  quantized.Node("DequantizeLinear", {"c", "s", "z"}, {"d"}).Node("Softmax", {"d"}, {"y"});
  quantized.Output("y");
  return models;
}

constexpr int64_t kExtremes[] = {0,       1,         -1,        2,         3,         1000,
                                 1 << 20, 1LL << 31, 1LL << 34, 1LL << 62, INT64_MAX, INT64_MIN};

// A number somewhere in the model becomes an extreme one.
void Disturb(onnx::ModelProto& model, Rng& rng) {
  onnx::GraphProto& graph = *model.mutable_graph();
  const int64_t value = kExtremes[rng.Below(std::size(kExtremes))];
  std::vector<google::protobuf::RepeatedField<int64_t>*> lists;
  std::vector<onnx::AttributeProto*> numbers;
  for (auto& tensor : *graph.mutable_initializer()) {
    lists.push_back(tensor.mutable_dims());
    if (tensor.int64_data_size() > 0) lists.push_back(tensor.mutable_int64_data());
  }
  for (auto& node : *graph.mutable_node()) {
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.type() == onnx::AttributeProto::INT) numbers.push_back(&attribute);
      if (attribute.ints_size() > 0) lists.push_back(attribute.mutable_ints());
    }
  }
  auto& input = *graph.mutable_input(static_cast<int>(rng.Below(graph.input_size())));
  auto& shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
  const size_t which = rng.Below(lists.size() + numbers.size() + 3);
  if (which < lists.size()) {
    if (rng.Below(4) == 0 || lists[which]->empty()) {
      lists[which]->Add(value);
    } else {
      lists[which]->Set(static_cast<int>(rng.Below(lists[which]->size())), value);
    }
  } else if (which < lists.size() + numbers.size()) {
    numbers[which - lists.size()]->set_i(value);
  } else if (which == lists.size() + numbers.size()) {
    if (shape.dim_size() > 0) {
      shape.mutable_dim(static_cast<int>(rng.Below(shape.dim_size())))->set_dim_value(value);
    }
  } else {  // an operand or result becomes another, so that cycles come about, too
    auto& node = *graph.mutable_node(static_cast<int>(rng.Below(graph.node_size())));
    const auto& other = graph.node(static_cast<int>(rng.Below(graph.node_size())));
    if (node.input_size() > 0 && other.output_size() > 0) {
      node.set_input(static_cast<int>(rng.Below(node.input_size())), other.output(0));
    }
  }
}

// Memory that may be asked for, on top of what is used; of sanitizers, all.
class MemoryLimit {
 public:
  MemoryLimit() {
    getrlimit(RLIMIT_AS, &before_);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    rlimit limit = before_;
    limit.rlim_cur = rlim_t{2} << 30;
    setrlimit(RLIMIT_AS, &limit);
#endif
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

void CheckImport(const std::string& file) {
  const auto begin = std::chrono::steady_clock::now();
  const absl::StatusOr<graph::Graph> graph = ImportModel(file);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  CHECK(seconds.count() < 20);
  if (graph.ok()) CHECK(graph::Verify(*graph).ok());
  if (!graph.ok()) CHECK(!graph.status().message().empty());
}

}  // namespace

TEST_CASE("models of extreme numbers are imported or refused", "[onnx][fuzz]") {
  const MemoryLimit limit;
  for (const Model& seed : Seeds()) {
    Imported(seed);
    for (uint64_t i = 0; i < 600; ++i) {
      CAPTURE(i);
      Rng rng(i);
      onnx::ModelProto model = seed.proto;
      for (uint64_t times = 1 + rng.Below(3); times > 0; --times) Disturb(model, rng);
      CheckImport(model.SerializeAsString());
    }
  }
}

TEST_CASE("files of any bytes are imported or refused", "[onnx][fuzz]") {
  const MemoryLimit limit;
  for (const Model& seed : Seeds()) {
    const std::string file = seed.File();
    for (uint64_t i = 0; i < 800; ++i) {
      CAPTURE(i);
      Rng rng(i);
      std::string bytes = file;
      for (uint64_t times = 1 + rng.Below(8); times > 0; --times) {
        bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Below(256));
      }
      if (rng.Below(4) == 0) bytes.resize(rng.Below(bytes.size()));
      if (rng.Below(4) == 0) {
        bytes.insert(rng.Below(bytes.size() + 1), bytes.substr(0, rng.Below(64)));
      }
      CheckImport(bytes);
    }
  }
}

}  // namespace tessera::frontend
