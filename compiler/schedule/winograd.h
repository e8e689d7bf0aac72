#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/dag.h"

// Winograd's minimal filtering for 3 × 3 convolutions (Lavin & Gray, arXiv:1509.09308): m × m
// outputs from (m + 2) × (m + 2) inputs with (m + 2)² multiplications instead of 9 m².

namespace tessera::schedule {

// `conv` as stages, in order; the last one is `conv` itself, with its axes and output:
//   conv.d   the input over all tiles, zero beyond what `conv` reads
//   conv.Bd, conv.V    V = Bᵀ d B of every tile      [e, n, th, tw, ic], e = (m + 2) a + b
//   conv.Gg, conv.U    U = G g Gᵀ of every filter    [e, ic, oc]
//   conv.M   Σ_ic U V                                [e, n, th, tw, oc]
//   conv.AM, conv.Y    Y = Aᵀ M A of every tile      [y, x, n, th, tw, oc]
// InvalidArgument, saying why, unless m is 2 or 4 and `conv` sums X[n, ic, oh + kh, ow + kw] ·
// W[oc, ic, kh, kw] in f32 over ic and a 3 × 3 window, for outputs [n, oc, oh, ow].
absl::StatusOr<std::vector<te::Stage>> WinogradStages(const te::Stage& conv, int64_t m);

// How many times the error of the direct sum the error of F(m × m, 3 × 3) may be, for
// te::OutputTolerance.
double WinogradErrorFactor(int64_t m);

}  // namespace tessera::schedule
