#include "compiler/codegen/vta/memory_plan.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/codegen/vta/affine.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/accelerator_stages.h"

namespace tessera::codegen::vta {
namespace {

namespace isa = tessera::vta;

class Planner {
 public:
  Planner(const Nest& nest, const ir::Target& target)
      : nest_(nest), target_(target), config_(schedule::ConfigOf(target)) {}

  absl::StatusOr<MemoryPlan> Run() {
    const schedule::StageState& sum = nest_.state(nest_.sum());
    TESSERA_ASSIGN_OR_RETURN(plan_.product, schedule::FindProductTiles(sum, target_));
    TESSERA_ASSIGN_OR_RETURN(
        plan_.alu_steps,
        schedule::AccumulatorSteps(nest_.definition(nest_.root()).bodies[0], sum.stage->output()));
    TESSERA_RETURN_IF_ERROR(CheckReads(nest_.root()));
    TESSERA_RETURN_IF_ERROR(CheckReads(nest_.sum()));
    TESSERA_RETURN_IF_ERROR(HoldSum());
    for (const int copy : nest_.copies()) TESSERA_RETURN_IF_ERROR(HoldCopy(copy));
    for (const ir::BufferNode* operand : {plan_.product.a.get(), plan_.product.b.get()}) {
      if (operand != nullptr) TESSERA_RETURN_IF_ERROR(CheckHeld(*operand));
    }
    bool needs_identity = plan_.product.TakesIdentity();
    for (const schedule::AccumulatorStep& step : plan_.alu_steps) {
      if (step.operand != nullptr) TESSERA_RETURN_IF_ERROR(CheckHeld(*step.operand->buffer));
      needs_identity |= step.AddsBytes();
    }
    if (plan_.product.filling == schedule::Filling::kLargest) {
      TESSERA_RETURN_IF_ERROR(HoldWindow());
    }
    if (needs_identity) TESSERA_RETURN_IF_ERROR(HoldIdentity());
    return std::move(plan_);
  }

