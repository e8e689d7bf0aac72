#include "compiler/ir/matrix_call.h"

#include <array>
#include <vector>

namespace tessera::ir {
namespace {

constexpr size_t kNumbers = 8;

}  // namespace

Expr MakeMatrixCall(const MatrixCall& call) {
  std::vector<Expr> arguments = {call.a, call.b, call.c};
  for (const int64_t number :
       {call.rows, call.columns, call.terms, int64_t{call.transposes_a}, int64_t{call.transposes_b},
        call.a_stride, call.b_stride, call.c_stride}) {
    arguments.emplace_back(number);
  }
  return MakeCall(call.c.type(), kMatrixCall, std::move(arguments));
}

std::optional<MatrixCall> AsMatrixCall(const Expr& e) {
  const auto* call = e.As<Call>();
  if (call == nullptr || call->name != kMatrixCall || call->args.size() != 3 + kNumbers) {
    return std::nullopt;
  }
  std::array<int64_t, kNumbers> numbers;
  for (size_t i = 0; i < kNumbers; ++i) {
    const int64_t* number = AsConstInt(call->args[3 + i]);
    if (number == nullptr) return std::nullopt;
    numbers[i] = *number;
  }
  for (size_t i = 0; i < 3; ++i) {
    const auto* load = call->args[i].As<Load>();
    if (load == nullptr || load->type != Float(32)) return std::nullopt;
  }
  return MatrixCall{numbers[0],      numbers[1],    numbers[2],   numbers[3] != 0,
                    numbers[4] != 0, numbers[5],    numbers[6],   numbers[7],
                    call->args[0],   call->args[1], call->args[2]};
}

}  // namespace tessera::ir
