#include "compiler/schedule/accelerator.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/schedule/accelerator_stages.h"
#include "compiler/schedule/accumulator_steps.h"
#include "compiler/schedule/tiled_layout.h"
#include "compiler/vta/code.h"
#include "compiler/vta/fields.h"

namespace tessera::schedule {
namespace {

// Applies steps and writes them down.
class Drafter {
 public:
  Drafter(const te::Dag& dag, const ir::Target& target) : draft_{Schedule(dag)}, target_(target) {}

  absl::StatusOr<AcceleratorDraft> Run() {
    TESSERA_RETURN_IF_ERROR(InlineRest());
    const std::string sum = Name(draft_.sum);
    TESSERA_ASSIGN_OR_RETURN(ProductTiles product, FindProductTiles(State(draft_.sum), target_));
    if (draft_.store < 0 || State(draft_.store).stage->output()->type != ir::Int(8)) {
      return absl::InvalidArgumentError(
          "results are of more than 8 bits; the accelerator stores i8, so narrow them, as shift= "
          "does");
    }
    const std::string store = Name(draft_.store);
    TESSERA_ASSIGN_OR_RETURN(const std::string a, Operand(sum, product.a));
    std::string b;
    if (product.b != nullptr) {
      TESSERA_ASSIGN_OR_RETURN(b, Operand(sum, product.b));
    }
    std::vector<std::string> others, added;  // that the store reads, and copies of these
    for (const Access& access : State(draft_.schedule.StageNamed(store)).analysis->reads) {
      const std::string& name = access.buffer->name;
      if (name != sum && std::ranges::count(others, name) == 0) others.push_back(name);
    }
    for (const std::string& name : others) {
      TESSERA_RETURN_IF_ERROR(Do({Primitive::kCacheRead, name, {store}, {}, {}}));
      added.push_back(absl::StrCat(store, ".", name));
    }
    draft_.store = draft_.schedule.StageNamed(store);
    draft_.sum = draft_.schedule.StageNamed(sum);
    draft_.a = draft_.schedule.StageNamed(a);
    if (product.b != nullptr) draft_.b = draft_.schedule.StageNamed(b);
    for (const std::string& copy : added) draft_.added.push_back(draft_.schedule.StageNamed(copy));
    TESSERA_ASSIGN_OR_RETURN(draft_.product, FindProductTiles(State(draft_.sum), target_));
    const StageState& stored = State(draft_.store);
    const ir::Buffer& sums = State(draft_.sum).stage->output();
    TESSERA_ASSIGN_OR_RETURN(draft_.stored_axes, StoredAxes(stored, sums));
    TESSERA_RETURN_IF_ERROR(AccumulatorSteps(stored.stage->bodies[0], sums).status());
    TESSERA_RETURN_IF_ERROR(
        CheckCopy(draft_.schedule, State(draft_.a), PaddingValue(product.filling)));
    TESSERA_RETURN_IF_ERROR(CheckRead(draft_.sum, draft_.a));
    if (draft_.b >= 0) {
      TESSERA_RETURN_IF_ERROR(CheckCopy(draft_.schedule, State(draft_.b)));
      TESSERA_RETURN_IF_ERROR(CheckRead(draft_.sum, draft_.b));
    }
    for (const int copy : draft_.added) {
      TESSERA_RETURN_IF_ERROR(CheckCopy(draft_.schedule, State(copy)));
      TESSERA_RETURN_IF_ERROR(CheckRead(draft_.store, copy));
    }
    TESSERA_RETURN_IF_ERROR(LayOut());
    return std::move(draft_);
  }

 private:
  const StageState& State(int stage) const { return draft_.schedule.stages()[stage]; }
  std::string Name(int stage) const { return State(stage).stage->name(); }

  absl::Status Do(Step step) {
    TESSERA_RETURN_IF_ERROR(draft_.schedule.Apply(step));
    draft_.steps.push_back(std::move(step));
    return absl::OkStatus();
  }

  const Access& ReadBy(int reader, int stage) const {
    const std::vector<Access>& reads = State(reader).analysis->reads;
    return *std::ranges::find(reads, State(stage).stage->output(), &Access::buffer);
  }

  // That a copy is read at one place, which axes say.
  absl::Status CheckRead(int reader, int copy) const {
    const std::vector<Access>& reads = State(reader).analysis->reads;
    const ir::Buffer& output = State(copy).stage->output();
    const bool is_affine = std::ranges::all_of(ReadBy(reader, copy).dims, &AxisForm::affine);
    if (is_affine && std::ranges::count(reads, output, &Access::buffer) == 1) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(Name(reader), " reads ", SourceOf(copy)->name,
                     is_affine ? " at several places" : " at places that no sum of its axes says"));
  }

