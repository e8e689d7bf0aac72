#include "compiler/ir/matrix_factor.h"

#include "compiler/ir/tf32.h"

namespace tessera::ir {

const Load* AsMatrixFactor(const Expr& e) {
  if (e.type() != Float(32)) return nullptr;
  if (const Expr* number = AsTf32(e)) return number->As<Load>();
  const auto* cast = e.As<Cast>();
  const auto* load = cast == nullptr ? nullptr : cast->value.As<Load>();
  const bool is_half =
      load != nullptr && load->buffer->type.is_float() && load->buffer->type.bits == 16;
  return is_half ? load : nullptr;
}

}  // namespace tessera::ir
