#include <utility>

#include "base/status.h"
#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"
#include "compiler/te/spatial.h"

namespace tessera::te {
namespace {

using Indices = DagBuilder::Indices;

Indices Joined(Indices left, const Indices& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace

absl::StatusOr<Workload> BuildConvolution(const Attributes& attributes) {
  TESSERA_RETURN_IF_ERROR(CheckTf32(attributes));
  const int rank = attributes.op()[4] - '0';  // conv2d
  const int64_t groups = attributes.Int("groups");
  const int64_t ic = attributes.Int("ic"), oc = attributes.Int("oc");
  if (ic % groups != 0 || oc % groups != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("groups is ", groups, ", which does not divide ",
                     ic % groups != 0 ? absl::StrCat("ic ", ic) : absl::StrCat("oc ", oc)));
  }
  TESSERA_ASSIGN_OR_RETURN(const auto windows, Windows(attributes, rank, /*dilated=*/true));
  const ir::Type element = attributes.ElementType();
  const ir::Type accumulator = AccumulatorType(element);

  std::vector<Dim> in_leading{{"n", attributes.Int("n")}}, out_leading = in_leading, weight_leading;
  if (groups > 1) {
    for (auto* dims : {&in_leading, &out_leading, &weight_leading}) dims->push_back({"g", groups});
  }
  const Dim in_channel{"ic", ic / groups}, out_channel{"oc", oc / groups};
  in_leading.push_back({"c", ic / groups});
  out_leading.push_back(out_channel);
  weight_leading.push_back(out_channel);
  weight_leading.push_back(in_channel);

  const std::vector<Dim> in_dims = InputDims(in_leading, windows);
  const std::vector<Dim> out_dims = OutputDims(out_leading, windows);
  const int channel = groups > 1 ? 2 : 1;
  const std::string& layout = attributes.Word("layout");
  TESSERA_ASSIGN_OR_RETURN(const Placement in_place, ActivationPlacement(layout, in_dims, channel));
  TESSERA_ASSIGN_OR_RETURN(const Placement out_place,
                           ActivationPlacement(layout, out_dims, channel));

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", element, in_dims, in_place);
  const ir::Buffer w =
      builder.Constant("W", element, KernelDims(weight_leading, windows), FreePlacement());
  const ir::Buffer pad = PadStage(builder, x, in_leading, windows, ir::Zero(element));
  const auto term = [&](const Indices& axes, const Indices& reduce) {
    Indices from(axes.begin(), axes.begin() + channel);  // n (g)
    from.push_back(reduce[0]);
    for (int i = 0; i < rank; ++i) {
      from.push_back(Tap(windows[i], axes[channel + 1 + i], reduce[1 + i]));
    }
    const Indices weight = Joined(Indices(axes.begin() + 1, axes.begin() + channel + 1), reduce);
    return Factor(attributes, ir::MakeLoad(pad, from)) *
           Factor(attributes, ir::MakeLoad(w, weight));
  };
  ir::Buffer conv = builder.Reduce("conv", accumulator, out_dims, KernelDims({in_channel}, windows),
                                   Combiner::kSum, term);
  if (attributes.Word("algorithm") == "direct") builder.KeepDirect();
  std::vector<int> bias_dims{channel};
  if (groups > 1) bias_dims.insert(bias_dims.begin(), 1);
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Buffer last,
      ApplyEpilogue(builder, attributes, std::move(conv), out_dims, bias_dims, out_place));
  return std::move(builder).Finish({last}, out_place);
}

absl::StatusOr<Workload> BuildDepthwise(const Attributes& attributes) {
  TESSERA_ASSIGN_OR_RETURN(const auto windows, Windows(attributes, 2, /*dilated=*/true));
  const ir::Type element = attributes.ElementType();
  const ir::Type accumulator = AccumulatorType(element);
  const std::string& layout = attributes.Word("layout");
  const int64_t multiplier = attributes.Int("multiplier");
  if (multiplier > 1 && layout != "nchw" && layout != "nhwc") {
    return absl::InvalidArgumentError(
        absl::StrCat("layout is ", layout, " with multiplier ", multiplier, "; use nchw or nhwc"));
  }
  const Dim n{"n", attributes.Int("n")}, c{"c", attributes.Int("c")};
  std::vector<Dim> out_leading{n, c};
  if (multiplier > 1) out_leading.push_back({"m", multiplier});
  const int channels = static_cast<int>(out_leading.size());  // first spatial dimension
  const std::vector<Dim> in_dims = InputDims({n, c}, windows);
  const std::vector<Dim> out_dims = OutputDims(out_leading, windows);
  const std::vector<Dim> weight_leading(out_leading.begin() + 1, out_leading.end());
  TESSERA_ASSIGN_OR_RETURN(const Placement in_place, ActivationPlacement(layout, in_dims, 1));
  TESSERA_ASSIGN_OR_RETURN(const Placement out_place,
                           ActivationPlacement(layout, out_dims, channels - 1));

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", element, in_dims, in_place);
  const ir::Buffer w =
      builder.Constant("W", element, KernelDims(weight_leading, windows), FreePlacement());
  const ir::Buffer pad = PadStage(builder, x, {n, c}, windows, ir::Zero(element));
  ir::Buffer conv = builder.Reduce(
      "conv", accumulator, out_dims, KernelDims({}, windows), Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) {
        Indices from{axes[0], axes[1]};
        for (size_t i = 0; i < windows.size(); ++i) {
          from.push_back(Tap(windows[i], axes[channels + i], reduce[i]));
        }
        const Indices weight = Joined(Indices(axes.begin() + 1, axes.begin() + channels), reduce);
        return As(accumulator, ir::MakeLoad(pad, from)) * As(accumulator, ir::MakeLoad(w, weight));
      });
  std::vector<int> bias_dims{1};
  if (multiplier > 1) bias_dims.push_back(2);
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Buffer last,
      ApplyEpilogue(builder, attributes, std::move(conv), out_dims, bias_dims, out_place));
  return std::move(builder).Finish({last}, out_place);
}

