#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/dag.h"

// Convolutions as Winograd's algorithm sees them.

namespace tessera::schedule {

// A window that is transformed: output o and tap r meet input step · (stride · o + dilation · r),
// or, of a transposed convolution, weight (o + offset) mod spread + spread · r and input
// ⌊(o + offset) / spread⌋ + kernel − 1 − r. At most one of stride, dilation and spread is not 1.
// Its phases are windows over dense rows: those of a strided one are summed, those of a dilated and
// of a transposed one make outputs of their own.
struct WinogradWindow {
  int axis = -1;         // of the output
  int reduce_axis = -1;  // its taps
  int x_dim = -1, w_dim = -1;
  int64_t outputs = 0, kernel = 0;  // extents of both
  int64_t step = 1, stride = 1, dilation = 1;
  int64_t spread = 1, offset = 0;

  int64_t phases() const { return stride * dilation * spread; }
  int64_t output_phases() const { return dilation * spread; }
  int64_t weight_phases() const { return stride * spread; }
  int64_t taps() const { return (kernel - 1) / stride + 1; }  // of a phase
  // For tiles of m outputs:
  int64_t tiles(int64_t m) const {  // of a phase
    return ((outputs + output_phases() - 1) / output_phases() + m - 1) / m;
  }
  int64_t points(int64_t m) const { return m + taps() - 1; }  // multiplications a tile
};

// A dimension of X or W that is no window, channel or filter. `index` says in the convolution's
// axes which of the positions first + step · (0 … count − 1) is read.
struct WinogradSlice {
  int dim = -1;
  int64_t first = 0, step = 1, count = 1;
  ir::Expr index;
};

// Σ X · W over windows and channels.
struct WinogradForm {
  ir::Buffer x, w;
  std::vector<WinogradWindow> windows;  // one or two: the last ones of X
  int channel = -1;                     // the reduction axis that is a dimension of X and of W
  int channel_dim = -1;                 // of X
  int filter = -1;                      // the axis of the output that W has and X has not
  int filter_dim = -1;                  // of W
  // What is left: dimensions of X and W, axes of the output, reduction axes (with `channel`).
  std::vector<WinogradSlice> images, weights;
  std::vector<int> outputs, sums;

  // Multiplications of the direct sum ÷ those of F(m), counting what tiles hold beyond the edges.
  double Savings(int64_t m) const;
};

// InvalidArgument, saying why, unless `conv` is a sum in f32 of products of an X and a W with such
// windows, channels and filters.
absl::StatusOr<WinogradForm> MatchWinograd(const te::Stage& conv);

}  // namespace tessera::schedule
