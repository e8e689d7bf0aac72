#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/families.h"

// A max pool's derivative needs to know which element each window took, and where a result goes.

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;

std::vector<te::Dim> Leading(const TensorType& x) { return {{"n", x.shape[0]}, {"c", x.shape[1]}}; }

// The number of a tap within its window, row-major.
ir::Expr TapNumber(const std::vector<te::Window>& windows, const Indices& taps) {
  ir::Expr number = taps[0];
  for (size_t i = 1; i < windows.size(); ++i) {
    number = number * ir::Expr(windows[i].kernel) + taps[i];
  }
  return ir::MakeCast(ir::Int(32), number);
}

absl::Status CheckTaps(const std::vector<te::Window>& windows) {
  int64_t taps = 1;
  for (const te::Window& window : windows) {
    taps *= window.kernel;
    if (taps > INT32_MAX) {
      return absl::InvalidArgumentError(
          absl::StrCat("windows have more than ", INT32_MAX, " elements"));
    }
  }
  return absl::OkStatus();
}

// --- max_pool_at(x): which element of its window max_pool takes, the first of equals

absl::StatusOr<TensorType> InferAt(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<te::Window> windows, PoolWindows(call));
  TESSERA_RETURN_IF_ERROR(CheckTaps(windows));
  const TensorType& x = call.operands[0];
  TensorType result{ir::Int(32), {x.shape[0], x.shape[1]}, {}};
  for (const te::Window& window : windows) result.shape.push_back(window.out);
  return result;
}
ir::Buffer DefineAt(te::DagBuilder& builder, const Call& call, absl::Span<const Operand> operands,
                    const TensorType& result, const std::string& name) {
  const std::vector<te::Window> windows = *PoolWindows(call);
  const TensorType& x = call.operands[0];
  const ir::Buffer padded = te::PadStage(builder, operands[0].buffer(), Leading(x), windows,
                                         ir::MinValue(x.element), name + "_pad");
  const std::vector<ir::Buffer> pair = builder.ReduceTuple(
      {name + "_value", name + "_tap"}, {x.element, ir::Int(32)},
      te::OutputDims(Leading(x), windows), te::KernelDims({}, windows), te::Combiner::kArgMax,
      [&](const Indices& axes, const Indices& taps) {
        Indices from{axes[0], axes[1]};
        for (size_t i = 0; i < windows.size(); ++i) {
          from.push_back(te::Tap(windows[i], axes[2 + i], taps[i]));
        }
        return std::vector<ir::Expr>{ir::MakeLoad(padded, from), TapNumber(windows, taps)};
      });
  return builder.Compute(name, ir::Int(32), DimsOf(result.shape),
                         [&](const Indices& axes) { return ir::MakeLoad(pair[1], axes); });
}

// --- max_unpool(x, at): each element of x goes where max_pool of a tensor of `shape` took it from;
// what several windows took is their sum, what none took 0.

// The pooled tensor, of which the result is as large.
TensorType PooledFrom(const Call& call) {
  return {call.operands[0].element, call.Ints("shape"), {}};
}
absl::StatusOr<TensorType> InferUnpool(const Call& call) {
  TensorType result = PooledFrom(call);
  TESSERA_RETURN_IF_ERROR(CheckType(result));
  const Call pool{call.attributes, {&result, 1}};
  TESSERA_ASSIGN_OR_RETURN(const std::vector<te::Window> windows, PoolWindows(pool));
  TESSERA_RETURN_IF_ERROR(CheckTaps(windows));
  std::vector<int64_t> pooled{result.shape[0], result.shape[1]};
  for (const te::Window& window : windows) pooled.push_back(window.out);
  const TensorType &x = call.operands[0], &at = call.operands[1];
  if (x.shape != pooled || at.shape != pooled || at.element != ir::Int(32)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape is pooled to ", ToString({x.element, pooled, {}}),
                     ", of which x has to be, and places to i32 of that shape"));
  }
  return result;
}
ir::Buffer DefineUnpool(te::DagBuilder& builder, const Call& call,
                        absl::Span<const Operand> operands, const TensorType& result,
                        const std::string& name) {
  const TensorType from = PooledFrom(call);
  const std::vector<te::Window> windows = *PoolWindows({call.attributes, {&from, 1}});
  const ir::Type wide = SumType(result.element);
  std::vector<te::Dim> dims = te::InputDims(Leading(from), windows);
  const bool is_last = wide == result.element;
  const ir::Buffer sum = builder.Reduce(
      is_last ? name : name + "_sum", wide, dims, te::KernelDims({}, windows), te::Combiner::kSum,
      [&](const Indices& axes, const Indices& taps) {
        // The window whose tap this is begins at `start`, if there is one.
        ir::Expr taken;
        Indices window{axes[0], axes[1]};
        for (size_t i = 0; i < windows.size(); ++i) {
          const te::Window& w = windows[i];
          const ir::Expr start = axes[2 + i] + ir::Expr(w.pad) - taps[i] * ir::Expr(w.dilation);
          const ir::Expr stride(w.stride), last(w.out - 1);
          taken = ir::And(taken, ir::Le(ir::Expr(0), start));
          taken = ir::And(taken, ir::Le(start, last * stride));
          if (w.stride > 1) taken = ir::And(taken, ir::Eq(start % stride, ir::Expr(0)));
          const ir::Expr number = w.stride > 1 ? start / stride : start;
          window.push_back(ir::Max(ir::Min(number, last), ir::Expr(0)));
        }
        taken = ir::And(taken, ir::Eq(operands[1].At(window), TapNumber(windows, taps)));
        return ir::MakeSelect(taken, As(wide, operands[0].At(window)), ir::Zero(wide));
      });
  if (is_last) return sum;
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    return As(result.element, ir::MakeLoad(sum, axes));
  });
}

}  // namespace

std::vector<Operator> UnpoolOperators() {
  const std::vector<int64_t> list;
  const std::vector<Operator::Parameter> pool{{"strides", list},      {"dilations", list},
                                              {"before", list},       {"behind", list},
                                              {"kernel", list, true}, {"ceil", int64_t{0}}};
  std::vector<Operator::Parameter> unpool = pool;
  unpool.push_back({"shape", list, true});
  return {{"max_pool_at", 1, 1, Pattern::kReduction, pool, InferAt, DefineAt},
          {"max_unpool", 2, 2, Pattern::kReduction, unpool, InferUnpool, DefineUnpool}};
}

}  // namespace tessera::graph