  // A reduction of i8 that is the output is stored by a copy of it.
  absl::Status SplitOutput() {
    for (const StageState& state : draft_.schedule.stages()) {
      const te::Stage& stage = *state.stage;
      if (stage.is_reduction() && stage.bodies.size() == 1 &&
          draft_.schedule.IsOutput(stage.output()) && stage.output()->type == ir::Int(8)) {
        return Do({Primitive::kCacheWrite, stage.name(), {}, {}, {}});
      }
    }
    return absl::OkStatus();
  }

  // Finds sum and store, and inlines what is between them.
  absl::Status InlineRest() {
    TESSERA_RETURN_IF_ERROR(SplitOutput());
    const std::vector<StageState>& stages = draft_.schedule.stages();
    const bool reduces = std::ranges::any_of(
        stages, [](const StageState& state) { return state.stage->is_reduction(); });
    std::vector<std::string> rest;
    for (size_t i = 0; i < stages.size(); ++i) {
      const auto index = static_cast<int>(i);
      const te::Stage& stage = *stages[i].stage;
      const bool widens = !reduces && draft_.sum < 0 && FillsAccumulators(stage) &&
                          !draft_.schedule.IsOutput(stage.output());
      if (stage.is_reduction() || widens) {
        if (draft_.sum >= 0) {
          return absl::InvalidArgumentError(absl::StrCat(stage.name(), " and ", Name(draft_.sum),
                                                         " are two reductions; the accelerator's "
                                                         "kernels have one each"));
        }
        draft_.sum = index;
      } else if (draft_.schedule.IsOutput(stage.output())) {
        if (draft_.store >= 0) {
          return absl::InvalidArgumentError("the accelerator's kernels have one output");
        }
        draft_.store = index;
      } else if (draft_.sum >= 0) {
        rest.push_back(stage.name());
      }
    }
    if (draft_.sum < 0) {
      return absl::InvalidArgumentError(
          "there is no sum of products, no largest of a window, and no stage that has i8 as i32, "
          "which is what accumulators are filled with");
    }
    for (const std::string& name : rest) {
      TESSERA_RETURN_IF_ERROR(Do({Primitive::kInline, name, {}, {}, {}}));
    }
    return absl::OkStatus();
  }

  // The copy of an operand: what pads it, or a stage of its own.
  absl::StatusOr<std::string> Operand(const std::string& sum, const ir::Buffer& operand) {
    if (draft_.schedule.StageNamed(operand->name) >= 0) return operand->name;
    TESSERA_RETURN_IF_ERROR(Do({Primitive::kCacheRead, operand->name, {sum}, {}, {}}));
    return absl::StrCat(sum, ".", operand->name);
  }

  // Tiles innermost wherever a tensor's layout is ours to choose; others have to have them there.
  absl::Status LayOut() {
    const ProductTiles& product = draft_.product;
    Tile a, b, store;
    if (product.row_axis >= 0) a.push_back({product.a_row_dim, target_.tile_rows});
    a.push_back({product.a_term_dim, target_.tile_block});
    if (draft_.b >= 0) {
      b = {{product.b_block_dim, target_.tile_block}, {product.b_term_dim, target_.tile_block}};
    }
    if (product.row_axis >= 0) {
      store.push_back({draft_.stored_axes[product.row_axis], target_.tile_rows});
    }
    store.push_back({draft_.stored_axes[product.block_axis], target_.tile_block});
    TESSERA_RETURN_IF_ERROR(LayOut(SourceOf(draft_.a), a));
    TESSERA_RETURN_IF_ERROR(CheckPadding(a));
    if (draft_.b >= 0) TESSERA_RETURN_IF_ERROR(LayOut(SourceOf(draft_.b), b));
    for (const int copy : draft_.added) {
      TESSERA_ASSIGN_OR_RETURN(const Tile added, AddedTile(draft_.schedule, State(copy),
                                                           ReadBy(draft_.store, copy), store));
      TESSERA_RETURN_IF_ERROR(LayOut(SourceOf(copy), added));
    }
    return LayOut(State(draft_.store).stage->output(), store);
  }

