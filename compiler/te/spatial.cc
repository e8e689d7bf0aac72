#include "compiler/te/spatial.h"

#include "absl/strings/numbers.h"
#include "base/status.h"

namespace tessera::te {

absl::StatusOr<std::vector<Window>> Windows(const Attributes& attributes, int rank, bool dilated) {
  std::vector<Window> windows;
  for (char letter : std::string_view("dhw").substr(3 - rank)) {
    Window window{.name = std::string(1, letter),
                  .in = attributes.Int(std::string(1, letter)),
                  .kernel = attributes.Int(std::string("k") + letter),
                  .stride = attributes.Int("stride"),
                  .pad = attributes.Int("pad"),
                  .dilation = dilated ? attributes.Int("dilation") : 1};
    const int64_t span = window.dilation * (window.kernel - 1) + 1;
    const int64_t padded = window.in + 2 * window.pad;
    if (padded < span) {
      return absl::InvalidArgumentError(
          absl::StrCat(window.name, " is ", window.in,
                       window.pad > 0 ? absl::StrCat(" (", padded, " with padding)") : "",
                       ", but the kernel spans ", span, "; enlarge ", window.name,
                       " or pad, or choose a smaller kernel"));
    }
    window.out = (padded - span) / window.stride + 1;
    windows.push_back(std::move(window));
  }
  return windows;
}

ir::Expr Tap(const Window& window, const ir::Expr& out, const ir::Expr& kernel) {
  const ir::Expr base = window.stride == 1 ? out : out * ir::Expr(window.stride);
  return base + (window.dilation == 1 ? kernel : kernel * ir::Expr(window.dilation));
}

ir::Buffer PadStage(DagBuilder& builder, const ir::Buffer& x, const std::vector<Dim>& leading,
                    const std::vector<Window>& windows, const ir::Expr& outside,
                    const std::string& name) {
  bool padded = false;
  std::vector<Dim> dims = leading;
  for (const Window& window : windows) {
    padded |= window.pad > 0 || window.Reached() > window.in;
    dims.push_back({window.name, window.Reached()});
  }
  if (!padded) return x;
  return builder.Compute(name, x->type, dims, [&](const DagBuilder::Indices& axes) {
    ir::Expr inside;
    DagBuilder::Indices from(axes.begin(), axes.begin() + static_cast<int64_t>(leading.size()));
    for (size_t i = 0; i < windows.size(); ++i) {
      const Window& window = windows[i];
      const ir::Expr& at = axes[leading.size() + i];
      if (window.pad > 0) inside = ir::And(inside, ir::Le(ir::Expr(window.pad), at));
      if (window.Reached() > window.pad + window.in) {
        inside = ir::And(inside, ir::Lt(at, ir::Expr(window.pad + window.in)));
      }
      from.push_back(window.pad > 0 ? at - ir::Expr(window.pad) : at);
    }
    return ir::MakeSelect(inside, ir::MakeLoad(x, from), outside);
  });
}

absl::StatusOr<Placement> ActivationPlacement(std::string_view layout, const std::vector<Dim>& dims,
                                              int channel_dim) {
  Placement placement;
  if (layout == "nchw") return placement;
  if (layout == "any") {
    placement.policy = ir::LayoutPolicy::kBlocked;
    placement.block_axis = channel_dim;
    return placement;
  }
  const int64_t channels = dims[channel_dim].extent;
  const auto whole = [&](int d) { return ir::LayoutDim{d, 1, dims[d].extent}; };
  const int rank = static_cast<int>(dims.size());
  if (layout == "nhwc") {
    placement.layout.push_back(whole(0));
    for (int d = channel_dim + 1; d < rank; ++d) placement.layout.push_back(whole(d));
    for (int d = 1; d <= channel_dim; ++d) placement.layout.push_back(whole(d));
    return placement;
  }
  int64_t block = 0;
  TESSERA_CHECK(layout.starts_with("nchwc"));
  TESSERA_CHECK(absl::SimpleAtoi(std::string(layout.substr(5)), &block));
  if (channels % block != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("layout nchwc", block, ": ", dims[channel_dim].name, " has ", channels,
                     " channels", channel_dim > 1 ? " in a group" : "", ", which ", block,
                     " does not divide; use layout any, nchw or a divisor"));
  }
  for (int d = 0; d < rank; ++d) {
    placement.layout.push_back(d == channel_dim ? ir::LayoutDim{d, block, channels / block}
                                                : whole(d));
  }
  placement.layout.push_back({channel_dim, 1, block});
  return placement;
}

std::vector<Dim> InputDims(std::vector<Dim> leading, const std::vector<Window>& windows) {
  for (const Window& window : windows) leading.push_back(window.In());
  return leading;
}

std::vector<Dim> OutputDims(std::vector<Dim> leading, const std::vector<Window>& windows) {
  for (const Window& window : windows) leading.push_back(window.Out());
  return leading;
}

std::vector<Dim> KernelDims(std::vector<Dim> leading, const std::vector<Window>& windows) {
  for (const Window& window : windows) leading.push_back(window.Kernel());
  return leading;
}

}  // namespace tessera::te
