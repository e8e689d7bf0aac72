#include <utility>

#include "base/status.h"
#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"
#include "compiler/te/spatial.h"

namespace tessera::te {
namespace {

// [n, a, b, c, h, w] stored as n, h, w, a, b, c.
Placement CapsulesLast(const std::vector<Dim>& dims) {
  Placement placement;
  for (int axis : {0, 4, 5, 1, 2, 3}) placement.layout.push_back({axis, 1, dims[axis].extent});
  return placement;
}

}  // namespace

absl::StatusOr<Workload> BuildCapsuleConvolution(const Attributes& attributes) {
  using Indices = DagBuilder::Indices;
  TESSERA_ASSIGN_OR_RETURN(const auto windows, Windows(attributes, 2, /*dilated=*/false));
  const ir::Type element = attributes.ElementType();
  const ir::Type wide = AccumulatorType(element);
  const Dim n{"n", attributes.Int("n")}, ic{"ic", attributes.Int("ic")},
      oc{"oc", attributes.Int("oc")};
  const int64_t capsule = attributes.Int("capsule");
  const Dim row{"i", capsule}, column{"j", capsule}, inner{"k", capsule};

  const std::vector<Dim> leading{n, row, inner, ic};
  const std::vector<Dim> in_dims = InputDims(leading, windows);
  const std::vector<Dim> out_dims = OutputDims({n, row, column, oc}, windows);
  const Placement out_place = CapsulesLast(out_dims);

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", element, in_dims, CapsulesLast(in_dims));
  const ir::Buffer w =
      builder.Constant("W", element, KernelDims({inner, column, ic, oc}, windows), FreePlacement());
  const ir::Buffer pad = PadStage(builder, x, leading, windows, ir::Zero(element));
  const ir::Buffer conv = builder.Reduce(
      "conv", wide, out_dims, KernelDims({inner, ic}, windows), Combiner::kSum,
      [&](const Indices& at, const Indices& reduce) {
        const ir::Expr value = ir::MakeLoad(
            pad, {at[0], at[1], reduce[0], reduce[1], Tap(windows[0], at[4], reduce[2]),
                  Tap(windows[1], at[5], reduce[3])});
        const ir::Expr weight =
            ir::MakeLoad(w, {reduce[0], at[2], reduce[1], at[3], reduce[2], reduce[3]});
        return As(wide, value) * As(wide, weight);
      });
  if (attributes.Word("algorithm") == "direct") builder.KeepDirect();
  TESSERA_ASSIGN_OR_RETURN(const ir::Buffer last,
                           ApplyEpilogue(builder, attributes, conv, out_dims, {3}, out_place));
  return std::move(builder).Finish({last}, out_place);
}

}  // namespace tessera::te