  // That loads can put zeros where operand a has them.
  absl::Status CheckPadding(const Tile& tile) const {
    const StageState& copy = State(draft_.a);
    const Access& source = copy.analysis->reads[0];
    TESSERA_ASSIGN_OR_RETURN(
        const TiledLayout layout,
        FindTiles(*source.buffer, draft_.schedule.LayoutOf(source.buffer), tile));
    TiledDim columns{};  // of the mask: the last padded dimension, as they are stored
    for (size_t i = 0; i < layout.dims.size(); ++i) {
      const int dimension = layout.dims[i].dimension;
      const auto [before, behind] = PaddingOf(copy, dimension);
      const int64_t padding = std::max(before, behind);
      if (padding > 0) columns = layout.dims[i];
      if (padding == 0 || (padding <= vta::kMaxPad && i + 2 >= layout.dims.size())) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          source.buffer->name, " is padded by ", padding, " along dimension ", dimension,
          "; the accelerator pads rows and columns, by ", vta::kMaxPad, " at most"));
    }
    if (!NeedsMask(draft_)) return absl::OkStatus();
    const int64_t most = vta::kMaxConstantBytes / (target_.tile_rows * target_.tile_block);
    if (columns.extent > most) {
      return absl::InvalidArgumentError(absl::StrCat(
          source.buffer->name, " has ", columns.extent, " positions along dimension ",
          columns.dimension, ", which is padded by -128; the accelerator's masks of that are of ",
          most, " at most"));
    }
    return absl::OkStatus();
  }

  // Copies have the dimensions of what they copy.
  ir::Buffer SourceOf(int copy) const { return State(copy).analysis->reads[0].buffer; }

  absl::Status LayOut(const ir::Buffer& buffer, const Tile& tile) {
    const bool has_copies = std::ranges::any_of(
        tile, [](const TileDim& dim) { return dim.dimension == kCopies && dim.extent > 1; });
    if (buffer->policy != ir::LayoutPolicy::kFixed || has_copies) {
      TESSERA_RETURN_IF_ERROR(
          Do({Primitive::kLayout, buffer->name, {}, {}, TiledLayoutText(*buffer, tile)}));
    }
    return FindTiles(*buffer, draft_.schedule.LayoutOf(buffer), tile).status();
  }

  AcceleratorDraft draft_;
  const ir::Target& target_;
};

// Builds nests by axes of the sum, which `store` has in some order.
class Arranger {
 public:
  Arranger(const AcceleratorDraft& draft, const AcceleratorTiles& tiles)
      : draft_(draft), tiles_(tiles), sum_(*Stage(draft.sum).stage) {}

  std::vector<Nest> Run() {
    std::vector<Nest> nests;
    nests.push_back(StoreNest());
    nests.push_back(SumNest());
    nests.push_back(OperandNest(draft_.a, tiles_.holds_a, tiles_.doubles_a));
    if (draft_.b >= 0) {
      nests.push_back(OperandNest(draft_.b, tiles_.holds_b, tiles_.doubles_b));
    }
    for (const int copy : draft_.added) {
      Nest nest = CopyNest(copy);
      nest.at_stage = draft_.store;
      nest.at_loop = InnermostLoopFor(draft_.store, Stage(copy).stage->output());
      nests.push_back(std::move(nest));
    }
    return nests;
  }

 private:
  const StageState& Stage(int stage) const { return draft_.schedule.stages()[stage]; }
  const Access& Read(int stage, const ir::Buffer& buffer) const {
    const auto& reads = Stage(stage).analysis->reads;
    const auto found = std::ranges::find(reads, buffer, &Access::buffer);
    TESSERA_CHECK(found != reads.end());
    return *found;
  }
  static LoopState Loop(int axis, int64_t stride, int64_t extent) {
    LoopState loop;
    loop.digits.push_back({axis, stride, extent});
    return loop;
  }

  // A loop of one turn for what stays all the time; loops over tiles, then over virtual threads,
  // then over a tile.
  Nest StoreNest() {
    Nest nest;
    nest.stage = draft_.store;
    std::vector<bool> has_digit(sum_.axes.size(), false);
    const auto add = [&](int axis, int64_t stride, int64_t turns) {
      nest.loops.push_back(Loop(draft_.stored_axes[axis], stride, has_digit[axis] ? turns : 0));
      has_digit[axis] = true;
    };
    add(tiles_.tile_order.front(), sum_.axes[tiles_.tile_order.front()].extent, 1);
    tile_loops_.push_back(kNoAxis);
    for (const int axis : tiles_.tile_order) {
      const int64_t extent = sum_.axes[axis].extent;
      const int64_t stride =
          tiles_.results[axis] * (axis == tiles_.virtual_axis ? tiles_.virtual_threads : 1);
      if (stride >= extent) continue;
      add(axis, stride, extent / stride);
      tile_loops_.push_back(axis);
    }
    if (const int axis = tiles_.virtual_axis; axis >= 0) {
      add(axis, tiles_.results[axis], tiles_.virtual_threads);
      nest.loops.back().kind = ir::LoopKind::kThread;
      nest.loops.back().thread_axis = ir::ThreadAxis::kVirtual;
      tile_loops_.push_back(axis);
    }
    for (size_t axis = 0; axis < sum_.axes.size(); ++axis) {
      const int64_t tile = tiles_.results[axis];
      if (tile > 1 || !has_digit[axis]) add(static_cast<int>(axis), 1, tile);
    }
    return nest;
  }

