#include "frontend/onnx/import.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/emitter.h"
#include "frontend/onnx/tensor.h"

namespace tessera::frontend {
namespace {

// Names are of any length in hostile files.
std::string Shown(const std::string& name) { return absl::StrCat("\"", name.substr(0, 120), "\""); }

absl::StatusOr<int> OpsetOf(const onnx::ModelProto& model) {
  for (const onnx::OperatorSetIdProto& set : model.opset_import()) {
    if (!set.domain().empty() && set.domain() != "ai.onnx") continue;
    if (set.version() >= kOldestOpset && set.version() <= kNewestOpset) {
      return static_cast<int>(set.version());
    }
    return absl::UnimplementedError(absl::StrCat("the model is of opset ", set.version(), "; ",
                                                 kOldestOpset, " to ", kNewestOpset,
                                                 " are supported. Export it anew, or convert it by "
                                                 "onnx.version_converter"));
  }
  return absl::InvalidArgumentError(
      "the file is no ONNX model: it names no opset of the domain ai.onnx");
}

class Importer {
 public:
  Importer(const onnx::ModelProto& model, const ImportOptions& options, int opset)
      : model_(model), options_(options), opset_(opset), emit_(NameOf(model.graph())) {}

  absl::StatusOr<graph::Graph> Run() && {
    TESSERA_RETURN_IF_ERROR(CheckOptions());
    TESSERA_RETURN_IF_ERROR(ReadInitializers(model_.graph()));
    for (const onnx::ValueInfoProto& input : model_.graph().input()) {
      TESSERA_RETURN_IF_ERROR(
          Annotate(ReadInput(input), absl::StrCat("input ", Shown(input.name()))));
    }
    const int inputs = emit_.size();
    TESSERA_RETURN_IF_ERROR(ConvertNodes(model_.graph()));
    std::vector<int> outputs;
    for (const onnx::ValueInfoProto& output : model_.graph().output()) {
      TESSERA_ASSIGN_OR_RETURN(Value value, Named(output.name()));
      if (value.known != nullptr && value.name.empty()) value.name = output.name();
      const int node = emit_.Node(value);
      TESSERA_RETURN_IF_ERROR(
          Annotate(emit_.status(), absl::StrCat("output ", Shown(output.name()))));
      // What it is called outside counts, where nodes that change nothing were left out.
      const bool is_named = node < inputs || std::ranges::count(outputs, node) > 0;
      if (!is_named) emit_.Rename(node, output.name());
      outputs.push_back(node);
    }
    if (outputs.empty()) return absl::InvalidArgumentError("the model has no outputs");
    return std::move(emit_).Finish(std::move(outputs));
  }

 private:
  static std::string NameOf(const onnx::GraphProto& graph) {
    std::string name;
    for (const char c : graph.name().substr(0, 60)) {
      const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      name += fits ? c : '_';
    }
    return absl::StrCat("model", name.empty() ? "" : "_", name);
  }

  // A misspelt name would change nothing, silently.
  absl::Status CheckOptions() const {
    const auto check = [&](const std::string& name) {
      for (const onnx::ValueInfoProto& input : model_.graph().input()) {
        if (input.name() == name) return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "the model has no input \"", name, "\"; it has ",
          absl::StrJoin(model_.graph().input(), ", ", [](std::string* out, const auto& input) {
            absl::StrAppend(out, Shown(input.name()));
          })));
    };
    std::set<std::string> dimensions;  // that inputs name
    for (const onnx::ValueInfoProto& input : model_.graph().input()) {
      for (const auto& dim : input.type().tensor_type().shape().dim()) {
        if (dim.has_dim_param()) dimensions.insert(dim.dim_param());
      }
    }
    for (const auto& [name, extent] : options_.dimensions) {
      if (dimensions.contains(name)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "no input of the model has a dimension \"", name, "\"; ",
          dimensions.empty()
              ? "none has one with a name"
              : absl::StrCat(
                    "they have ",
                    absl::StrJoin(dimensions, ", ", [](std::string* out, const std::string& one) {
                      absl::StrAppend(out, Shown(one));
                    }))));
    }
    for (const auto& [name, shape] : options_.shapes) TESSERA_RETURN_IF_ERROR(check(name));
    for (const auto& [name, value] : options_.values) TESSERA_RETURN_IF_ERROR(check(name));
    for (const auto& [name, numbers] : options_.numbers) TESSERA_RETURN_IF_ERROR(check(name));
    return absl::OkStatus();
  }

