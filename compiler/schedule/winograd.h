#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/schedule/winograd_form.h"

// Winograd's minimal filtering (Lavin & Gray, arXiv:1509.09308): m × m outputs of an r × r window
// from (m + r − 1)² multiplications a channel instead of m² r².

namespace tessera::schedule {

// A convolution as stages, in order; the last one is the convolution itself, with its axes and
// output. With two windows, of points αh and αw:
//   conv.d   the input over all tiles, zero beyond what is read       [images, phases, y, x, c]
//   conv.Bd, conv.V   V = Bᵀ d B of every tile      [e, images, phases, tiles, c], e = αw a + b
//   conv.Gg, conv.U   U = G g Gᵀ of every filter              [e, weights, phases, f]
//   conv.M   Σ U V over what is left of the sum     [e, outputs, phases, tiles, f]
//   conv.AM, conv.Y   Y = Aᵀ M A of every tile      [y, x, outputs, phases, tiles, f]
// With one there is no Bd, Gg and AM, and neither y nor a. Images, weights and outputs are
// those of the form, c its channel, f its filter. Phases are there for each window that has more
// than one: in U for strided ones, in M and Y for dilated ones.
struct Winograd {
  WinogradForm form;
  int64_t m = 0;
  std::vector<te::Stage> stages;
  // How many times the error of the direct sum the result's may be, for te::OutputTolerance.
  double error_factor = 1;
};

// InvalidArgument, saying why, where MatchWinograd says so or a window would need more than
// kMaxWinogradPoints. `m` is 2, 3 or 4.
absl::StatusOr<Winograd> RewriteByWinograd(const te::Stage& conv, int64_t m);

}  // namespace tessera::schedule