  // Loops over loads, then over the steps of one.
  Nest SumNest() {
    Nest nest;
    nest.stage = draft_.sum;
    nest.at_stage = draft_.store;
    nest.at_loop = static_cast<int>(tile_loops_.size()) - 1;
    const auto spatial = static_cast<int>(sum_.axes.size());
    for (size_t r = 0; r < sum_.reduce_axes.size(); ++r) {
      if (tiles_.terms[r] == sum_.reduce_axes[r].extent) continue;
      nest.loops.push_back(Loop(spatial + static_cast<int>(r), tiles_.terms[r], 0));
    }
    load_loops_ = static_cast<int>(nest.loops.size());
    for (const int axis : tiles_.step_order) {
      if (axis < spatial) {
        nest.loops.push_back(Loop(axis, 1, 0));
        continue;
      }
      const int64_t terms = tiles_.terms[axis - spatial];
      const bool is_whole = terms == sum_.reduce_axes[axis - spatial].extent;
      if (is_whole || terms > 1) nest.loops.push_back(Loop(axis, 1, is_whole ? 0 : terms));
    }
    return nest;
  }

  Nest OperandNest(int copy, bool holds, bool doubles) {
    Nest nest = CopyNest(copy);
    nest.is_doubled = doubles;
    if (!holds && load_loops_ > 0) {
      nest.at_stage = draft_.sum;
      nest.at_loop = load_loops_ - 1;
      return nest;
    }
    nest.at_stage = draft_.store;
    nest.at_loop = holds ? InnermostLoopFor(draft_.sum, Stage(copy).stage->output())
                         : static_cast<int>(tile_loops_.size()) - 1;
    return nest;
  }

  Nest CopyNest(int copy) const {
    Nest nest;
    nest.stage = copy;
    for (size_t axis = 0; axis < Stage(copy).stage->axes.size(); ++axis) {
      nest.loops.push_back(Loop(static_cast<int>(axis), 1, 0));
    }
    return nest;
  }

  // The store's innermost loop over tiles that moves what `reader` reads of `buffer`.
  int InnermostLoopFor(int reader, const ir::Buffer& buffer) const {
    const Access& access = Read(reader, buffer);
    for (size_t l = tile_loops_.size(); l-- > 1;) {
      const int axis = reader == draft_.sum ? tile_loops_[l] : draft_.stored_axes[tile_loops_[l]];
      if (Uses(access, axis)) return static_cast<int>(l);
    }
    return 0;
  }

  static constexpr int kNoAxis = -1;

  const AcceleratorDraft& draft_;
  const AcceleratorTiles& tiles_;
  const te::Stage& sum_;
  std::vector<int> tile_loops_;  // of the store around the sum, by axes of the sum
  int load_loops_ = 0;
};

}  // namespace

vta::Config ConfigOf(const ir::Target& target) {
  const auto log = [](int64_t value) { return std::countr_zero(static_cast<uint64_t>(value)); };
  return {.log_batch = log(target.tile_rows),
          .log_block = log(target.tile_block),
          .log_uop_bytes = log(target.uop_bytes),
          .log_inp_bytes = log(target.inp_bytes),
          .log_wgt_bytes = log(target.wgt_bytes),
          .log_acc_bytes = log(target.acc_bytes)};
}

bool NeedsIdentity(const AcceleratorDraft& draft) {
  if (draft.product.TakesIdentity()) return true;
  return std::ranges::any_of(draft.added, [&](int copy) {
    return draft.schedule.stages()[copy].stage->output()->type == ir::Int(8);
  });
}

bool NeedsMask(const AcceleratorDraft& draft) {
  return draft.product.filling == Filling::kLargest &&
         !PaddedDimensions(draft.schedule.stages()[draft.a]).empty();
}

absl::StatusOr<AcceleratorDraft> DraftForAccelerator(const te::Dag& dag, const ir::Target& target) {
  TESSERA_CHECK(target.kind == ir::TargetKind::kVta);
  TESSERA_RETURN_IF_ERROR(vta::CheckEncodable(ConfigOf(target)));
  return Drafter(dag, target).Run();
}

std::vector<Nest> AcceleratorNests(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  return Arranger(draft, tiles).Run();
}

}  // namespace tessera::schedule
