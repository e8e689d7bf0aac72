#include "compiler/codegen/vta/step_loops.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/vta/affine.h"

namespace tessera::codegen::vta {
namespace {

namespace isa = tessera::vta;
using schedule::AffineValue;

constexpr int kInstructionLoops = 2;

// Without loops of one turn; of two that go on in each other, one.
std::vector<isa::Loop> Joined(const std::vector<isa::Loop>& loops) {
  std::vector<isa::Loop> joined;
  for (const isa::Loop& loop : loops) {
    if (loop.turns == 1) continue;
    const auto goes_on = [&](int64_t isa::Loop::* step) {
      return joined.back().*step == loop.*step * loop.turns;
    };
    if (!joined.empty() && goes_on(&isa::Loop::dst_step) && goes_on(&isa::Loop::src_step) &&
        goes_on(&isa::Loop::wgt_step)) {
      joined.back() = {joined.back().turns * loop.turns, loop.dst_step, loop.src_step,
                       loop.wgt_step};
    } else {
      joined.push_back(loop);
    }
  }
  return joined;
}

// That an accumulator is added to again only when the pipeline has stored it: the loops inside of
// the innermost one that doesn't move results take as many steps.
absl::Status CheckReuse(absl::Span<const isa::Loop> loops, const ir::Target& target,
                        const std::string& name) {
  int64_t steps = 1;
  for (size_t l = loops.size(); l-- > 0;) {
    if (loops[l].dst_step != 0) {
      steps *= loops[l].turns;
    } else if (steps < target.pipeline_steps) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": an accumulator is added to every ", steps,
                       " steps; the pipeline takes ", target.pipeline_steps,
                       ", so put loops over more results inside of those over "
                       "terms"));
    } else {
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

// A loop of elements as one over tiles.
struct TileLoop {
  int id;
  int64_t turns;
  int64_t scale;  // elements of its axis a turn
};

absl::StatusOr<TileLoop> ToTiles(const schedule::BoundLoop& loop, int64_t unit,
                                 const std::string& name) {
  const schedule::Digit& digit = loop.digits[0];
  if (digit.stride % unit == 0) return TileLoop{loop.id, loop.extent, 1};
  if (digit.stride == 1 && loop.extent % unit == 0) {
    return TileLoop{loop.id, loop.extent / unit, unit};
  }
  return absl::InvalidArgumentError(absl::StrCat(name, ": a loop of ", loop.extent, " turns, ",
                                                 digit.stride, " elements apart, cuts tiles of ",
                                                 unit, "; choose a multiple of ", unit));
}

// Where an operand's tiles are: what loops around decide, and the step of each loop of `loops`.
struct Steps {
  AffineValue offset;
  std::vector<int64_t> steps;
};
absl::StatusOr<Steps> StepsOf(const Held& held, const schedule::AxisValues& positions,
                              absl::Span<const TileLoop> loops) {
  Steps made{{}, std::vector<int64_t>(loops.size(), 0)};
  for (size_t d = 0; d < positions.size(); ++d) {
    const int64_t unit = schedule::UnitOf(held.tile, static_cast<int>(d));
    const int64_t stride = held.StrideOf(static_cast<int>(d));
    AffineValue outer;
    outer.constant = positions[d].constant;
    for (const schedule::LoopTerm& term : positions[d].terms) {
      const auto loop = std::ranges::find(loops, term.loop, &TileLoop::id);
      if (loop == loops.end()) {
        outer.terms.push_back(term);
        continue;
      }
      // Loops within one tile have one turn and no step.
      if (loop->turns == 1) continue;
      const int64_t elements = term.coefficient * loop->scale;
      TESSERA_CHECK(elements % unit == 0);
      made.steps[static_cast<size_t>(loop - loops.begin())] += elements / unit * stride;
    }
    if (!IsMultiple(outer, unit)) {
      return absl::InvalidArgumentError(
          absl::StrCat(held.buffer->name, " is read at places that cut tiles of ", unit));
    }
    made.offset = Add(std::move(made.offset), Divide(std::move(outer), unit), stride);
  }
  return made;
}

}  // namespace

absl::StatusOr<StepLoops> ProductLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::Target& target) {
  const int sum = nest.sum();
  const schedule::ProductTiles& product = plan.product;
  const auto& all = nest.bound(sum).loops;
  std::vector<TileLoop> loops;
  for (size_t l = nest.LeafDepth(sum); l < all.size(); ++l) {
    const int64_t unit = product.UnitOf(all[l].digits[0].axis, target);
    TESSERA_ASSIGN_OR_RETURN(loops.emplace_back(),
                             ToTiles(all[l], unit, nest.definition(sum).name()));
  }
  const Held &dst = plan.of(nest.output(sum)), &src = plan.of(product.a.get());
  TESSERA_ASSIGN_OR_RETURN(Steps of_dst, StepsOf(dst, nest.OwnPositions(sum), loops));
  TESSERA_ASSIGN_OR_RETURN(Steps of_src,
                           StepsOf(src, nest.PositionsIn(sum, src.buffer, src.base), loops));
  Steps of_wgt{{}, std::vector<int64_t>(loops.size(), 0)};
  if (product.b != nullptr) {
    const Held& wgt = plan.of(product.b.get());
    TESSERA_ASSIGN_OR_RETURN(of_wgt,
                             StepsOf(wgt, nest.PositionsIn(sum, wgt.buffer, wgt.base), loops));
  }
  std::vector<isa::Loop> steps;
  for (size_t l = 0; l < loops.size(); ++l) {
    steps.push_back({loops[l].turns, of_dst.steps[l], of_src.steps[l], of_wgt.steps[l]});
  }
  steps = Joined(steps);
  TESSERA_RETURN_IF_ERROR(CheckReuse(steps, target, nest.definition(sum).name()));
  return StepLoops{std::move(steps), {of_dst.offset, of_src.offset, of_wgt.offset}};
}