  absl::Status Define(const std::string& name, Value value) {
    if (name.empty()) return absl::InvalidArgumentError("a tensor has no name");
    if (!values_.emplace(name, std::move(value)).second) {
      return absl::InvalidArgumentError(absl::StrCat(Shown(name), " is defined twice"));
    }
    defined_.push_back(name);
    return absl::OkStatus();
  }

  absl::StatusOr<Value> Named(const std::string& name) const {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    return absl::InvalidArgumentError(
        absl::StrCat(Shown(name),
                     " is used, but no input, initializer or node before makes it; "
                     "nodes have to be in an order in which they can run"));
  }

  absl::Status ReadInitializers(const onnx::GraphProto& graph) {
    if (graph.sparse_initializer_size() > 0) {
      return absl::UnimplementedError("sparse initializers are not supported; store them dense");
    }
    for (const onnx::TensorProto& proto : graph.initializer()) {
      TESSERA_ASSIGN_OR_RETURN(graph::TensorRef tensor,
                               ReadTensor(proto, options_.folder, budget_));
      TESSERA_RETURN_IF_ERROR(Define(proto.name(), {-1, std::move(tensor), proto.name()}));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<graph::TensorType> InputType(const onnx::ValueInfoProto& input) const {
    if (!input.type().has_tensor_type()) {
      return absl::UnimplementedError("is no tensor; sequences and maps are not supported");
    }
    const onnx::TypeProto::Tensor& tensor = input.type().tensor_type();
    graph::TensorType type;
    TESSERA_ASSIGN_OR_RETURN(type.element, ElementType(tensor.elem_type()));
    const auto given = options_.shapes.find(input.name());
    if (given != options_.shapes.end()) {
      type.shape = given->second;
      const int rank = tensor.shape().dim_size();
      if (tensor.has_shape() && static_cast<size_t>(rank) != type.shape.size()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "has ", rank, " dimensions; the shape given for it has ", type.shape.size()));
      }
      return type;
    }
    if (!tensor.has_shape()) {
      return absl::FailedPreconditionError("has no shape in the model; give one");
    }
    for (int d = 0; d < tensor.shape().dim_size(); ++d) {
      const onnx::TensorShapeProto::Dimension& dim = tensor.shape().dim(d);
      const auto named = options_.dimensions.find(dim.dim_param());
      if (dim.has_dim_value() && dim.dim_value() > 0) {
        type.shape.push_back(dim.dim_value());
      } else if (dim.has_dim_param() && named != options_.dimensions.end()) {
        type.shape.push_back(named->second);
      } else {
        return absl::FailedPreconditionError(absl::StrCat(
            "dimension ", d, " is ", dim.has_dim_param() ? Shown(dim.dim_param()) : "open",
            "; give ", dim.has_dim_param() ? "an extent for that name, or " : "",
            "a shape for the input"));
      }
    }
    return type;
  }

