#include "base/status.h"
#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"
#include "compiler/te/spatial.h"

namespace tessera::te {
namespace {

using Indices = DagBuilder::Indices;

// How many taps of each window are inside the input: a constant or an expression of `axes`.
ir::Expr TapsInside(const std::vector<Window>& windows, const Indices& axes) {
  ir::Expr taps = 1;
  for (size_t i = 0; i < windows.size(); ++i) {
    const Window& window = windows[i];
    const ir::Expr start = Tap(window, axes[2 + i], ir::Expr(-window.pad));
    const ir::Expr end = Tap(window, axes[2 + i], ir::Expr(window.kernel - window.pad));
    const ir::Expr inside = ir::Min(end, ir::Expr(window.in)) - ir::Max(start, ir::Expr(0));
    taps = i == 0 ? inside : taps * inside;
  }
  return taps;
}

}  // namespace

absl::StatusOr<Workload> BuildPooling(const Attributes& attributes) {
  const bool largest = attributes.op() == "max_pool2d";
  TESSERA_ASSIGN_OR_RETURN(const auto windows, Windows(attributes, 2, /*dilated=*/false));
  for (const Window& window : windows) {
    if (window.pad < window.kernel) continue;
    return absl::InvalidArgumentError(absl::StrCat("pad is ", window.pad, "; it has to be below k",
                                                   window.name, " ", window.kernel));
  }
  const ir::Type type = attributes.ElementType();
  const ir::Type wide = AccumulatorType(type);
  const std::vector<Dim> leading{{"n", attributes.Int("n")}, {"c", attributes.Int("c")}};
  const std::vector<Dim> in_dims = InputDims(leading, windows);
  const std::vector<Dim> dims = OutputDims(leading, windows);
  const std::string& layout = attributes.Word("layout");
  TESSERA_ASSIGN_OR_RETURN(const Placement in_place, ActivationPlacement(layout, in_dims, 1));
  TESSERA_ASSIGN_OR_RETURN(const Placement out_place, ActivationPlacement(layout, dims, 1));

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", type, in_dims, in_place);
  const ir::Buffer pad =
      PadStage(builder, x, leading, windows, largest ? ir::MinValue(type) : ir::Zero(type));
  const ir::Type kept = largest ? type : wide;
  ir::Buffer last = builder.Reduce("pool", kept, dims, KernelDims({}, windows),
                                   largest ? Combiner::kMax : Combiner::kSum,
                                   [&](const Indices& axes, const Indices& reduce) {
                                     Indices from{axes[0], axes[1]};
                                     for (size_t i = 0; i < windows.size(); ++i) {
                                       from.push_back(Tap(windows[i], axes[2 + i], reduce[i]));
                                     }
                                     return As(kept, ir::MakeLoad(pad, from));
                                   });
  if (!largest) {
    const bool padded = windows[0].pad > 0;
    const bool all_taps = !padded || attributes.Flag("count_include_pad");
    last = builder.Compute("average", type, dims, [&](const Indices& axes) {
      const ir::Expr count =
          all_taps ? ir::MakeConst(wide, static_cast<double>(windows[0].kernel * windows[1].kernel))
                   : ir::MakeCast(wide, TapsInside(windows, axes));
      return As(type, ir::MakeLoad(last, axes) / count);
    });
  }
  return std::move(builder).Finish({last}, out_place);
}

absl::StatusOr<Workload> BuildGlobalPooling(const Attributes& attributes) {
  const ir::Type type = attributes.ElementType();
  const ir::Type wide = AccumulatorType(type);
  const Dim n{"n", attributes.Int("n")}, c{"c", attributes.Int("c")}, h{"h", attributes.Int("h")},
      w{"w", attributes.Int("w")};
  const std::string& layout = attributes.Word("layout");
  const std::vector<Dim> in_dims{n, c, h, w};
  TESSERA_ASSIGN_OR_RETURN(const Placement in_place, ActivationPlacement(layout, in_dims, 1));
  TESSERA_ASSIGN_OR_RETURN(const Placement out_place, ActivationPlacement(layout, {n, c}, 1));
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", type, in_dims, in_place);
  const ir::Buffer sum =
      builder.Reduce("pool", wide, {n, c}, {h, w}, Combiner::kSum,
                     [&](const Indices& axes, const Indices& reduce) {
                       return As(wide, ir::MakeLoad(x, {axes[0], axes[1], reduce[0], reduce[1]}));
                     });
  const ir::Buffer average = builder.Compute("average", type, {n, c}, [&](const Indices& axes) {
    const auto count = static_cast<double>(h.extent) * static_cast<double>(w.extent);
    return As(type, ir::MakeLoad(sum, axes) / ir::MakeConst(wide, count));
  });
  return std::move(builder).Finish({average}, out_place);
}

}  // namespace tessera::te