absl::StatusOr<Workload> BuildTransposedConvolution(const Attributes& attributes) {
  const ir::Type element = attributes.ElementType();
  const ir::Type accumulator = AccumulatorType(element);
  const int64_t stride = attributes.Int("stride"), pad = attributes.Int("pad");
  const Dim n{"n", attributes.Int("n")}, ic{"ic", attributes.Int("ic")},
      oc{"oc", attributes.Int("oc")};
  // Output position o is met by taps k = (o + pad) mod stride + stride * t alone, each on input
  // position (o + pad) / stride - t: a window of `taps` over the input.
  std::vector<Window> windows;
  std::vector<int64_t> kernels;
  std::vector<Dim> in_dims{n, {"c", ic.extent}}, out_dims{n, oc}, weight_dims{ic, oc};
  for (const char* name : {"h", "w"}) {
    const int64_t in = attributes.Int(name), kernel = attributes.Int(absl::StrCat("k", name));
    if (pad >= kernel) {
      return absl::InvalidArgumentError(
          absl::StrCat("pad is ", pad, "; it has to be below k", name, " ", kernel));
    }
    const int64_t out = (in - 1) * stride - 2 * pad + kernel;
    if (out < 1) {
      return absl::InvalidArgumentError(absl::StrCat("the output's ", name, " would be ", out,
                                                     "; enlarge ", name, " or lower pad ", pad));
    }
    const int64_t taps = (kernel - 1) / stride + 1;
    windows.push_back({.name = name,
                       .in = in,
                       .kernel = taps,
                       .pad = taps - 1 - pad / stride,
                       .out = (out - 1 + pad) / stride - pad / stride + 1});
    kernels.push_back(kernel);
    in_dims.push_back({name, in});
    out_dims.push_back({absl::StrCat("o", name), out});
    weight_dims.push_back({absl::StrCat("k", name), kernel});
  }
  const std::string& layout = attributes.Word("layout");
  TESSERA_ASSIGN_OR_RETURN(const Placement in_place, ActivationPlacement(layout, in_dims, 1));
  TESSERA_ASSIGN_OR_RETURN(const Placement out_place, ActivationPlacement(layout, out_dims, 1));

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", element, in_dims, in_place);
  const ir::Buffer w = builder.Constant("W", element, weight_dims, FreePlacement());
  const ir::Buffer padded = PadStage(builder, x, {n, {"c", ic.extent}}, windows, ir::Zero(element));
  ir::Buffer conv = builder.Reduce(
      "conv", accumulator, out_dims, KernelDims({ic}, windows), Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) {
        ir::Expr inside;
        Indices from{axes[0], reduce[0]}, weight{reduce[0], axes[1]};
        for (int i = 0; i < 2; ++i) {
          const ir::Expr shifted = pad > 0 ? axes[2 + i] + ir::Expr(pad) : axes[2 + i];
          const int64_t border = windows[i].pad;
          const ir::Expr first = stride > 1 ? shifted / ir::Expr(stride) : shifted;
          from.push_back((border > 0 ? first + ir::Expr(border) : first) - reduce[1 + i]);
          weight.push_back(stride > 1
                               ? shifted % ir::Expr(stride) + reduce[1 + i] * ir::Expr(stride)
                               : reduce[1 + i]);
          // Phases may have one tap less than others.
          if (kernels[i] % stride != 0) {
            inside = ir::And(inside, ir::Lt(weight.back(), ir::Expr(kernels[i])));
          }
        }
        const ir::Expr product =
            As(accumulator, ir::MakeLoad(padded, from)) * As(accumulator, ir::MakeLoad(w, weight));
        return inside ? ir::MakeSelect(inside, product, ir::Zero(accumulator)) : product;
      });
  if (attributes.Word("algorithm") == "direct") builder.KeepDirect();
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Buffer last,
      ApplyEpilogue(builder, attributes, std::move(conv), out_dims, {1}, out_place));
  return std::move(builder).Finish({last}, out_place);
}

}  // namespace tessera::te
