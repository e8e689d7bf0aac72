#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/graph/graph.h"

namespace onnx {
class TensorProto;
}

namespace tessera::frontend {

// What elements of a number in TensorProto.DataType are in graphs. Unimplemented for strings,
// complex numbers and what is narrower than a byte; names the type.
absl::StatusOr<ir::Type> ElementType(int64_t data_type);

// The tensor's elements, of which there may be none. `budget` is how many bytes there may be; those
// of this tensor are taken off. Errors name the tensor.
absl::StatusOr<graph::TensorRef> ReadTensor(const onnx::TensorProto& proto,
                                            const std::filesystem::path& folder, int64_t& budget);

// Exactly, but for those of u64 beyond i64, which wrap. Requires integers.
std::vector<int64_t> IntsOf(const graph::Tensor& tensor);
graph::TensorRef IntTensor(const std::vector<int64_t>& values, std::vector<int64_t> shape,
                           ir::Type type = ir::Int(64));

// `length` bytes at `offset` of a file in `folder`. PermissionDenied for locations that lead out of
// it, OutOfRange for bytes that the file hasn't.
absl::StatusOr<std::vector<std::byte>> ReadExternal(const std::filesystem::path& folder,
                                                    const std::string& location, int64_t offset,
                                                    int64_t length);

}  // namespace tessera::frontend