 private:
  // That a stage reads each tensor at one place, which its axes say.
  absl::Status CheckReads(int stage) const {
    const auto& reads = nest_.state(stage).analysis->reads;
    for (const schedule::Access& access : reads) {
      const bool is_affine = std::ranges::all_of(access.dims, &schedule::AxisForm::affine);
      if (is_affine && std::ranges::count(reads, access.buffer, &schedule::Access::buffer) == 1) {
        continue;
      }
      return absl::InvalidArgumentError(absl::StrCat(
          nest_.definition(stage).name(), " reads ", access.buffer->name,
          is_affine ? " at several places" : " at places that no sum of its axes says"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckHeld(const ir::BufferNode& buffer) const {
    if (plan_.held.contains(&buffer)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("reads ", buffer.name,
                     " where it is; copy it by cache_read, computed in a "
                     "loop around"));
  }

  // The sum in accumulators, in the order in which its results are stored.
  absl::Status HoldSum() {
    const int root = nest_.root(), sum = nest_.sum();
    const ir::Buffer& result = nest_.definition(sum).output();
    TESSERA_ASSIGN_OR_RETURN(plan_.stored_dims, schedule::StoredAxes(nest_.state(root), result));
    schedule::Tile tile;
    const schedule::ProductTiles& product = plan_.product;
    if (product.row_axis >= 0) tile.push_back({product.row_axis, target_.tile_rows});
    tile.push_back({product.block_axis, target_.tile_block});
    for (const schedule::TileDim& dim : tile) {
      stored_tile_.push_back({plan_.stored_dims[dim.dimension], dim.extent});
    }
    const ir::Buffer& output = nest_.definition(root).output();
    TESSERA_ASSIGN_OR_RETURN(
        plan_.stored,
        schedule::FindTiles(*output, nest_.schedule().LayoutOf(output), stored_tile_));
    std::vector<int> order;
    for (const schedule::TiledDim& dim : plan_.stored.dims) {
      const auto place = std::ranges::find(plan_.stored_dims, dim.dimension);
      order.push_back(static_cast<int>(place - plan_.stored_dims.begin()));
    }
    return Hold(sum, isa::Memory::kAcc, std::move(tile), order);
  }

  // An operand of the product, or of what is added to it.
  absl::Status HoldCopy(int copy) {
    const std::string& name = nest_.definition(copy).name();
    const ir::BufferNode* output = nest_.output(copy);
    const int64_t padding =
        output == plan_.product.a.get() ? schedule::PaddingValue(plan_.product.filling) : 0;
    TESSERA_RETURN_IF_ERROR(schedule::CheckCopy(nest_.schedule(), nest_.state(copy), padding));
    const schedule::Access& source = nest_.SourceOf(copy);
    if (!nest_.Reads(nest_.root(), output) && !nest_.Reads(nest_.sum(), output)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is copied once more; leave one of the copies out"));
    }
    const schedule::ProductTiles& product = plan_.product;
    schedule::Tile tile;
    isa::Memory memory = output->type == ir::Int(8) ? isa::Memory::kInp : isa::Memory::kAcc;
    if (output == product.a.get()) {
      if (product.row_axis >= 0) tile.push_back({product.a_row_dim, target_.tile_rows});
      tile.push_back({product.a_term_dim, target_.tile_block});
    } else if (output == product.b.get()) {
      memory = isa::Memory::kWgt;
      tile = {{product.b_block_dim, target_.tile_block}, {product.b_term_dim, target_.tile_block}};
    } else {
      TESSERA_ASSIGN_OR_RETURN(
          tile, schedule::AddedTile(nest_.schedule(), nest_.state(copy),
                                    nest_.AccessOf(nest_.root(), output), stored_tile_));
    }
    // Dimensions of the source by axes of the copy, which are its output's dimensions.
    std::vector<int> axes;
    schedule::Tile source_tile(tile.size());
    for (size_t d = 0; d < source.dims.size(); ++d) {
      const int axis = source.dims[d].terms[0].first;
      axes.push_back(axis);
      for (size_t t = 0; t < tile.size(); ++t) {
        if (tile[t].dimension == schedule::kCopies) source_tile[t] = tile[t];
        if (tile[t].dimension == axis) source_tile[t] = {static_cast<int>(d), tile[t].extent};
      }
    }
    TESSERA_ASSIGN_OR_RETURN(
        schedule::TiledLayout layout,
        schedule::FindTiles(*source.buffer, nest_.schedule().LayoutOf(source.buffer), source_tile));
    std::vector<int> order;
    for (const schedule::TiledDim& dim : layout.dims) order.push_back(axes[dim.dimension]);
    plan_.sources.emplace(output, std::move(layout));
    return Hold(copy, memory, std::move(tile), order);
  }

  // What the ALU finds the largest of.
  absl::Status HoldWindow() {
    const Held& a = plan_.of(plan_.product.a.get());
    Held widened = a;
    widened.turn_loop = -1;
    TESSERA_ASSIGN_OR_RETURN(
        plan_.widened, Allocate(a.buffer->name + " as i32", isa::Memory::kAcc, std::move(widened)));
    const int copy = *std::ranges::find(nest_.copies(), a.buffer,
                                        [&](int stage) { return nest_.output(stage); });
    const std::vector<int> padded = schedule::PaddedDimensions(nest_.state(copy));
    if (padded.empty()) return absl::OkStatus();
    Held mask = a;
    const schedule::Access& source = nest_.SourceOf(copy);
    std::erase_if(mask.dims, [&](const schedule::TiledDim& dim) {
      return std::ranges::none_of(padded, [&](int dimension) {
        return source.dims[dimension].terms[0].first == dim.dimension;
      });
    });
    mask.tiles = 1;
    std::set<int> loops;
    for (size_t i = mask.dims.size(); i-- > 0;) {
      mask.dims[i].stride = mask.tiles;
      mask.tiles *= mask.dims[i].extent;
      AddVirtualLoops(mask.base[mask.dims[i].dimension], loops);
    }
    mask.virtual_loops.assign(loops.begin(), loops.end());
    TESSERA_ASSIGN_OR_RETURN(
        plan_.mask, Allocate(a.buffer->name + "'s mask", isa::Memory::kInp, std::move(mask)));
    // Values are 128 more until all are compared.
    plan_.alu_steps.insert(
        plan_.alu_steps.begin(),
        {ir::BinaryOp::kAdd, nullptr, schedule::PaddingValue(schedule::Filling::kLargest)});
    return absl::OkStatus();
  }

  absl::Status HoldIdentity() {
    Held held;
    held.tiles = plan_.mask ? 2 : 1;
    TESSERA_ASSIGN_OR_RETURN(held, Allocate("the identity", isa::Memory::kWgt, std::move(held)));
    plan_.identity = held.allocation;
    return absl::OkStatus();
  }

  // Gives a stage's region memory; `order`: its dimensions, outermost first.
  absl::Status Hold(int stage, isa::Memory memory, schedule::Tile tile,
                    const std::vector<int>& order) {
    const schedule::BoundStage& bound = nest_.bound(stage);
    const std::string& name = nest_.definition(stage).name();
    Held held;
    held.buffer = nest_.output(stage);
    held.tiles = 1;
    for (size_t d = 0; d < nest_.definition(stage).axes.size(); ++d) {
      held.base.push_back(bound.axes[d].base);
    }
    for (size_t i = order.size(); i-- > 0;) {
      const int d = order[i];
      const int64_t unit = schedule::UnitOf(tile, d), extent = bound.axes[d].extent;
      if (extent % unit != 0 || !IsMultiple(held.base[d], unit)) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ": a part of ", extent, " along dimension ", d,
                         " cuts tiles, which have ", unit, " elements there"));
      }
      held.dims.push_back({d, extent / unit, held.tiles});
      if (extent / unit > config_.Depth(memory) / held.tiles) return TooLarge(name, memory);
      held.tiles *= extent / unit;
    }
    std::ranges::reverse(held.dims);
    held.tile = std::move(tile);
    std::set<int> virtual_loops;
    for (const schedule::AffineValue& base : held.base) AddVirtualLoops(base, virtual_loops);
    held.virtual_loops.assign(virtual_loops.begin(), virtual_loops.end());
    if (nest_.state(stage).is_doubled) held.turn_loop = nest_.TurnsAround(stage);
    TESSERA_ASSIGN_OR_RETURN(held, Allocate(name, memory, std::move(held)));
    const ir::BufferNode* buffer = held.buffer;
    plan_.held.emplace(buffer, std::move(held));
    return absl::OkStatus();
  }

  void AddVirtualLoops(const schedule::AffineValue& base, std::set<int>& loops) const {
    for (const schedule::LoopTerm& term : base.terms) {
      if (nest_.IsVirtual(term.loop)) loops.insert(term.loop);
    }
  }

  absl::Status TooLarge(const std::string& name, isa::Memory memory) const {
    const int64_t depth = config_.Depth(memory), used = used_[static_cast<size_t>(memory)];
    return absl::InvalidArgumentError(absl::StrCat(
        name, " takes more than the ", depth - used, " tiles that are left of ", depth, " of ",
        AbslView(isa::MemoryName(memory)), "; choose smaller tiles, or fewer virtual threads"));
  }

  absl::StatusOr<Held> Allocate(const std::string& name, isa::Memory memory, Held held) {
    int64_t& used = used_[static_cast<size_t>(memory)];
    const int64_t most = (config_.Depth(memory) - used) / held.tiles;
    int64_t copies = held.turn_loop >= 0 ? 2 : 1;
    for (const int loop : held.virtual_loops) {
      if (nest_.ExtentOf(loop) > most) return TooLarge(name, memory);
      copies *= nest_.ExtentOf(loop);
      if (copies > most) return TooLarge(name, memory);
    }
    if (copies > most) return TooLarge(name, memory);
    held.allocation = static_cast<int>(plan_.allocations.size());
    plan_.allocations.push_back({memory, used, held.tiles, copies});
    used += copies * held.tiles;
    return held;
  }

  const Nest& nest_;
  const ir::Target& target_;
  const isa::Config config_;
  MemoryPlan plan_;
  schedule::Tile stored_tile_;  // of the root's output
  std::array<int64_t, isa::kMemories> used_ = {};
};

}  // namespace

int64_t Held::StrideOf(int dimension) const {
  return std::ranges::find(dims, dimension, &schedule::TiledDim::dimension)->stride;
}

absl::StatusOr<MemoryPlan> PlanMemory(const Nest& nest, const ir::Target& target) {
  return Planner(nest, target).Run();
}

}  // namespace tessera::codegen::vta
