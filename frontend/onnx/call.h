#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/onnx/emitter.h"

namespace onnx {
class AttributeProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace tessera::frontend {

using Values = std::vector<Value>;

// A model's node while it becomes nodes of the graph. Errors are kept by the emitter, as its own.
class Call {
 public:
  Call(const onnx::NodeProto& node, int opset, Values inputs, Emitter& emit)
      : emit(emit), opset(opset), node_(node), inputs_(std::move(inputs)) {}

  bool ok() const { return emit.ok(); }
  // Unimplemented; no values, for converters to return.
  Values Fail(const std::string& what);
  Values Invalid(const std::string& what);

  // --- inputs
  size_t inputs() const { return inputs_.size(); }
  bool Has(size_t i) const { return i < inputs_.size() && !inputs_[i].is_absent(); }
  // An error where it is left out.
  Value In(size_t i);
  const Values& All() const { return inputs_; }
  // The elements of an input that has to be known now: what it is called is for the message.
  std::vector<int64_t> KnownInts(size_t i, const char* what);
  std::vector<double> KnownNumbers(size_t i, const char* what);
  // Axes as models have them: an attribute before that opset, from there on an input.
  std::vector<int64_t> Axes(size_t input, int input_since);
  // An error unless its rank is from `least` to `most`.
  bool CheckRank(const Value& x, size_t least, size_t most = graph::kMaxRank);
  // Within [0, rank); an error beyond.
  size_t Axis(int64_t axis, size_t rank);

  size_t outputs() const;
  // Whether anything may use it.
  bool Wants(size_t output) const;

  // --- attributes. Those that nobody asks for are refused.
  bool HasAttribute(std::string_view name);
  int64_t Int(std::string_view name, int64_t otherwise);
  double Float(std::string_view name, double otherwise);
  std::string Word(std::string_view name, const std::string& otherwise);
  std::vector<int64_t> Ints(std::string_view name);  // empty where it is left out
  std::vector<double> Floats(std::string_view name);
  std::vector<std::string> Words(std::string_view name);
  Value Tensor(std::string_view name);
  void Ignore(std::initializer_list<std::string_view> names);
  // The name of one that nobody has asked for.
  std::string Unread() const;

  Emitter& emit;
  const int opset;

 private:
  // Null: left out, or of another kind, which is an error.
  const onnx::AttributeProto* Find(std::string_view name, int type);

  const onnx::NodeProto& node_;
  Values inputs_;
  std::set<std::string, std::less<>> read_;
};

// Makes a node's outputs; later ones may be left out where nobody wants them.
using Converter = std::function<Values(Call& call)>;

}  // namespace tessera::frontend
