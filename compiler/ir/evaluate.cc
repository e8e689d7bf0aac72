#include "compiler/ir/evaluate.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter.h"

namespace tessera::ir {

absl::Status Evaluate(const Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  if (buffers.size() != program.params.size()) {
    return absl::InvalidArgumentError(absl::StrCat(program.name, ": ", buffers.size(),
                                                   " buffers given where the program takes ",
                                                   program.params.size()));
  }
  interpreter::Machine machine;
  interpreter::Compiler compiler(machine);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const BufferNode& param = *program.params[i];
    if (static_cast<int64_t>(buffers[i].size()) != param.StoredBytes()) {
      return absl::InvalidArgumentError(
          absl::StrCat(program.name, ": buffer ", param.name, " has ", buffers[i].size(),
                       " bytes, its type and layout need ", param.StoredBytes()));
    }
    compiler.BindParameter(program.params[i], buffers[i].data());
  }
  interpreter::StmtCode* code = compiler.Compile(program.body);
  if (machine.failed()) return machine.status();
  code->Run();
  return machine.status();
}

double ReadElement(Type type, absl::Span<const std::byte> bytes, int64_t index) {
  TESSERA_CHECK(index >= 0 && (index + 1) * std::max<int>(type.bits, 1) <=
                                  static_cast<int64_t>(bytes.size()) * 8);
  if (type.is_float()) return ReadFloat(type, bytes.data(), index);
  return IntegerToDouble(type, ReadInteger(type, bytes.data(), index));
}

void WriteElement(Type type, absl::Span<std::byte> bytes, int64_t index, double value) {
  TESSERA_CHECK(index >= 0 && (index + 1) * std::max<int>(type.bits, 1) <=
                                  static_cast<int64_t>(bytes.size()) * 8);
  if (type.is_float()) {
    WriteFloat(type, bytes.data(), index, RoundFloat(type, value));
  } else {
    WriteInteger(type, bytes.data(), index,
                 FloatToInteger(type, std::nearbyint(value), /*saturate=*/false));
  }
}

}  // namespace tessera::ir
