#include "compiler/vta/instruction.h"

#include <array>

namespace tessera::vta {

std::string_view AluOpName(AluOp op) {
  constexpr std::array<std::string_view, kAluOps> kNames = {"min", "max", "add", "shr"};
  return kNames[static_cast<size_t>(op)];
}

}  // namespace tessera::vta
