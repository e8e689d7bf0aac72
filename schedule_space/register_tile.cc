#include "schedule_space/register_tile.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

// Eight independent accumulators hide the latency of two FMA units (4 cycles each), but loads of
// operands need more of them: of random samples of convolutions, 1 of 82 with 4 to 11 accumulators
// came within a tenth of the best, and 35 of 196 with 12 to 23.
constexpr double kEnoughAccumulators = 14;
// Of 38 with 28 and more none did, though some searches found their best there.
constexpr int64_t kSpareRegisters = 3;
constexpr double kFullFileWeight = 0.25;
constexpr int64_t kMapTile = 16;  // vectors of a tile that only copies or maps
// Priors: masked vectors at edges or over padding, and edges in two directions (measured on C2:
// 5–50 and 190 instead of 270 GFLOPS).
constexpr double kTailWeight = 0.1;
constexpr double kPartialWeight = 0.5;  // the last tile has fewer vectors
constexpr double kPaddedVectorWeight = 0.1;
constexpr double kPaddedPlaneWeight = 0.3;
constexpr double kPhaseWeight = 0.1;  // of a transposed convolution: each tile has other taps

class Enumerator {
 public:
  Enumerator(const RegisterTileProblem& problem, const ir::Target& target)
      : problem_(problem),
        target_(target),
        limit_(problem.analysis == nullptr ? kMapTile : target.vector_registers - 2),
        widest_(target.Lanes(std::max(8, problem.element_bits))) {}