InstructionLoops AsMicroOps(absl::Span<const isa::Loop> loops, const isa::Config& config) {
  const int64_t room = config.Depth(isa::Memory::kUop);
  int64_t uops = 1;
  size_t first = loops.size();
  while (first > 0 && uops * loops[first - 1].turns <= room) uops *= loops[--first].turns;
  std::vector<isa::Loop> made(loops.begin(), loops.begin() + static_cast<int64_t>(first));
  std::vector<isa::Loop> inner(loops.begin() + static_cast<int64_t>(first), loops.end());
  // Of the loop that there is no room for, as many turns as there is.
  if (!made.empty()) {
    isa::Loop& last = made.back();
    int64_t turns = room / uops;
    while (last.turns % turns != 0) --turns;
    inner.insert(inner.begin(), {turns, last.dst_step, last.src_step, last.wgt_step});
    last = {last.turns / turns, last.dst_step * turns, last.src_step * turns,
            last.wgt_step * turns};
  }
  while (made.size() < kInstructionLoops) made.insert(made.begin(), isa::Loop{});
  const auto own = made.end() - kInstructionLoops;
  InstructionLoops split{{made.begin(), own}, {own, made.end()}};
  split.own.insert(split.own.end(), inner.begin(), inner.end());
  return split;
}

std::vector<isa::Loop> WindowLoops(const MemoryPlan& plan) {
  const Held& widened = *plan.widened;
  std::vector<isa::Loop> loops;
  for (const schedule::TiledDim& dim : widened.dims) {
    int64_t mask_step = 0;
    if (plan.mask) {
      const auto& dims = plan.mask->dims;
      const auto same = std::ranges::find(dims, dim.dimension, &schedule::TiledDim::dimension);
      if (same != dims.end()) mask_step = same->stride;
    }
    loops.push_back({dim.extent, dim.stride, mask_step, 0});
  }
  return Joined(loops);
}

absl::StatusOr<StepLoops> OperandLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::BufferNode* operand) {
  const Held &dst = plan.of(nest.output(nest.sum())), &src = plan.of(operand);
  const int root = nest.root();
  const schedule::Access& access = nest.AccessOf(root, operand);
  // What the root's own loops add to where it reads is what the tiles of results go over.
  schedule::AxisValues positions = nest.PositionsIn(root, operand, src.base);
  const auto own = absl::MakeConstSpan(nest.bound(root).loops).subspan(nest.LeafDepth(root));
  for (AffineValue& position : positions) {
    AffineValue around;
    around.constant = position.constant;
    for (const schedule::LoopTerm& term : position.terms) {
      if (std::none_of(own.begin(), own.end(),
                       [&](const schedule::BoundLoop& loop) { return loop.id == term.loop; })) {
        around.terms.push_back(term);
      }
    }
    position = std::move(around);
  }
  TESSERA_ASSIGN_OR_RETURN(Steps of_src, StepsOf(src, positions, {}));
  std::vector<isa::Loop> steps;
  for (const schedule::TiledDim& dim : dst.dims) {
    const int axis = plan.stored_dims[dim.dimension];
    int64_t src_step = 0;
    for (size_t d = 0; d < access.dims.size(); ++d) {
      if (schedule::IsPlain(access.dims[d], axis)) src_step += src.StrideOf(static_cast<int>(d));
    }
    steps.push_back({dim.extent, dim.stride, src_step, 0});
  }
  return StepLoops{Joined(steps), {{}, of_src.offset}};
}

}  // namespace tessera::codegen::vta
