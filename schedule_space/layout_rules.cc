#include "schedule_space/layout_rules.h"

#include <algorithm>

#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMaxPhases = 4;  // each takes accumulators of its own

// How far an index moves with the axis, if it is that axis alone or with the one that counts
// between its steps; else 0.
int64_t ScaleOf(const schedule::AxisForm& form, int axis, absl::Span<const schedule::Digit> nest) {
  if (IsPlain(form, axis)) return 1;
  if (!form.affine || form.constant != 0 || form.terms.size() != 2) return 0;
  const bool second_is_inner = form.terms[1].second == 1;
  const auto& [inner, one] = form.terms[second_is_inner ? 1 : 0];
  const auto& [outer, scale] = form.terms[second_is_inner ? 0 : 1];
  int64_t extent = 1;
  for (const schedule::Digit& digit : nest) {
    if (digit.axis == inner) extent = std::max(extent, digit.stride * digit.extent);
  }
  if (one != 1 || scale < 2 || extent != scale) return 0;
  return axis == inner ? 1 : scale;
}

// The largest step of loops along an index of two axes, one of which counts between the other's
// steps.
int64_t LargestStep(const schedule::AxisForm& form, absl::Span<const schedule::Digit> nest) {
  int64_t step = 1;
  for (const schedule::Digit& digit : nest) {
    if (digit.extent <= 1 || !Uses(form, digit.axis)) continue;
    step = std::max(step, digit.stride * ScaleOf(form, digit.axis, nest));
  }
  return step;
}

}  // namespace

bool IsWindow(const schedule::StageAnalysis& analysis, int axis) {
  for (const schedule::Access& access : analysis.reads) {
    for (const schedule::AxisForm& form : access.dims) {
      if (form.terms.size() + form.slopes.size() > 1 && Uses(form, axis)) return true;
    }
  }
  return false;
}

std::vector<ir::LayoutDim> LayoutInLoopOrder(const schedule::Access& access,
                                             absl::Span<const schedule::Digit> nest) {
  const std::vector<int64_t>& shape = access.buffer->shape;
  std::vector<ir::LayoutDim> layout;
  layout.reserve(nest.size());
  absl::InlinedVector<bool, 12> placed(shape.size(), false);
  // Dimensions that no loop moves have nothing to say about order.
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool moved = std::any_of(nest.begin(), nest.end(), [&](const schedule::Digit& digit) {
      return digit.extent > 1 && Uses(access.dims[d], digit.axis);
    });
    if (moved) continue;
    layout.push_back({static_cast<int>(d), 1, shape[d]});
    placed[d] = true;
  }
  for (const schedule::Digit& digit : nest) {
    if (digit.extent <= 1) continue;
    for (size_t d = 0; d < shape.size(); ++d) {
      const schedule::AxisForm& form = access.dims[d];
      const int dim = static_cast<int>(d);
      if (!Uses(form, digit.axis)) continue;
      const int64_t scale = ScaleOf(form, digit.axis, nest);
      if (scale == 0) {
        if (placed[d]) continue;
        layout.push_back({dim, 1, shape[d]});
        placed[d] = true;
        continue;
      }
      ir::LayoutDim made{dim, digit.stride * scale, digit.extent};
      // The coarsest part covers what is left of the dimension: that of the outermost loop, but the
      // axis that counts between another's steps may be outside of that.
      const bool is_coarsest =
          form.terms.size() == 1 ? !placed[d] : made.divisor == LargestStep(form, nest);
      if (is_coarsest) made.extent = CeilDiv(shape[d], made.divisor);
      placed[d] = true;
      if (!layout.empty() && layout.back().axis == dim &&
          layout.back().divisor == made.divisor * made.extent) {
        // A coarsest part that ended in a multiple of its divisor ends with the dimension now.
        layout.back().divisor = made.divisor;
        layout.back().extent =
            std::min(layout.back().extent * made.extent, CeilDiv(shape[d], made.divisor));
      } else {
        layout.push_back(made);
      }
    }
  }
  return layout;
}

std::vector<ir::LayoutDim> BlockedLayout(const ir::BufferNode& buffer, int block_axis,
                                         int64_t block) {
  std::vector<ir::LayoutDim> layout;
  for (size_t d = 0; d < buffer.shape.size(); ++d) {
    const int dim = static_cast<int>(d);
    if (dim == block_axis) {
      layout.push_back({dim, block, CeilDiv(buffer.shape[d], block)});
    } else {
      layout.push_back({dim, 1, buffer.shape[d]});
    }
  }
  layout.push_back({block_axis, 1, block});
  return layout;
}

std::vector<int64_t> BlockChoices(int64_t channels) {
  std::vector<int64_t> blocks;
  for (int64_t block : {1, 2, 4, 8, 16, 32, 64}) {
    if (block < channels && channels % block == 0) blocks.push_back(block);
  }
  blocks.push_back(channels);
  return blocks;
}

Contiguous ContiguousDim(const ir::BufferNode& buffer) {
  if (buffer.layout.empty()) {
    for (size_t d = buffer.shape.size(); d-- > 0;) {
      if (buffer.shape[d] > 1) return {static_cast<int>(d), buffer.shape[d]};
    }
    return {-1, 1};
  }
  for (size_t i = buffer.layout.size(); i-- > 0;) {
    if (buffer.layout[i].extent > 1) return {buffer.layout[i].axis, buffer.layout[i].extent};
  }
  return {-1, 1};
}

int64_t PeriodOf(const schedule::StageAnalysis& analysis, int axis) {
  int64_t period = 1;
  for (const schedule::Access& access : analysis.reads) {
    for (const schedule::AxisForm& form : access.dims) {
      if (!form.affine && Uses(form, axis)) period = std::max(period, form.period);
    }
  }
  return period;
}

int64_t VectorPhases(const schedule::StageAnalysis& analysis, int axis, int64_t extent) {
  const int64_t period = PeriodOf(analysis, axis);
  return period <= kMaxPhases && extent >= 2 * period ? period : 1;
}

}  // namespace tessera::space
