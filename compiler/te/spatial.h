#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/attributes.h"
#include "compiler/te/dag_builder.h"

// Windows that slide over the spatial dimensions of an activation [n, (g,) c, (d, h,) w].

namespace tessera::te {

struct Window {
  std::string name;  // "h"
  int64_t in;
  int64_t kernel;
  int64_t stride = 1;
  int64_t pad = 0;  // in front
  int64_t dilation = 1;
  int64_t out = 0;

  Dim In() const { return {name, in}; }
  Dim Out() const { return {"o" + name, out}; }
  Dim Kernel() const { return {"k" + name, kernel}; }
  // Extent of the padded input that windows reach.
  int64_t Reached() const { return (out - 1) * stride + dilation * (kernel - 1) + 1; }
};

// One window per dimension of "dhw" that the last `rank` letters name, `out` computed, from
// attributes h…, kh…, stride, pad, and dilation if the operator has it.
absl::StatusOr<std::vector<Window>> Windows(const Attributes& attributes, int rank, bool dilated);

// The position in the padded input that tap `kernel` of window `out` reads.
ir::Expr Tap(const Window& window, const ir::Expr& out, const ir::Expr& kernel);

// A stage over leading dimensions and the reached part of each window: `x` inside, `outside`
// elsewhere, with only the conditions that are needed. `x` itself if no window reaches beyond it.
ir::Buffer PadStage(DagBuilder& builder, const ir::Buffer& x, const std::vector<Dim>& leading,
                    const std::vector<Window>& windows, const ir::Expr& outside,
                    const std::string& name = "pad");

// What `layout` (nchw, nhwc, nchwc<N>, any) means for an activation of these dimensions. The
// block has to divide the channels.
absl::StatusOr<Placement> ActivationPlacement(std::string_view layout, const std::vector<Dim>& dims,
                                              int channel_dim);

// `leading` and then In() or Out() of every window.
std::vector<Dim> InputDims(std::vector<Dim> leading, const std::vector<Window>& windows);
std::vector<Dim> OutputDims(std::vector<Dim> leading, const std::vector<Window>& windows);
std::vector<Dim> KernelDims(std::vector<Dim> leading, const std::vector<Window>& windows);

}  // namespace tessera::te
