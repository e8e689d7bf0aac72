#include "compiler/graph/text.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/graph/operators.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/names.h"

namespace tessera::graph {
namespace {

// The shortest text that reads back to the number. One of a float has a point or an exponent.
std::string NumberText(double value, bool is_float) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  std::string text(buffer, end);
  if (is_float && text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string ListText(const std::vector<int64_t>& list) {
  return absl::StrCat("[", absl::StrJoin(list, ","), "]");
}

struct AttributeText {
  std::string operator()(int64_t value) const { return absl::StrCat(value); }
  std::string operator()(double value) const { return NumberText(value, true); }
  std::string operator()(const std::string& word) const { return word; }
  std::string operator()(const std::vector<int64_t>& list) const { return ListText(list); }
};

bool IsDefault(const Node& node, const std::string& name, const Attribute& value) {
  const Operator* op = FindOperator(node.op);
  for (const Operator::Parameter& parameter : op->parameters) {
    if (parameter.name == name) return !parameter.is_required && parameter.like == value;
  }
  return false;
}

std::string ValuesText(const Tensor& tensor) {
  std::string text = "[";
  for (int64_t i = 0; i < tensor.type.ElementCount(); ++i) {
    absl::StrAppend(&text, i > 0 ? "," : "",
                    NumberText(tensor.At(i), tensor.type.element.is_float()));
  }
  return text + "]";
}

// The doubles of wide integers are not exact.
bool IsInText(const Tensor& tensor) {
  if (tensor.type.ElementCount() > kMostElementsInText) return false;
  for (int64_t i = 0; i < tensor.type.ElementCount(); ++i) {
    const double value = tensor.At(i);
    if (!std::isfinite(value) || (value == 0 && std::signbit(value))) return false;
    if (tensor.type.element.is_integer() && std::abs(value) > 9e15) return false;
  }
  return true;
}

// Reads one line from left to right.
class Line {
 public:
  Line(std::string_view text, int number) : text_(text), number_(number) {}

  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", number_, ", column ", at_ + 1, ": ", AbslView(what)));
  }
  void SkipSpaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool AtEnd() {
    SkipSpaces();
    return at_ == text_.size();
  }
  bool Take(char c) {
    SkipSpaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  absl::Status Expect(char c) {
    return Take(c) ? absl::OkStatus() : Error(absl::StrCat("expected \"", std::string(1, c), "\""));
  }
  // Characters of numbers and words.
  std::string_view Word() {
    SkipSpaces();
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' ||
            text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.')) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }
  absl::StatusOr<std::string> Name() {
    const std::string name(Word());
    if (!te::IsName(name)) return Error("expected a name");
    return name;
  }
  // Up to the next `end`, which is taken.
  absl::StatusOr<std::string_view> Until(char end) {
    const size_t found = text_.find(end, at_);
    if (found == std::string_view::npos) {
      return Error(absl::StrCat("expected \"", std::string(1, end), "\" later"));
    }
    const std::string_view part = text_.substr(at_, found - at_);
    at_ = found + 1;
    return part;
  }
  // Behind a "[".
  template <typename Number>
  absl::StatusOr<std::vector<Number>> Numbers() {
    TESSERA_ASSIGN_OR_RETURN(const std::string_view part, Until(']'));
    std::vector<Number> numbers;
    if (part.empty()) return numbers;
    for (const absl::string_view text : absl::StrSplit(AbslView(part), ',')) {
      Number number{};
      bool is_number = false;
      if constexpr (std::is_same_v<Number, double>) {
        is_number = absl::SimpleAtod(text, &number);
      } else {
        is_number = absl::SimpleAtoi(text, &number);
      }
      if (!is_number) return Error(absl::StrCat("\"", text, "\" is no number"));
      numbers.push_back(number);
    }
    return numbers;
  }
  absl::StatusOr<TensorType> Type() {
    TensorType type;
    absl::StatusOr<ir::Type> element = ir::ParseType(Word());
    if (!element.ok()) return Error(std::string(element.status().message()));
    type.element = *element;
    TESSERA_RETURN_IF_ERROR(Expect('['));
    TESSERA_ASSIGN_OR_RETURN(type.shape, Numbers<int64_t>());
    SkipSpaces();
    if (text_.substr(at_).starts_with("layout(")) {
      at_ += 7;
      TESSERA_ASSIGN_OR_RETURN(const std::string_view layout, Until(')'));
      absl::StatusOr<std::vector<ir::LayoutDim>> dims = ir::ParseLayout(layout, type.shape);
      if (!dims.ok()) return Error(std::string(dims.status().message()));
      type.layout = *std::move(dims);
    }
    if (const absl::Status fits = CheckType(type); !fits.ok()) {
      return Error(StdView(fits.message()));
    }
    return type;
  }
  absl::StatusOr<Attribute> Value(const Attribute& like) {
    if (std::holds_alternative<std::vector<int64_t>>(like)) {
      TESSERA_RETURN_IF_ERROR(Expect('['));
      return Numbers<int64_t>();
    }
    const std::string word(Word());
    int64_t whole = 0;
    double number = 0;
    if (std::holds_alternative<std::string>(like) && !word.empty()) return Attribute{word};
    if (std::holds_alternative<int64_t>(like) && absl::SimpleAtoi(word, &whole)) {
      return Attribute{whole};
    }
    if (std::holds_alternative<double>(like) && absl::SimpleAtod(word, &number)) {
      return Attribute{number};
    }
    return Error(absl::StrCat("\"", word, "\" is no value of that attribute"));
  }

 private:
  std::string_view text_;
  int number_;
  size_t at_ = 0;
};

class Parser {
 public:
  explicit Parser(const BlobSource& blobs) : blobs_(blobs) {}

  absl::StatusOr<Graph> Run(std::string_view text) {
    if (text.size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the text has ", text.size(), " bytes; ", kMaxTextBytes, " are the most"));
    }
    int number = 0;
    for (const absl::string_view line : absl::StrSplit(AbslView(text), '\n')) {
      TESSERA_RETURN_IF_ERROR(Read(Line(StdView(line), ++number)));
    }
    if (graph_.name.empty()) return absl::InvalidArgumentError("the text names no graph");
    TESSERA_RETURN_IF_ERROR(Verify(graph_));
    return std::move(graph_);
  }

 private:
  absl::Status Read(Line line) {
    if (line.AtEnd()) return absl::OkStatus();
    const Line before = line;
    TESSERA_ASSIGN_OR_RETURN(const std::string first, line.Name());
    if (line.Take('=')) return ReadOperator(line, first);
    if (first == "graph") {
      if (!graph_.name.empty()) return before.Error("the graph has a name already");
      TESSERA_ASSIGN_OR_RETURN(graph_.name, line.Name());
    } else if (first == "output") {
      TESSERA_ASSIGN_OR_RETURN(const int node, Known(line));
      graph_.outputs.push_back(node);
    } else if (first == "input" || first == "const") {
      Node node{.op = first == "input" ? "input" : "constant"};
      TESSERA_ASSIGN_OR_RETURN(node.name, line.Name());
      TESSERA_RETURN_IF_ERROR(line.Expect(':'));
      TESSERA_ASSIGN_OR_RETURN(node.type, line.Type());
      if (first == "const") {
        TESSERA_RETURN_IF_ERROR(line.Expect('='));
        TESSERA_ASSIGN_OR_RETURN(node.constant, Constant(line, node.type));
      }
      TESSERA_RETURN_IF_ERROR(Append(before, std::move(node)));
    } else {
      return before.Error("expected graph, input, const, output, or a node's name and \"=\"");
    }
    return line.AtEnd() ? absl::OkStatus() : line.Error("expected the end of the line");
  }

  absl::Status ReadOperator(Line line, const std::string& name) {
    Node node{.name = name};
    const Line before = line;
    node.op = std::string(line.Word());
    const Operator* op = FindOperator(node.op);
    if (op == nullptr) return before.Error(absl::StrCat("there is no operator \"", node.op, "\""));
    TESSERA_RETURN_IF_ERROR(line.Expect('('));
    while (!line.Take(')')) {
      if (!node.operands.empty()) TESSERA_RETURN_IF_ERROR(line.Expect(','));
      TESSERA_ASSIGN_OR_RETURN(const int operand, Known(line));
      node.operands.push_back(operand);
    }
    while (!line.Take(':')) {
      const std::string attribute(line.Word());
      const auto parameter =
          std::ranges::find(op->parameters, attribute, &Operator::Parameter::name);
      if (parameter == op->parameters.end()) {
        return line.Error(absl::StrCat(node.op, " has no attribute \"", attribute, "\""));
      }
      TESSERA_RETURN_IF_ERROR(line.Expect('='));
      TESSERA_ASSIGN_OR_RETURN(Attribute value, line.Value(parameter->like));
      if (!node.attributes.emplace(attribute, std::move(value)).second) {
        return line.Error(absl::StrCat(attribute, " is given twice"));
      }
    }
    absl::StatusOr<Attributes> complete = CompleteAttributes(*op, std::move(node.attributes));
    if (!complete.ok()) return line.Error(std::string(complete.status().message()));
    node.attributes = *std::move(complete);
    TESSERA_ASSIGN_OR_RETURN(node.type, line.Type());
    if (!line.AtEnd()) return line.Error("expected the end of the line");
    return Append(before, std::move(node));
  }

  absl::Status Append(const Line& line, Node node) {
    if (graph_.nodes.size() == kMaxNodes) {
      return line.Error(absl::StrCat("the graph has more than ", kMaxNodes, " nodes"));
    }
    const auto number = static_cast<int>(graph_.nodes.size());
    if (!numbers_.emplace(node.name, number).second) {
      return line.Error(absl::StrCat(node.name, " is defined twice"));
    }
    graph_.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::StatusOr<int> Known(Line& line) const {
    TESSERA_ASSIGN_OR_RETURN(const std::string name, line.Name());
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) {
      return line.Error(absl::StrCat(name, " is not defined before this line"));
    }
    return found->second;
  }

  absl::StatusOr<TensorRef> Constant(Line& line, const TensorType& type) const {
    if (line.Take('[')) {
      if (type.ElementCount() > kMostElementsInText) {
        return line.Error(absl::StrCat("constants of more than ", kMostElementsInText,
                                       " elements are told by their digest"));
      }
      TESSERA_ASSIGN_OR_RETURN(const std::vector<double> values, line.Numbers<double>());
      if (static_cast<int64_t>(values.size()) != type.ElementCount()) {
        return line.Error(
            absl::StrCat("there are ", values.size(), " values for ", ToString(type)));
      }
      return MakeTensor(type.element, type.shape, values);
    }
    if (line.Word() != "sha256") return line.Error("expected [values] or sha256:digest");
    TESSERA_RETURN_IF_ERROR(line.Expect(':'));
    const std::string digest(line.Word());
    absl::StatusOr<std::string> bytes = blobs_(digest);
    if (!bytes.ok()) return line.Error(std::string(bytes.status().message()));
    if (Sha256Hex(*bytes) != digest) return line.Error("the values have another digest");
    if (static_cast<int64_t>(bytes->size()) != type.Bytes()) {
      return line.Error(absl::StrCat("there are ", bytes->size(), " bytes for ", ToString(type)));
    }
    auto tensor = std::make_shared<Tensor>();
    tensor->type = type;
    const auto* data = reinterpret_cast<const std::byte*>(bytes->data());
    tensor->bytes.assign(data, data + bytes->size());
    return tensor;
  }

  const BlobSource& blobs_;
  Graph graph_;
  absl::flat_hash_map<std::string, int> numbers_;
};

// The value of a constant.
std::string TextOf(const TensorRef& tensor, Blobs* named) {
  if (IsInText(*tensor)) return ValuesText(*tensor);
  const std::string digest = DigestOf(*tensor);
  if (named != nullptr) named->emplace(digest, tensor);
  return absl::StrCat("sha256:", digest);
}

}  // namespace

std::string DigestOf(const Tensor& tensor) {
  return Sha256Hex({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()});
}

std::string Print(const Graph& graph, Blobs* named) {
  std::string text = absl::StrCat("graph ", graph.name, "\n");
  for (const Node& node : graph.nodes) {
    if (node.is_input()) {
      absl::StrAppend(&text, "input ", node.name, ": ", ToString(node.type), "\n");
      continue;
    }
    if (node.is_constant()) {
      absl::StrAppend(&text, "const ", node.name, ": ", ToString(node.type), " = ",
                      TextOf(node.constant, named), "\n");
      continue;
    }
    absl::StrAppend(
        &text, node.name, " = ", node.op, "(",
        absl::StrJoin(node.operands, ", ",
                      [&](std::string* out, int operand) { *out += graph.nodes[operand].name; }),
        ")");
    for (const auto& [name, value] : node.attributes) {
      if (IsDefault(node, name, value)) continue;
      absl::StrAppend(&text, " ", name, "=", std::visit(AttributeText{}, value));
    }
    absl::StrAppend(&text, ": ", ToString(node.type), "\n");
  }
  for (const int output : graph.outputs) {
    absl::StrAppend(&text, "output ", graph.nodes[output].name, "\n");
  }
  return text;
}

absl::StatusOr<Graph> ParseGraph(std::string_view text, const BlobSource& blobs) {
  return Parser(blobs).Run(text);
}

}  // namespace tessera::graph
