#include "schedule_space/wave_axes.h"

#include <algorithm>

#include "compiler/ir/matrix_factor.h"
#include "compiler/ir/threads.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr double kLeastUse = 0.4;  // of the instruction's rows and columns
constexpr int64_t kMaxSteps = 16;  // of terms, that are multiplied in one piece

bool Moves(const schedule::Access& access, int axis) {
  return std::ranges::any_of(
      access.dims, [&](const schedule::AxisForm& form) { return schedule::Uses(form, axis); });
}

bool IsProduct(const te::Stage& sum) {
  const auto* product = sum.bodies[0].As<ir::Binary>();
  return product != nullptr && product->op == ir::BinaryOp::kMul &&
         ir::AsMatrixFactor(product->a) != nullptr && ir::AsMatrixFactor(product->b) != nullptr;
}

bool IsDigit(const schedule::Digit& digit, size_t axis, int64_t stride, int64_t extent) {
  return digit.axis == static_cast<int>(axis) && digit.stride == stride && digit.extent == extent;
}

// Whether the loops over threads, one of which is a wave's, share rows and pairs of columns out.
bool ThreadsShareOut(const schedule::BoundStage& root, const WaveAxes& axes) {
  constexpr int64_t kWave = kWaveRows * kWaveColumns;
  int thread_loops = 0;
  bool are_shared = false, has_second_row = false;
  for (const schedule::BoundLoop& loop : root.loops) {
    const size_t digits = loop.digits.size();
    if (loop.thread_axis == ir::ThreadAxis::kVirtual) {
      has_second_row |= std::ranges::any_of(loop.digits, [&](const schedule::Digit& digit) {
        return IsDigit(digit, axes.row, kWaveRows, digit.extent) && digit.extent % 2 == 0;
      });
    }
    if (!ir::IsThreadAxis(loop.thread_axis)) continue;
    ++thread_loops;
    are_shared = loop.thread_axis == ir::ThreadAxis::kThreadX && loop.extent % kWave == 0 &&
                 digits >= 2 && IsDigit(loop.digits[digits - 2], axes.row, 1, kWaveRows) &&
                 IsDigit(loop.digits[digits - 1], axes.column, 2, kWaveColumns);
  }
  return thread_loops == 1 && are_shared && has_second_row;
}

// Whether the innermost loop that is not unrolled goes over steps of terms.
bool EndsInTerms(const schedule::BoundStage& sum, size_t term, int64_t terms) {
  const auto last = std::ranges::find_if(
      sum.loops.rbegin(), sum.loops.rend(), [](const schedule::BoundLoop& loop) {
        return loop.kind != ir::LoopKind::kUnrolled && loop.extent > 1;
      });
  return last != sum.loops.rend() && last->kind == ir::LoopKind::kSerial &&
         last->digits.size() == 1 && IsDigit(last->digits[0], term, 1, last->extent) &&
         last->extent % terms == 0 && last->extent <= kMaxSteps * terms;
}

// The share of what is computed that counts.
double UseOf(int64_t extent, int64_t unit) {
  return static_cast<double>(extent) / static_cast<double>(CeilDiv(extent, unit) * unit);
}

}  // namespace

std::optional<WaveAxes> FindWaveAxes(const schedule::StageState& state) {
  const te::Stage& sum = *state.stage;
  const std::vector<schedule::Access>& reads = state.analysis->reads;
  if (sum.combiner != te::Combiner::kSum || sum.bodies.size() != 1 || reads.size() != 2 ||
      !IsProduct(sum) || reads[0].buffer->type != reads[1].buffer->type) {
    return std::nullopt;
  }
  const int64_t terms = ir::MatrixTerms(reads[0].buffer->type);
  const size_t count = sum.axes.size();
  std::optional<WaveAxes> best;
  int64_t longest = 0;
  for (size_t r = 0; r < sum.reduce_axes.size(); ++r) {
    const int64_t extent = sum.reduce_axes[r].extent;
    const auto axis = static_cast<int>(count + r);
    if (extent % terms != 0 || extent <= longest || !Moves(reads[0], axis) ||
        !Moves(reads[1], axis)) {
      continue;
    }
    longest = extent;
    best = WaveAxes{0, 0, r, terms};
  }
  if (!best) return std::nullopt;
  double most = kLeastUse;
  for (size_t row = 0; row < count; ++row) {
    for (size_t column = 0; column < count; ++column) {
      const int a = static_cast<int>(row), b = static_cast<int>(column);
      const bool apart = Moves(reads[0], a) != Moves(reads[1], a) &&
                         Moves(reads[0], b) != Moves(reads[1], b) &&
                         Moves(reads[0], a) != Moves(reads[0], b);
      if (!apart) continue;
      // Long axes have more blocks to choose among; of equal ones columns are neighbours in memory.
      const int64_t rows = sum.axes[row].extent, columns = sum.axes[column].extent;
      if (rows < 2 * kWaveRows || columns < 2 * kWaveColumns) continue;
      const double use = UseOf(rows, 2 * kWaveRows) * UseOf(columns, 2 * kWaveColumns) +
                         1e-9 * static_cast<double>(std::min(rows, columns)) +
                         (column > row ? 1e-12 : 0);
      if (use <= most) continue;
      most = use;
      best->row = row;
      best->column = column;
    }
  }
  return most > kLeastUse ? best : std::nullopt;
}

bool WavesMultiply(const schedule::Schedule& schedule, const schedule::BoundStage& root,
                   const schedule::BoundStage& sum, bool reads_copies, const ir::Target& target) {
  if (!ir::MultipliesMatrices(target) || sum.scope != ir::Scope::kLocal) return false;
  const std::optional<WaveAxes> axes = FindWaveAxes(schedule.stages()[sum.stage]);
  if (!axes) return false;
  const size_t spatial = schedule.stages()[sum.stage].stage->axes.size();
  bool is_tested = false;
  for (size_t a = 0; a < sum.axes.size(); ++a) {
    is_tested |= sum.axes[a].guarded && (a >= spatial || !reads_copies);
  }
  return !is_tested && ThreadsShareOut(root, *axes) &&
         EndsInTerms(sum, spatial + axes->term, axes->terms);
}

}  // namespace tessera::space