  // Numbers as a value of an input's type, and of its shape unless they are a list of any length.
  absl::StatusOr<graph::TensorRef> TensorOf(const onnx::ValueInfoProto& input,
                                            const std::vector<double>& numbers) const {
    const onnx::TypeProto::Tensor& tensor = input.type().tensor_type();
    const auto count = static_cast<int64_t>(numbers.size());
    graph::TensorType type;
    TESSERA_ASSIGN_OR_RETURN(type.element, ElementType(tensor.elem_type()));
    if (tensor.shape().dim_size() > 1) {
      TESSERA_ASSIGN_OR_RETURN(type, InputType(input));
    } else if (tensor.shape().dim_size() == 1 || (!tensor.has_shape() && count != 1)) {
      type.shape = {count};
    }
    if (type.ElementCount() == count) return graph::MakeTensor(type.element, type.shape, numbers);
    return absl::InvalidArgumentError(absl::StrCat(
        "is ", graph::ToString(type), "; the value given for it has ", count, " numbers"));
  }

  absl::Status ReadInput(const onnx::ValueInfoProto& input) {
    if (values_.contains(input.name())) return absl::OkStatus();  // its default is taken
    if (const auto numbers = options_.numbers.find(input.name());
        numbers != options_.numbers.end()) {
      TESSERA_ASSIGN_OR_RETURN(graph::TensorRef known, TensorOf(input, numbers->second));
      return Define(input.name(), {-1, std::move(known), input.name()});
    }
    if (const auto known = options_.values.find(input.name()); known != options_.values.end()) {
      TESSERA_ASSIGN_OR_RETURN(const ir::Type element,
                               ElementType(input.type().tensor_type().elem_type()));
      if (known->second->type.element != element) {
        return absl::InvalidArgumentError(absl::StrCat("is of ", ir::ToString(element),
                                                       "; the value given for it is ",
                                                       graph::ToString(known->second->type)));
      }
      return Define(input.name(), {-1, known->second, input.name()});
    }
    TESSERA_ASSIGN_OR_RETURN(graph::TensorType type, InputType(input));
    Value value = emit_.Input(input.name(), std::move(type));
    TESSERA_RETURN_IF_ERROR(emit_.status());
    return Define(input.name(), std::move(value));
  }

  absl::Status ConvertNodes(const onnx::GraphProto& graph) {
    for (const onnx::NodeProto& node : graph.node()) {
      const absl::Status status = Convert(node);
      if (status.ok()) continue;
      return Annotate(status, absl::StrCat(ShownNode(node), " (", node.op_type().substr(0, 60),
                                           ", opset ", opset_, ")"));
    }
    return absl::OkStatus();
  }

  // Exporters leave names out.
  static std::string ShownNode(const onnx::NodeProto& node) {
    if (!node.name().empty() || node.output().empty()) {
      return absl::StrCat("node ", Shown(node.name()));
    }
    return absl::StrCat("the node of ", Shown(node.output(0)));
  }

