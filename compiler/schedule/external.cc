#include "compiler/schedule/external.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/view.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/external_convolution.h"

namespace tessera::schedule {
namespace {

constexpr int64_t kMostAlong = std::numeric_limits<int32_t>::max();

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(why), "; a library multiplies matrices, as matmul, dense and batch_matmul do"));
}

bool IsVar(const ir::Expr& e, const te::Axis& axis) { return e.As<ir::Var>() == axis.var.get(); }

// How the last two dimensions of `load` are the two axes: in order, or the other way round.
std::optional<bool> IsTransposed(const ir::Load& load, const te::Axis& first,
                                 const te::Axis& second) {
  const size_t rank = load.indices.size();
  if (rank < 2 || load.predicate) return std::nullopt;
  for (size_t d = 0; d + 2 < rank; ++d) {
    if (ir::Uses(load.indices[d], first.var) || ir::Uses(load.indices[d], second.var)) {
      return std::nullopt;
    }
  }
  const ir::Expr &outer = load.indices[rank - 2], &inner = load.indices[rank - 1];
  if (IsVar(outer, first) && IsVar(inner, second)) return false;
  if (IsVar(outer, second) && IsVar(inner, first)) return true;
  return std::nullopt;
}

// The tensor's element that is a factor, as it is or as integers are before they are multiplied.
const ir::Load* FactorOf(const ir::Expr& e) {
  const auto* cast = e.As<ir::Cast>();
  if (cast == nullptr || !cast->value.type().is_integer()) return e.As<ir::Load>();
  return cast->value.As<ir::Load>();
}

bool Moves(const ir::Load& load, const te::Axis& axis) {
  return std::ranges::any_of(load.indices,
                             [&](const ir::Expr& index) { return ir::Uses(index, axis.var); });
}

bool IsRowMajor(const std::vector<ir::LayoutDim>& layout, const std::vector<int64_t>& shape) {
  if (layout.empty()) return true;
  bool in_order = layout.size() == shape.size();
  for (size_t d = 0; in_order && d < shape.size(); ++d) {
    in_order = layout[d].axis == static_cast<int>(d) && layout[d].divisor == 1 &&
               layout[d].extent == shape[d];
  }
  return in_order;
}

// What is the same of products and convolutions: where the stage is, and the `around` loops that
// are around calls.
absl::Status CheckAround(const StageState& state, const BoundStage& stage, size_t around) {
  const auto refuse = [](std::string_view why) {
    return absl::InvalidArgumentError(std::string(why));
  };
  if (state.placement != Placement::kRoot) return refuse("only what is at the root is a call");
  if (state.streams || state.prefetch > 0 || state.is_doubled) {
    return refuse("stream, prefetch and double_buffer are for loops, which a call has not");
  }
  for (size_t l = 0; l < around; ++l) {
    const ir::LoopKind kind = stage.loops[l].kind;
    if (kind == ir::LoopKind::kSerial || kind == ir::LoopKind::kParallel) continue;
    return refuse("loops around a call are in order or parallel");
  }
  if (std::ranges::any_of(stage.axes, &AxisRange::guarded)) {
    return refuse("a call computes all of its part; choose factors that divide");
  }
  return absl::OkStatus();
}

