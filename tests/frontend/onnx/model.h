#pragma once

#include <onnx/onnx_pb.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "compiler/graph/evaluate.h"
#include "compiler/graph/graph.h"
#include "frontend/onnx/import.h"

namespace tessera::frontend {

using Shape = std::vector<int64_t>;
using Field = std::variant<int64_t, double, std::string, std::vector<int64_t>>;
using Fields = std::vector<std::pair<std::string, Field>>;

// Small models for tests.
class Model {
 public:
  explicit Model(int opset = 17) {
    proto.set_ir_version(8);
    proto.add_opset_import()->set_version(opset);
    proto.mutable_graph()->set_name("small");
  }

  Model& Input(const std::string& name, const Shape& shape, int type = onnx::TensorProto::FLOAT) {
    onnx::ValueInfoProto* input = proto.mutable_graph()->add_input();
    input->set_name(name);
    auto* tensor = input->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    tensor->mutable_shape();
    for (const int64_t extent : shape) tensor->mutable_shape()->add_dim()->set_dim_value(extent);
    return *this;
  }
  // Its dimension has a name and no extent.
  Model& Open(int input, int dimension, const std::string& name) {
    proto.mutable_graph()
        ->mutable_input(input)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(dimension)
        ->set_dim_param(name);
    return *this;
  }
  Model& Floats(const std::string& name, const Shape& shape, const std::vector<double>& values) {
    onnx::TensorProto* tensor = Initializer(name, shape, onnx::TensorProto::FLOAT);
    for (const double value : values) tensor->add_float_data(static_cast<float>(value));
    return *this;
  }
  Model& Ints(const std::string& name, const Shape& values) {
    return Ints(name, {static_cast<int64_t>(values.size())}, values);
  }
  Model& Ints(const std::string& name, const Shape& shape, const Shape& values) {
    onnx::TensorProto* tensor = Initializer(name, shape, onnx::TensorProto::INT64);
    for (const int64_t value : values) tensor->add_int64_data(value);
    return *this;
  }
  Model& Bytes(const std::string& name, const Shape& shape, const Shape& values,
               int type = onnx::TensorProto::UINT8) {
    onnx::TensorProto* tensor = Initializer(name, shape, type);
    for (const int64_t value : values) tensor->add_int32_data(static_cast<int32_t>(value));
    return *this;
  }
  Model& Node(const std::string& op, const std::vector<std::string>& inputs,
              const std::vector<std::string>& outputs, const Fields& fields = {},
              const std::string& domain = "") {
    onnx::NodeProto* node = proto.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name("the_" + op);
    node->set_domain(domain);
    for (const std::string& name : inputs) node->add_input(name);
    for (const std::string& name : outputs) node->add_output(name);
    for (const auto& [name, value] : fields) {
      onnx::AttributeProto* attribute = node->add_attribute();
      attribute->set_name(name);
      if (const auto* number = std::get_if<int64_t>(&value)) {
        attribute->set_type(onnx::AttributeProto::INT);
        attribute->set_i(*number);
      } else if (const auto* real = std::get_if<double>(&value)) {
        attribute->set_type(onnx::AttributeProto::FLOAT);
        attribute->set_f(static_cast<float>(*real));
      } else if (const auto* word = std::get_if<std::string>(&value)) {
        attribute->set_type(onnx::AttributeProto::STRING);
        attribute->set_s(*word);
      } else {
        attribute->set_type(onnx::AttributeProto::INTS);
        for (const int64_t i : std::get<Shape>(value)) attribute->add_ints(i);
      }
    }
    return *this;
  }
  Model& Output(const std::string& name) {
    proto.mutable_graph()->add_output()->set_name(name);
    return *this;
  }
  std::string File() const { return proto.SerializeAsString(); }

  onnx::ModelProto proto;

 private:
  onnx::TensorProto* Initializer(const std::string& name, const Shape& shape, int type) {
    onnx::TensorProto* tensor = proto.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (const int64_t extent : shape) tensor->add_dims(extent);
    return tensor;
  }
};

inline graph::Graph Imported(const Model& model, const ImportOptions& options = {}) {
  const absl::StatusOr<graph::Graph> graph = ImportModel(model.File(), options);
  INFO(graph.status());
  REQUIRE(graph.ok());
  return *graph;
}

inline std::string Refusal(const Model& model, const ImportOptions& options = {}) {
  const absl::StatusOr<graph::Graph> graph = ImportModel(model.File(), options);
  REQUIRE(!graph.ok());
  return std::string(graph.status().message());
}

inline graph::TensorRef FloatTensor(const Shape& shape, const std::vector<double>& values) {
  return graph::MakeTensor(ir::Float(32), shape, values);
}

// The first output's elements.
inline std::vector<double> Result(const Model& model, const std::vector<graph::TensorRef>& inputs,
                                  const ImportOptions& options = {}) {
  const auto outputs = graph::Evaluate(Imported(model, options), inputs);
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  std::vector<double> values;
  for (int64_t i = 0; i < outputs->front()->type.ElementCount(); ++i) {
    values.push_back(outputs->front()->At(i));
  }
  return values;
}

inline void CheckNear(const std::vector<double>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(actual[i] == Approx(expected[i]).margin(1e-5));
  }
}

}  // namespace tessera::frontend
