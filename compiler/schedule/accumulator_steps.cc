#include "compiler/schedule/accumulator_steps.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"

namespace tessera::schedule {
namespace {

using Op = ir::BinaryOp;

// Steps in the order in which they run, and the least and largest value known afterwards.
class Chain {
 public:
  explicit Chain(const ir::Buffer& accumulator) : accumulator_(accumulator) {}

  absl::Status Follow(const ir::Expr& e) {
    if (const auto* load = e.As<ir::Load>(); load != nullptr && load->buffer == accumulator_) {
      return absl::OkStatus();
    }
    if (const auto* cast = e.As<ir::Cast>()) return FollowCast(*cast, e);
    if (const auto* binary = e.As<ir::Binary>()) return FollowBinary(*binary, e);
    return Refuse(e);
  }

  std::vector<AccumulatorStep> Take() { return std::move(steps_); }

 private:
  static constexpr int64_t kLeastImmediate = -(1 << 15), kMostImmediate = (1 << 15) - 1;

  static absl::Status Refuse(const ir::Expr& e) {
    return absl::InvalidArgumentError(
        absl::StrCat("the accelerator's ALU can't compute ", ir::Print(e)));
  }

  absl::Status FollowCast(const ir::Cast& cast, const ir::Expr& e) {
    if (cast.type != ir::Int(8) || !cast.saturate || cast.value.type() != ir::Int(32)) {
      return Refuse(e);
    }
    TESSERA_RETURN_IF_ERROR(Follow(cast.value));
    if (!least_ || *least_ < -128) Immediate(Op::kMax, -128);
    if (!most_ || *most_ > 127) Immediate(Op::kMin, 127);
    return absl::OkStatus();
  }

  absl::Status FollowBinary(const ir::Binary& binary, const ir::Expr& e) {
    const bool commutes = binary.op == Op::kAdd || binary.op == Op::kMin || binary.op == Op::kMax;
    const bool swaps = commutes && !ir::Reads(binary.a, accumulator_);
    const ir::Expr& chain = swaps ? binary.b : binary.a;
    const ir::Expr& operand = swaps ? binary.a : binary.b;
    if (e.type() != ir::Int(32)) return Refuse(e);
    std::optional<Op> op;
    if (binary.op == Op::kAdd || binary.op == Op::kSub) op = Op::kAdd;
    if (binary.op == Op::kMin || binary.op == Op::kMax || binary.op == Op::kShiftRight)
      op = binary.op;
    if (!op) return Refuse(e);
    TESSERA_RETURN_IF_ERROR(Follow(chain));
    const int64_t* constant = ir::AsConstInt(operand);
    if (constant != nullptr) {
      const int64_t value = binary.op == Op::kSub ? -*constant : *constant;
      if (value < kLeastImmediate || value > kMostImmediate) return Refuse(e);
      Immediate(*op, value);
      return absl::OkStatus();
    }
    const auto* cast = operand.As<ir::Cast>();
    const auto* load = (cast != nullptr ? cast->value : operand).As<ir::Load>();
    if (load == nullptr || load->buffer == accumulator_ || binary.op == Op::kSub ||
        binary.op == Op::kShiftRight) {
      return Refuse(e);
    }
    const bool is_bytes = cast != nullptr && load->buffer->type == ir::Int(8);
    if (is_bytes ? binary.op != Op::kAdd : cast != nullptr || load->buffer->type != ir::Int(32)) {
      return Refuse(e);
    }
    steps_.push_back({*op, load, 0});
    Bound(*op, std::nullopt);
    return absl::OkStatus();
  }

  void Immediate(Op op, int64_t value) {
    steps_.push_back({op, nullptr, value});
    Bound(op, value);
  }

  // What is known after a step with an operand of this value.
  void Bound(Op op, std::optional<int64_t> value) {
    switch (op) {
      case Op::kMax:
        if (value) least_ = std::max(least_.value_or(*value), *value);
        if (!value || (most_ && *most_ < *value)) most_ = value;
        return;
      case Op::kMin:
        if (value) most_ = std::min(most_.value_or(*value), *value);
        if (!value || (least_ && *least_ > *value)) least_ = value;
        return;
      default:
        least_ = most_ = std::nullopt;
    }
  }

  const ir::Buffer& accumulator_;
  std::vector<AccumulatorStep> steps_;
  std::optional<int64_t> least_, most_;
};

}  // namespace

absl::StatusOr<std::vector<AccumulatorStep>> AccumulatorSteps(const ir::Expr& value,
                                                              const ir::Buffer& accumulator) {
  if (value.type() != ir::Int(8)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "results of ", ir::ToString(value.type()),
        " can't be stored; the accelerator stores i8, so narrow them, as shift= does"));
  }
  Chain chain(accumulator);
  TESSERA_RETURN_IF_ERROR(chain.Follow(value));
  return chain.Take();
}

}  // namespace tessera::schedule