  // The nodes of the branch that is taken, in the place of an If whose condition is known. They see
  // what is defined around them, and nobody sees what they define but for the results.
  absl::Status TakeBranch(const onnx::NodeProto& node) {
    if (node.input_size() != 1) return absl::InvalidArgumentError("If has one input");
    TESSERA_ASSIGN_OR_RETURN(const Value condition, Named(node.input(0)));
    if (condition.known == nullptr || condition.known->type.ElementCount() != 1) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its condition, ", Shown(node.input(0)),
          ", is not known when the model is compiled; give the inputs that it depends on as "
          "values, or export without control flow"));
    }
    const std::string_view name = condition.known->At(0) != 0 ? "then_branch" : "else_branch";
    const auto branch = std::ranges::find_if(
        node.attribute(), [&](const auto& attribute) { return attribute.name() == name; });
    if (branch == node.attribute().end() || !branch->has_g()) {
      return absl::InvalidArgumentError(absl::StrCat("has no ", AbslView(name)));
    }
    if (branch->g().output_size() != node.output_size()) {
      return absl::InvalidArgumentError(absl::StrCat(AbslView(name), " has ",
                                                     branch->g().output_size(),
                                                     " results, the node ", node.output_size()));
    }
    const size_t around = defined_.size();
    const int before = emit_.size();
    TESSERA_RETURN_IF_ERROR(ReadInitializers(branch->g()));
    TESSERA_RETURN_IF_ERROR(ConvertNodes(branch->g()));
    Values results;
    for (const onnx::ValueInfoProto& output : branch->g().output()) {
      TESSERA_ASSIGN_OR_RETURN(results.emplace_back(), Named(output.name()));
    }
    for (; defined_.size() > around; defined_.pop_back()) values_.erase(defined_.back());
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      Value& result = results[static_cast<size_t>(i)];
      if (result.known != nullptr) result.name = node.output(i);
      if (result.node >= before) emit_.Rename(result.node, node.output(i));
      TESSERA_RETURN_IF_ERROR(Define(node.output(i), result));
    }
    return absl::OkStatus();
  }

  absl::Status Convert(const onnx::NodeProto& node) {
    const bool is_standard = node.domain().empty() || node.domain() == "ai.onnx";
    if (is_standard && node.op_type() == "If") return TakeBranch(node);
    const Converter* convert = FindConverter(
        is_standard ? node.op_type() : absl::StrCat(node.domain(), ".", node.op_type()));
    if (convert == nullptr) {
      const std::string domain = is_standard ? "" : " of the domain " + Shown(node.domain());
      const bool is_function = std::ranges::any_of(
          model_.functions(), [&](const auto& f) { return f.name() == node.op_type(); });
      return absl::UnimplementedError(
          absl::StrCat("the operator", domain, " is not supported: ",
                       is_function ? "it is a function of the model; export with functions inlined"
                                   : WhyNot(is_standard ? node.op_type() : "")));
    }
    Values inputs;
    for (const std::string& name : node.input()) {
      Value value;
      if (!name.empty()) {
        TESSERA_ASSIGN_OR_RETURN(value, Named(name));
      }
      inputs.push_back(std::move(value));
    }
    const int before = emit_.size();
    Call call(node, opset_, std::move(inputs), emit_);
    const Values outputs = (*convert)(call);
    TESSERA_RETURN_IF_ERROR(emit_.status());
    if (const std::string unread = call.Unread(); !unread.empty()) {
      return absl::UnimplementedError(
          absl::StrCat("attribute ", Shown(unread), " is not supported; export without it"));
    }
    for (int i = 0; i < node.output_size(); ++i) {
      const std::string& name = node.output(i);
      if (name.empty()) continue;
      if (static_cast<size_t>(i) >= outputs.size() || outputs[i].is_absent()) {
        return absl::UnimplementedError(
            absl::StrCat("output ", i, ", ", Shown(name), ", is not supported; export without it"));
      }
      if (outputs[i].node >= before) emit_.Rename(outputs[i].node, name);
      TESSERA_RETURN_IF_ERROR(Define(name, outputs[i]));
    }
    return absl::OkStatus();
  }

  const onnx::ModelProto& model_;
  const ImportOptions& options_;
  const int opset_;
  Emitter emit_;
  absl::flat_hash_map<std::string, Value> values_;
  std::vector<std::string> defined_;  // the names of `values_`, as they came
  int64_t budget_ = kMaxWeightBytes;  // of initializers, what is left
};

}  // namespace

absl::StatusOr<graph::Graph> ImportModel(std::string_view bytes, const ImportOptions& options) {
  if (bytes.size() > kMaxModelBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", bytes.size(), " bytes; ", kMaxModelBytes,
                     " are the most. Keep its tensors in files of their own"));
  }
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("the file is no ONNX model: it cannot be parsed");
  }
  TESSERA_ASSIGN_OR_RETURN(const int opset, OpsetOf(model));
  absl::StatusOr<graph::Graph> made = Importer(model, options, opset).Run();
  if (!made.ok()) return made;
  TESSERA_RETURN_IF_ERROR(Annotate(graph::Verify(*made), "the graph made of the model"));
  return made;
}

}  // namespace tessera::frontend
