#include "frontend/onnx/call.h"

#include <onnx/onnx_pb.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/graph/families.h"
#include "frontend/onnx/tensor.h"

namespace tessera::frontend {

using onnx::AttributeProto;

Values Call::Fail(const std::string& what) {
  emit.Fail(absl::UnimplementedError(what));
  return {};
}

Values Call::Invalid(const std::string& what) {
  emit.Fail(absl::InvalidArgumentError(what));
  return {};
}

Value Call::In(size_t i) {
  if (Has(i)) return inputs_[i];
  Invalid(absl::StrCat("input ", i, " is missing"));
  return {};
}

std::vector<int64_t> Call::KnownInts(size_t i, const char* what) {
  const Value value = In(i);
  if (!ok()) return {};
  if (value.known == nullptr) {
    emit.Fail(absl::FailedPreconditionError(
        absl::StrCat("input ", i, " (", what, ", \"", node_.input(static_cast<int>(i)),
                     "\") has to be known when the model is imported; make it a constant of the "
                     "model, or give the values of the inputs that it is computed from")));
    return {};
  }
  if (!value.known->type.element.is_integer()) {
    Invalid(absl::StrCat("input ", i, " (", what, ") has to be of integers"));
    return {};
  }
  return IntsOf(*value.known);
}

std::vector<double> Call::KnownNumbers(size_t i, const char* what) {
  const Value value = In(i);
  std::vector<double> numbers;
  if (!ok()) return numbers;
  if (value.known == nullptr || value.known->type.element.is_integer()) {
    for (const int64_t number : KnownInts(i, what)) numbers.push_back(static_cast<double>(number));
    return numbers;
  }
  const int64_t count = value.known->bytes.empty() ? 0 : value.known->type.ElementCount();
  for (int64_t k = 0; k < count; ++k) numbers.push_back(value.known->At(k));
  return numbers;
}

std::vector<int64_t> Call::Axes(size_t input, int input_since) {
  if (opset < input_since) return Ints("axes");
  return Has(input) ? KnownInts(input, "axes") : std::vector<int64_t>{};
}

bool Call::CheckRank(const Value& x, size_t least, size_t most) {
  const size_t rank = emit.Rank(x);
  if (ok() && (rank < least || rank > most)) {
    Fail(absl::StrCat("an input is ", graph::ToString(emit.Type(x)), "; it has to have ", least,
                      " to ", most, " dimensions"));
  }
  return ok();
}

size_t Call::Axis(int64_t axis, size_t rank) {
  const int found = graph::AxisOf(axis, rank);
  if (found < 0) {
    Invalid(absl::StrCat("axis ", axis, " is none of ", rank, " dimensions"));
    return 0;
  }
  return static_cast<size_t>(found);
}

size_t Call::outputs() const { return static_cast<size_t>(node_.output_size()); }

bool Call::Wants(size_t output) const {
  return output < outputs() && !node_.output(static_cast<int>(output)).empty();
}

const AttributeProto* Call::Find(std::string_view name, int type) {
  read_.emplace(name);
  for (const AttributeProto& attribute : node_.attribute()) {
    if (attribute.name() != name) continue;
    if (!attribute.ref_attr_name().empty()) {
      Fail(absl::StrCat("attribute ", attribute.name(), " is that of a function"));
      return nullptr;
    }
    if (attribute.type() == type) return &attribute;
    Invalid(absl::StrCat("attribute ", attribute.name(), " is of kind ", attribute.type(),
                         "; it has to be of kind ", type, " (AttributeProto.AttributeType)"));
    return nullptr;
  }
  return nullptr;
}

bool Call::HasAttribute(std::string_view name) {
  for (const AttributeProto& attribute : node_.attribute()) {
    if (attribute.name() == name) return true;
  }
  return false;
}

int64_t Call::Int(std::string_view name, int64_t otherwise) {
  const AttributeProto* found = Find(name, AttributeProto::INT);
  return found == nullptr ? otherwise : found->i();
}
double Call::Float(std::string_view name, double otherwise) {
  const AttributeProto* found = Find(name, AttributeProto::FLOAT);
  return found == nullptr ? otherwise : static_cast<double>(found->f());
}
std::string Call::Word(std::string_view name, const std::string& otherwise) {
  const AttributeProto* found = Find(name, AttributeProto::STRING);
  return found == nullptr ? otherwise : found->s();
}
std::vector<int64_t> Call::Ints(std::string_view name) {
  const AttributeProto* found = Find(name, AttributeProto::INTS);
  if (found == nullptr) return {};
  return {found->ints().begin(), found->ints().end()};
}
std::vector<double> Call::Floats(std::string_view name) {
  const AttributeProto* found = Find(name, AttributeProto::FLOATS);
  if (found == nullptr) return {};
  return {found->floats().begin(), found->floats().end()};
}
std::vector<std::string> Call::Words(std::string_view name) {
  const AttributeProto* found = Find(name, AttributeProto::STRINGS);
  if (found == nullptr) return {};
  return {found->strings().begin(), found->strings().end()};
}

Value Call::Tensor(std::string_view name) {
  const AttributeProto* found = Find(name, AttributeProto::TENSOR);
  if (found == nullptr) return {};
  // Within the message, whose size is limited; in no file of its own.
  int64_t budget = graph::kMaxTensorBytes;
  absl::StatusOr<graph::TensorRef> tensor = ReadTensor(found->t(), {}, budget);
  if (!tensor.ok()) {
    emit.Fail(tensor.status());
    return {};
  }
  return {-1, *tensor};
}

void Call::Ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) read_.emplace(name);
}

std::string Call::Unread() const {
  for (const AttributeProto& attribute : node_.attribute()) {
    if (!read_.contains(attribute.name())) return attribute.name();
  }
  return "";
}

}  // namespace tessera::frontend
