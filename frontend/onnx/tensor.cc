#include "frontend/onnx/tensor.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/te/saturating.h"

namespace tessera::frontend {
namespace {

using onnx::TensorProto;

static_assert(std::endian::native == std::endian::little, "tensors are little endian");

// Narrow elements of a field that has wider ones.
template <typename Narrow, typename Field>
std::vector<std::byte> Narrowed(const Field& field) {
  std::vector<std::byte> bytes(static_cast<size_t>(field.size()) * sizeof(Narrow));
  for (int i = 0; i < field.size(); ++i) {
    const auto value = static_cast<Narrow>(field[i]);
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(Narrow), &value, sizeof(Narrow));
  }
  return bytes;
}

std::vector<std::byte> TypedField(const TensorProto& proto) {
  switch (proto.data_type()) {
    case TensorProto::FLOAT:
      return Narrowed<float>(proto.float_data());
    case TensorProto::DOUBLE:
      return Narrowed<double>(proto.double_data());
    case TensorProto::INT64:
      return Narrowed<int64_t>(proto.int64_data());
    case TensorProto::UINT64:
      return Narrowed<uint64_t>(proto.uint64_data());
    case TensorProto::UINT32:
      return Narrowed<uint32_t>(proto.uint64_data());
    case TensorProto::INT32:
      return Narrowed<int32_t>(proto.int32_data());
    case TensorProto::INT16:
    case TensorProto::UINT16:
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
      return Narrowed<uint16_t>(proto.int32_data());
    default:
      return Narrowed<uint8_t>(proto.int32_data());
  }
}

absl::StatusOr<std::vector<std::byte>> External(const TensorProto& proto,
                                                const std::filesystem::path& folder,
                                                int64_t expected) {
  std::string location;
  int64_t offset = 0, length = expected;
  for (const onnx::StringStringEntryProto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    for (const auto& [key, number] : {std::pair("offset", &offset), std::pair("length", &length)}) {
      if (entry.key() == key && !absl::SimpleAtoi(entry.value(), number)) {
        return absl::InvalidArgumentError(
            absl::StrCat(key, " is \"", entry.value(), "\", which is no number"));
      }
    }
  }
  if (length != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("its data have ", length, " bytes; its shape needs ", expected));
  }
  return ReadExternal(folder, location, offset, length);
}

absl::StatusOr<graph::TensorRef> Read(const TensorProto& proto, const std::filesystem::path& folder,
                                      int64_t& budget) {
  auto tensor = std::make_shared<graph::Tensor>();
  TESSERA_ASSIGN_OR_RETURN(tensor->type.element, ElementType(proto.data_type()));
  if (proto.dims_size() > graph::kMaxRank) {
    return absl::UnimplementedError(
        absl::StrCat("has ", proto.dims_size(), " dimensions; ", graph::kMaxRank, " are the most"));
  }
  for (const int64_t extent : proto.dims()) {
    if (extent < 0) return absl::InvalidArgumentError(absl::StrCat("has an extent of ", extent));
    tensor->type.shape.push_back(extent);
  }
  const int64_t count =
      std::ranges::count(tensor->type.shape, 0) > 0 ? 0 : te::SaturatingProduct(tensor->type.shape);
  const int64_t width = tensor->type.element.bits / 8;
  if (count > budget / width) {
    return absl::ResourceExhaustedError(absl::StrCat(graph::ToString(tensor->type),
                                                     " is larger than what is left of ", budget,
                                                     " bytes for all tensors of a model"));
  }
  if (proto.has_segment()) return absl::UnimplementedError("is in segments; store it as a whole");
  const int64_t expected = count * width;
  if (proto.data_location() == TensorProto::EXTERNAL) {
    TESSERA_ASSIGN_OR_RETURN(tensor->bytes, External(proto, folder, expected));
  } else if (proto.has_raw_data()) {
    const auto* raw = reinterpret_cast<const std::byte*>(proto.raw_data().data());
    tensor->bytes.assign(raw, raw + proto.raw_data().size());
  } else {
    tensor->bytes = TypedField(proto);
  }
  if (static_cast<int64_t>(tensor->bytes.size()) != expected) {
    return absl::InvalidArgumentError(absl::StrCat("has ", tensor->bytes.size(), " bytes of data; ",
                                                   graph::ToString(tensor->type), " needs ",
                                                   expected));
  }
  if (proto.data_type() == TensorProto::BOOL) {
    for (std::byte& b : tensor->bytes) b = std::byte{b != std::byte{0}};
  }
  budget -= expected;
  return tensor;
}

}  // namespace

absl::StatusOr<ir::Type> ElementType(int64_t data_type) {
  switch (data_type) {
    case TensorProto::FLOAT:
      return ir::Float(32);
    case TensorProto::DOUBLE:
      return ir::Float(64);
    case TensorProto::FLOAT16:
      return ir::Float(16);
    case TensorProto::BFLOAT16:
      return ir::BFloat16();
    case TensorProto::INT8:
      return ir::Int(8);
    case TensorProto::INT16:
      return ir::Int(16);
    case TensorProto::INT32:
      return ir::Int(32);
    case TensorProto::INT64:
      return ir::Int(64);
    case TensorProto::UINT8:
    case TensorProto::BOOL:  // with an address of its own for each
      return ir::UInt(8);
    case TensorProto::UINT16:
      return ir::UInt(16);
    case TensorProto::UINT32:
      return ir::UInt(32);
    case TensorProto::UINT64:
      return ir::UInt(64);
    default:
      break;
  }
  // The numbers beyond 16 are of ONNX 1.14 and later.
  static constexpr std::pair<int, const char*> kOthers[] = {
      {0, "of no type"},    {8, "string"},          {14, "complex64"},  {15, "complex128"},
      {17, "float8e4m3fn"}, {18, "float8e4m3fnuz"}, {19, "float8e5m2"}, {20, "float8e5m2fnuz"},
      {21, "uint4"},        {22, "int4"},           {23, "float4e2m1"}};
  const char* name = "unknown";
  for (const auto& [number, known] : kOthers) name = number == data_type ? known : name;
  return absl::UnimplementedError(
      absl::StrCat("elements of type ", data_type, " (", name,
                   ") are not supported; there are floats of 16 to 64 bits, bfloat16, integers of "
                   "8 to 64 bits and bool"));
}

absl::StatusOr<graph::TensorRef> ReadTensor(const TensorProto& proto,
                                            const std::filesystem::path& folder, int64_t& budget) {
  absl::StatusOr<graph::TensorRef> tensor = Read(proto, folder, budget);
  if (tensor.ok()) return tensor;
  return Annotate(tensor.status(), absl::StrCat("tensor \"", proto.name().substr(0, 120), "\""));
}

std::vector<int64_t> IntsOf(const graph::Tensor& tensor) {
  std::vector<int64_t> values;
  const int64_t count = tensor.bytes.empty() ? 0 : tensor.type.ElementCount();
  for (int64_t i = 0; i < count; ++i) values.push_back(tensor.IntAt(i));
  return values;
}

graph::TensorRef IntTensor(const std::vector<int64_t>& values, std::vector<int64_t> shape,
                           ir::Type type) {
  auto tensor = std::make_shared<graph::Tensor>();
  tensor->type = {type, std::move(shape), {}};
  const size_t width = type.bits / 8;
  tensor->bytes.resize(values.size() * width);
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(tensor->bytes.data() + i * width, &values[i], width);
  }
  return tensor;
}

}  // namespace tessera::frontend
