#include "compiler/codegen/gpu/read_paths.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/lowering_limits.h"

namespace tessera::codegen::gpu {
namespace {

absl::Status CheckPath(const KernelNest& nest, const ir::BufferNode& buffer,
                       const ir::Target& target) {
  const std::string what =
      absl::StrCat("code generation: kernel ", nest.name, ": buffer ", buffer.name,
                   " is read through ", ir::ToString(buffer.read_path));
  bool is_written = false;
  ir::ForEach<ir::Store>(nest.body,
                         [&](const ir::Store& s) { is_written |= s.buffer.get() == &buffer; });
  if (is_written) return absl::InvalidArgumentError(absl::StrCat(what, " and written"));
  if (buffer.read_path != ir::ReadPath::kImage) return absl::OkStatus();
  if (!ir::FillsTexels(buffer)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ", which has fours of f32 or f16; it has ",
                                                   buffer.StoredElementCount(), " of ",
                                                   ir::ToString(buffer.type)));
  }
  const int64_t texels = buffer.StoredElementCount() / ir::kTexelElements;
  if (texels <= target.image_texels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " and takes ", texels, " texels; the target has ", target.image_texels));
}

}  // namespace

ArgumentKind KindOf(const ir::BufferNode& param) {
  switch (param.read_path) {
    case ir::ReadPath::kPlain:
      return ArgumentKind::kMemory;
    case ir::ReadPath::kConstant:
      return ArgumentKind::kConstant;
    case ir::ReadPath::kImage:
      return param.type.bits == 32 ? ArgumentKind::kImageF32 : ArgumentKind::kImageF16;
  }
  TESSERA_CHECK(false);
}

absl::Status CheckReadPaths(const ir::Program& program, const KernelNest& nest,
                            const ir::Target& target) {
  int64_t constants = 0, constant_bytes = 0, images = 0;
  for (const int index : nest.params) {
    const ir::BufferNode& buffer = *program.params[index];
    if (buffer.read_path == ir::ReadPath::kPlain) continue;
    TESSERA_RETURN_IF_ERROR(CheckPath(nest, buffer, target));
    const bool is_image = buffer.read_path == ir::ReadPath::kImage;
    ++(is_image ? images : constants);
    if (!is_image) constant_bytes += buffer.StoredBytes();
  }
  const auto check = [&](int64_t value, const char* what, int64_t limit) {
    if (value <= limit) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("code generation: kernel ", nest.name, ": ",
                                                   value, " ", what, "; the target has ", limit));
  };
  TESSERA_RETURN_IF_ERROR(check(constant_bytes, "bytes of constant memory", target.constant_bytes));
  TESSERA_RETURN_IF_ERROR(
      check(constants, "arguments in constant memory", schedule::kMaxConstantArguments));
  return check(images, "arguments that are images", schedule::kMaxImageArguments);
}

}  // namespace tessera::codegen::gpu