absl::Status CheckExternalProduct(const Schedule& schedule, const BoundStage& stage,
                                  const MatrixProduct& product) {
  const te::Stage& definition = *schedule.stages()[stage.stage].stage;
  const auto refuse = [](std::string_view why) {
    return absl::InvalidArgumentError(std::string(why));
  };
  const size_t count = stage.loops.size();
  const int axes[] = {product.row_axis, product.column_axis, product.sum_axis};
  for (size_t l = 0; l < 3; ++l) {
    const BoundLoop* loop = count >= 3 ? &stage.loops[count - 3 + l] : nullptr;
    if (loop == nullptr || loop->digits.size() != 1 || loop->kind != ir::LoopKind::kSerial ||
        loop->digits[0].axis != axes[l] || loop->digits[0].stride != 1) {
      return refuse("its innermost loops have to be rows, columns and the sum, in order");
    }
  }
  if (stage.loops[count - 1].extent != stage.axes[product.sum_axis].extent) {
    return refuse("a call adds all terms; the sum's loop can't be split");
  }
  for (const ir::Buffer& buffer : {product.a->buffer, product.b->buffer, definition.output()}) {
    if (IsRowMajor(schedule.LayoutOf(buffer), buffer->shape)) continue;
    return refuse(absl::StrCat(buffer->name, " has a layout; a library reads and writes rows"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MatrixProduct> FindMatrixProduct(const te::Stage& stage, std::string_view provider) {
  if (stage.combiner != te::Combiner::kSum || stage.reduce_axes.size() != 1 ||
      stage.outputs.size() != 1 || stage.axes.size() < 2) {
    return Refuse("is no sum over one axis for rows and columns");
  }
  const auto* product = stage.bodies[0].As<ir::Binary>();
  if (product == nullptr || product->op != ir::BinaryOp::kMul) return Refuse("is no product");
  const auto *a = FactorOf(product->a), *b = FactorOf(product->b);
  if (a == nullptr || b == nullptr) return Refuse("multiplies what is not a tensor's element");
  if (product->type != stage.output()->type) return Refuse("rounds products before it adds them");
  const size_t rank = stage.axes.size();
  const te::Axis &row = stage.axes[rank - 2], &column = stage.axes[rank - 1];
  const te::Axis& sum = stage.reduce_axes[0];
  if (Moves(*a, column)) std::swap(a, b);
  if (Moves(*a, column) || Moves(*b, row)) return Refuse("has an operand with rows and columns");
  TESSERA_RETURN_IF_ERROR(ir::CheckMultiplies(provider, a->type, b->type, stage.output()->type));
  const std::optional<bool> transposes_a = IsTransposed(*a, row, sum);
  const std::optional<bool> transposes_b = IsTransposed(*b, sum, column);
  if (!transposes_a || !transposes_b) {
    return Refuse("reads operands whose last two dimensions are not axes alone");
  }
  for (const int64_t extent :
       {row.extent, column.extent, sum.extent, a->buffer->shape.back(), b->buffer->shape.back()}) {
    if (extent <= kMostAlong) continue;
    return Refuse(absl::StrCat("has ", extent, " elements in a row, the limit is ", kMostAlong));
  }
  const int last = static_cast<int>(rank);
  return MatrixProduct{a, b, *transposes_a, *transposes_b, last - 2, last - 1, last};
}

absl::Status CheckCallable(const te::Stage& stage, std::string_view provider) {
  const absl::Status product = FindMatrixProduct(stage, provider).status();
  if (product.ok() || stage.reduce_axes.size() < 2) return product;
  return FindConvolution(stage, provider).status();
}

absl::Status CheckExternal(const Schedule& schedule, const BoundStage& stage) {
  const StageState& state = schedule.stages()[stage.stage];
  const auto check = [&]() -> absl::Status {
    const absl::StatusOr<MatrixProduct> product = FindMatrixProduct(*state.stage, state.provider);
    const size_t count = stage.loops.size();
    if (product.ok()) {
      TESSERA_RETURN_IF_ERROR(CheckExternalProduct(schedule, stage, *product));
      return CheckAround(state, stage, count - 3);
    }
    TESSERA_RETURN_IF_ERROR(CheckCallable(*state.stage, state.provider));
    TESSERA_ASSIGN_OR_RETURN(const Convolution convolution,
                             FindConvolution(*state.stage, state.provider));
    TESSERA_RETURN_IF_ERROR(CheckExternalConvolution(schedule, stage, convolution));
    return CheckAround(state, stage, count - InnerLoops(*state.stage, convolution));
  };
  const absl::Status status = check();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("external ", state.stage->name(), ": ", status.message()));
}

std::vector<std::string> ProvidersOf(const Schedule& schedule) {
  std::vector<std::string> called;
  for (const ThirdParty& provider : ThirdParties()) {
    const std::string name(provider.name);
    const auto calls = [&](const StageState& state) { return state.provider == name; };
    if (std::ranges::any_of(schedule.stages(), calls)) called.push_back(name);
  }
  return called;
}

}  // namespace tessera::schedule