  Knob Run() {
    for (const VectorAxis& candidate : problem_.vector_axes) {
      vector_axis_ = candidate.axis;
      int64_t full = target_.Lanes(std::max(8, problem_.element_bits));
      // Within a fixed block, whole powers of two; along a whole axis the last one may be masked.
      if (vector_axis_ >= 0 && candidate.run < problem_.extents[vector_axis_]) {
        full = std::min(full,
                        static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(candidate.run))));
      }
      if (vector_axis_ < 0) {
        lanes_ = 1;
        Extend(0, Option(problem_.extents.size(), 1), 1);
        continue;
      }
      const int64_t extent = problem_.extents[vector_axis_];
      phases_ =
          problem_.analysis == nullptr ? 1 : VectorPhases(*problem_.analysis, vector_axis_, extent);
      std::vector<int64_t> choices = problem_.lanes;
      std::erase_if(choices, [&](int64_t lanes) { return lanes > std::min(full, extent); });
      // Of 220 random samples of a convolution by bf16 instructions, 25 of 100 of whole vectors and
      // none of 120 narrower ones came within a quarter of the best.
      if (choices.size() > 1 && extent % choices[0] == 0) {
        choices.erase(choices.begin() + 1, choices.end());
      }
      if (problem_.lanes.empty()) choices = LaneChoices(CeilDiv(extent, phases_), full);
      for (int64_t lanes : choices) {
        lanes_ = lanes;
        Extend(0, Option(problem_.extents.size(), 1), 1);
      }
    }
    Prune();
    Knob knob = FreeKnob("tile", {"vector", "lanes"}, std::move(options_));
    for (size_t a = 0; a < problem_.extents.size(); ++a) knob.parts.push_back(absl::StrCat(a));
    knob.weights = std::move(weights_);
    return knob;
  }

 private:
  // Chooses the factors of axes from `axis` on; `vectors` so far.
  void Extend(size_t axis, Option factors, int64_t vectors) {
    if (axis == problem_.extents.size()) {
      Add(factors, vectors);
      return;
    }
    const int64_t extent = problem_.extents[axis];
    const int64_t room = limit_ / vectors;
    if (std::count(problem_.untiled.begin(), problem_.untiled.end(), static_cast<int>(axis)) > 0) {
      Extend(axis + 1, factors, vectors);
      return;
    }
    if (static_cast<int>(axis) == vector_axis_) {
      double least = 1;
      for (int64_t n = phases_; n <= room; n += phases_) {
        least = std::min(least, TileWaste(extent, n * lanes_));
      }
      for (int64_t n = phases_; n <= room && (n - phases_) * lanes_ < extent; n += phases_) {
        if (TileWaste(extent, n * lanes_) > least + 0.08) continue;
        factors[axis] = n * lanes_;
        Extend(axis + 1, factors, vectors * n);
      }
      return;
    }
    for (int64_t size : TileSizes(extent, room)) {
      if (problem_.whole_tiles && extent % size != 0) continue;
      factors[axis] = size;
      Extend(axis + 1, factors, vectors * size);
    }
  }

  void Add(const Option& factors, int64_t vectors) {
    double loads = 0;
    int64_t held = 0;
    if (problem_.analysis != nullptr) {
      for (const schedule::Access& access : problem_.analysis->reads) {
        int64_t count = 1;
        bool wide = false;
        for (size_t a = 0; a < factors.size(); ++a) {
          const int axis = static_cast<int>(a);
          const bool used = std::any_of(access.dims.begin(), access.dims.end(),
                                        [&](const auto& form) { return Uses(form, axis); });
          if (!used) continue;
          wide |= axis == vector_axis_;
          count *= axis == vector_axis_ ? factors[a] / lanes_ : Distinct(access, axis, factors[a]);
        }
        loads += static_cast<double>(count);
        if (wide) held = held == 0 ? count : std::min(held, count);
      }
      if (vectors + held + 1 > target_.vector_registers) return;
    }
    double weight = vector_axis_ < 0 ? 1 : static_cast<double>(lanes_) / widest_;
    for (size_t a = 0; a < factors.size(); ++a) {
      const double useful = 1 - TileWaste(problem_.extents[a], factors[a]);
      weight *= useful * useful;
    }
    const auto accumulators = static_cast<double>(vectors);
    if (loads > 0) {
      const double reuse = std::min(1.0, accumulators / loads);
      weight *= reuse * reuse;
    }
    const double enough = std::min(1.0, accumulators / kEnoughAccumulators);
    weight *= enough * enough * enough * EdgeWeight(factors);
    if (loads > 0 && vectors + held + kSpareRegisters > target_.vector_registers) {
      weight *= kFullFileWeight;
    }
    Option option{vector_axis_, lanes_};
    option.insert(option.end(), factors.begin(), factors.end());
    options_.push_back(std::move(option));
    weights_.push_back(weight + 0.001);
  }

  double EdgeWeight(const Option& factors) const {
    double weight = 1;
    if (vector_axis_ >= 0 && problem_.extents[vector_axis_] % (lanes_ * phases_) != 0) {
      weight *= kTailWeight;
    } else if (vector_axis_ >= 0 && problem_.extents[vector_axis_] % factors[vector_axis_] != 0) {
      weight *= kPartialWeight;
    }
    if (problem_.analysis == nullptr) return weight;
    for (size_t a = 0; a < factors.size(); ++a) {
      if (factors[a] > 1 && factors[a] % PeriodOf(*problem_.analysis, static_cast<int>(a)) != 0)
        weight *= kPhaseWeight;
    }
    if (problem_.analysis->operations.select == 0) return weight;
    int windows = 0;  // unrolled axes along which taps may fall on padding
    for (size_t a = 0; a < factors.size(); ++a) {
      const int axis = static_cast<int>(a);
      if (!IsWindow(*problem_.analysis, axis)) continue;
      if (axis == vector_axis_) {
        weight *= kPaddedVectorWeight;
      } else if (factors[a] > 1 && factors[a] < problem_.extents[a]) {
        ++windows;  // a whole axis knows its padding
      }
    }
    return weight * std::pow(kPaddedPlaneWeight, std::max(0, windows - 1));
  }

  // Places that `count` steps along the axis read.
  static int64_t Distinct(const schedule::Access& access, int axis, int64_t count) {
    int64_t places = 1;
    for (const schedule::AxisForm& form : access.dims) {
      if (!Uses(form, axis)) continue;
      if (form.affine) return count;
      for (const auto& [used, slope] : form.slopes) {
        if (used != axis) continue;
        const double reached = std::ceil(std::abs(slope) * static_cast<double>(count));
        // Of quotients as many as they move on, of remainders one period.
        places = std::max(places, std::abs(slope) < 1 ? static_cast<int64_t>(reached)
                                                      : std::min(count, form.period));
      }
    }
    return places;
  }

  void Prune() {
    int64_t most = 1;
    for (const Option& option : options_) most = std::max(most, Accumulators(option));
    size_t kept = 0;
    for (size_t i = 0; i < options_.size(); ++i) {
      if (Accumulators(options_[i]) * 8 < most) continue;
      options_[kept] = options_[i];
      weights_[kept++] = weights_[i];
    }
    options_.resize(kept);
    weights_.resize(kept);
  }

  const RegisterTileProblem& problem_;
  const ir::Target& target_;
  const int64_t limit_;
  const double widest_;  // lanes of a whole vector
  int vector_axis_ = -1;
  int64_t lanes_ = 1;
  int64_t phases_ = 1;  // of the vector axis
  std::vector<Option> options_;
  std::vector<double> weights_;
};

}  // namespace

int64_t Accumulators(const Option& tile) {
  int64_t elements = 1;
  for (size_t i = kTileFactors; i < tile.size(); ++i) elements *= tile[i];
  return elements / tile[kTileLanes];
}

Knob RegisterTileKnob(const RegisterTileProblem& problem, const ir::Target& target) {
  return Enumerator(problem, target).Run();
}

}  // namespace tessera::space
