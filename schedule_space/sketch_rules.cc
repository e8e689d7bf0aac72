#include "schedule_space/sketch_rules.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/winograd_form.h"
#include "compiler/te/instructions.h"
#include "schedule_space/accelerator_group.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/product_group.h"
#include "schedule_space/row_group.h"
#include "schedule_space/sketch_draft.h"
#include "schedule_space/steps.h"
#include "schedule_space/thread_rules.h"
#include "schedule_space/tile_group.h"
#include "schedule_space/winograd_group.h"

namespace tessera::space {
namespace {

using schedule::Schedule;
using schedule::StageState;

constexpr double kDirectWeight = 3;  // most good programs keep their accumulators in registers
// Of random samples 1 in 15 came within a tenth of the best, of direct ones 1 in 8.
constexpr double kPaddedWeight = 0.6;
constexpr double kWinogradWeight = 3;  // of both tile sizes
constexpr double kTensorWeight = 12;
constexpr double kMinSavings = 1.3;  // of multiplications
// The best of random samples of three convolutions with a copy and without: 453 and 458, 447 and
// 385, 34 and 12 µs.
constexpr double kCopiedShare = 0.25;
constexpr double kManyTiles = 16;
constexpr double kProductWeight = 3;
constexpr double kBlockedShare = 0.25;  // a smaller space
constexpr int64_t kMinChannels = 8;     // of both sides, for transforms to pay
constexpr int64_t kMinReuse = 16;       // reads of an element that pay for packing it

class Rules {
 public:
  Rules(const te::Dag& dag, const ir::Target& target, int threads)
      : dag_(dag), target_(target), threads_(threads) {}

  absl::StatusOr<std::vector<Sketch>> Run() {
    const Draft plain = Inline(dag_, false);
    const std::vector<int> live = Live(plain.schedule);
    std::vector<int> reductions;
    for (int index : live) {
      if (plain.schedule.stages()[index].stage->is_reduction()) reductions.push_back(index);
    }
    if (live.size() == 1 && reductions.empty()) {
      AddTile("map", plain, {}, false, 1);
      return std::move(sketches_);
    }
    if (reductions.size() == 1 && IsTileable(plain.schedule, live, reductions[0])) {
      TESSERA_RETURN_IF_ERROR(AddTiled(plain));
      const std::string& name = plain.schedule.stages()[reductions[0]].stage->name();
      TESSERA_RETURN_IF_ERROR(AddWinograd(dag_.stages[dag_.StageNamed(name)]));
      AddTensor(dag_.stages[dag_.StageNamed(name)]);
      if (!RunsAlongRows(*plain.schedule.stages()[reductions[0]].stage,
                         *plain.schedule.stages()[reductions[0]].analysis)) {
        return std::move(sketches_);
      }
    }
    TESSERA_RETURN_IF_ERROR(AddProducts(plain));
    AddRows(plain);
    return std::move(sketches_);
  }

 private:
  static bool IsTileable(const Schedule& schedule, const std::vector<int>& live, int reduce) {
    const te::Stage& stage = *schedule.stages()[reduce].stage;
    if (stage.outputs.size() != 1 || stage.axes.empty()) return false;
    if (live.size() == 1) return true;
    return live.size() == 2 && live[0] == reduce && !schedule.IsOutput(stage.output()) &&
           IsElementwiseOver(schedule, live[1], reduce);
  }

  // Every operand is contiguous along reduction axes only: vectors have to run along those.
  static bool RunsAlongRows(const te::Stage& stage, const schedule::StageAnalysis& analysis) {
    const int spatial = static_cast<int>(stage.axes.size());
    for (const schedule::Access& access : analysis.reads) {
      if (access.buffer->policy == ir::LayoutPolicy::kFree) return false;
      const Contiguous last = ContiguousDim(*access.buffer);
      if (last.dim < 0) continue;
      for (int axis = 0; axis < spatial; ++axis) {
        if (stage.axes[axis].extent > 1 && Uses(access.dims[last.dim], axis)) return false;
      }
    }
    return true;
  }

  absl::Status AddTiled(const Draft& plain) {
    TESSERA_ASSIGN_OR_RETURN(Draft draft, WithCacheWrite(plain));
    AddTile("direct", draft, {}, false, kDirectWeight);
    AddTile("chunked", draft, {}, true, 0.7);

    const Draft kept = Inline(dag_, true);
    std::vector<std::string> padding;
    for (int index : Live(kept.schedule)) {
      const StageState& state = kept.schedule.stages()[index];
      if (IsPadding(state) && !kept.schedule.IsOutput(state.stage->output())) {
        padding.push_back(state.stage->name());
      }
    }
    if (!padding.empty()) {
      TESSERA_ASSIGN_OR_RETURN(Draft padded, WithCacheWrite(kept));
      AddTile("padded", padded, padding, false, kPaddedWeight);
      AddTile("padded_chunked", padded, padding, true, kPaddedWeight / 2);
    }

    TESSERA_ASSIGN_OR_RETURN(Draft packed, WithCacheWrite(plain));
    const int reduce = ReductionOf(packed.schedule);
    const std::string name = packed.schedule.stages()[reduce].stage->name();
    TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> packs, Pack(packed, name));
    if (packs.empty()) return absl::OkStatus();
    AddTile("packed", packed, packs, false, 1);
    AddTile("packed_chunked", packed, packs, true, 1);
    return absl::OkStatus();
  }

  // Packs operands of the sum `name` that are read often and that vectors of its last axis are
  // loaded from; returns the copies. Copies of the other operand, too, made products of 1024³
  // 1 to 9 % slower.
  absl::StatusOr<std::vector<std::string>> Pack(Draft& draft, const std::string& name) const {
    std::vector<std::string> packs;
    for (const te::Input& input : dag_.inputs) {
      const StageState& state = draft.schedule.stages()[draft.schedule.StageNamed(name)];
      if (input.is_constant || input.buffer->policy != ir::LayoutPolicy::kFixed ||
          !input.buffer->layout.empty() || Reuse(*state.stage, *input.buffer) < kMinReuse ||
          state.analysis->operations.select > 0) {
        continue;
      }
      const int last_axis = static_cast<int>(state.stage->axes.size()) - 1;
      bool has_rows = false, plain_dims = false;
      for (const schedule::Access& access : state.analysis->reads) {
        if (access.buffer != input.buffer) continue;
        const auto& dims = access.dims;
        has_rows |= std::any_of(dims.begin(), dims.end(), [&](const schedule::AxisForm& form) {
          return Uses(form, last_axis);
        });
        plain_dims |= std::all_of(dims.begin(), dims.end(), [](const schedule::AxisForm& form) {
          return form.affine && form.constant == 0 && form.terms.size() <= 1;
        });
      }
      if (!has_rows || !plain_dims) continue;
      TESSERA_RETURN_IF_ERROR(draft.Do(CacheReadStep(input.buffer->name, name)));
      packs.push_back(name + "." + input.buffer->name);
    }
    return packs;
  }

  // Rule winograd: other algorithms for a convolution with constant weights.
  absl::Status AddWinograd(const te::Stage& conv) {
    const auto matched = schedule::MatchWinograd(conv);
    if (!matched.ok() || !IsConstant(matched->w)) return absl::OkStatus();
    const schedule::WinogradForm& form = *matched;
    if (conv.axes[form.filter].extent < kMinChannels || Sums(conv, form) < kMinChannels) {
      return absl::OkStatus();
    }
    // Each element of U is used once a tile: of few tiles, the larger ones wait for memory.
    double tiles = 1;
    for (const int axis : form.outputs) tiles *= static_cast<double>(conv.axes[axis].extent);
    for (const schedule::WinogradWindow& window : form.windows) {
      tiles *= static_cast<double>(window.output_phases() * window.tiles(4));
    }
    const double large_weight = kWinogradWeight * std::min(1.0, tiles / kManyTiles) * 2 / 3;
    for (const int m : {2, 3, 4}) {
      // Tiles of 3 where others have too much beyond the edges.
      if (form.Savings(m) < kMinSavings ||
          (m == 3 && form.Savings(3) <= std::max(form.Savings(2), form.Savings(4)))) {
        continue;
      }
      const double weight = m > 2 ? large_weight : kWinogradWeight - large_weight;
      Draft draft{Schedule(dag_), {}};
      if (!draft.Do(WinogradStep(conv.name(), m)).ok()) continue;
      draft = Inline(dag_, std::move(draft), false);
      const std::vector<int> live = Live(draft.schedule);
      const int before_store = live[live.size() - 2];
      if (draft.schedule.stages()[before_store].stage->name() != conv.name() + ".Y") continue;
      TESSERA_RETURN_IF_ERROR(draft.Do(CacheWriteStep(conv.name() + ".M")));
      std::vector<int64_t> blocks = {0};
      const int64_t fitting = WinogradBlockRows(draft.schedule, conv.name(), form, target_);
      if (fitting > 0) blocks.push_back(fitting);
      for (const int64_t rows : blocks) {
        Sketch sketch{absl::StrCat("winograd", m), draft.steps,
                      std::make_shared<const Schedule>(draft.schedule), nullptr,
                      fitting == 0 ? weight
                      : rows > 0   ? weight * kBlockedShare
                                   : weight * (1 - kBlockedShare)};
        if (rows > 0) absl::StrAppend(&sketch.name, "_rows", rows);
        WinogradSpec spec;
        spec.base = sketch.base.get();
        spec.conv = conv.name();
        spec.form = form;
        spec.m = m;
        spec.store = Live(*sketch.base).back();
        spec.block_rows = rows;
        spec.threads = threads_;
        sketch.group = MakeWinogradGroup(spec, target_);
        if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
      }
    }
    return absl::OkStatus();
  }

  // Products that one element of M is the sum of.
  static int64_t Sums(const te::Stage& conv, const schedule::WinogradForm& form) {
    int64_t sums = 1;
    for (const int axis : form.sums) sums *= conv.reduce_axes[axis].extent;
    for (const schedule::WinogradWindow& window : form.windows) sums *= window.stride;
    return sums;
  }

  // Rule tensorize: sums of products by instructions that the target has. Of those that compute the
  // same the one of the widest groups is taken.
  void AddTensor(const te::Stage& sum) {
    for (const te::Instruction& instruction : te::Instructions()) {
      if (!te::Offers(target_, instruction)) continue;
      Draft draft{Schedule(dag_), {}};
      if (!draft.Do(TensorizeStep(sum.name(), instruction.name)).ok()) continue;
      draft = Inline(dag_, std::move(draft), false);
      const std::vector<int> live = Live(draft.schedule);
      const int dot = draft.schedule.StageNamed(sum.name() + ".dot");
      if (live.back() <= dot || live[live.size() - 2] != dot ||
          !IsElementwiseOver(draft.schedule, live.back(), dot)) {
        continue;
      }
      const bool in_place = HasGroups(draft.schedule, sum.name(), instruction);
      AddDots("tensor", sum.name(), instruction, draft, false,
              in_place ? kTensorWeight * kCopiedShare : kTensorWeight);
      AddDots("tensor_chunked", sum.name(), instruction, draft, true, 1);
      if (in_place && draft.Do(InlineStep(sum.name() + ".a")).ok()) {
        AddDots("tensor_direct", sum.name(), instruction, draft, false, kTensorWeight);
      }
      return;
    }
  }

  // Whether what operand A is made of holds, or can be stored in blocks of, whole groups next to
  // each other, and padding is zeros of whole groups, which need no instruction.
  bool HasGroups(const Schedule& schedule, const std::string& sum,
                 const te::Instruction& instruction) const {
    const StageState& operand = schedule.stages()[schedule.StageNamed(sum + ".a")];
    const schedule::Access& source = operand.analysis->reads[0];
    const ir::BufferNode& buffer = *source.buffer;
    Contiguous last = ContiguousDim(buffer);
    if (buffer.policy == ir::LayoutPolicy::kBlocked) {
      last = {buffer.block_axis, buffer.shape[buffer.block_axis]};
    } else if (buffer.policy != ir::LayoutPolicy::kFixed) {
      return false;
    }
    if (last.dim < 0 || last.run % instruction.group != 0 ||
        !IsPlain(source.dims[last.dim], last.dim)) {
      return false;
    }
    const bool is_offset =
        te::ConversionTo(instruction.operand_type(0), buffer.type) == te::Conversion::kOffset;
    bool is_whole = true;
    ir::ForEach<ir::Select>(operand.stage->bodies[0], [&](const ir::Select& select) {
      is_whole &= !is_offset && !ir::Uses(select.condition, operand.stage->axes[last.dim].var);
    });
    const StageState& dot = schedule.stages()[schedule.StageNamed(sum + ".dot")];
    const int group_axis = dot.axis_count() - 1;
    for (const schedule::Access& access : dot.analysis->reads) {
      if (access.buffer == operand.stage->output()) {
        return is_whole && Uses(access.dims[last.dim], group_axis);
      }
    }
    return false;
  }

  void AddDots(std::string sketch_name, const std::string& sum, const te::Instruction& instruction,
               const Draft& draft, bool chunked, double weight) {
    Sketch sketch{std::move(sketch_name), draft.steps,
                  std::make_shared<const Schedule>(draft.schedule), nullptr, weight};
    const Schedule& base = *sketch.base;
    TileSpec spec;
    spec.base = &base;
    spec.reduce = base.StageNamed(sum + ".dot");
    spec.store = Live(base).back();
    for (const char* operand : {".a", ".b"}) {
      const int index = base.StageNamed(sum + operand);
      if (base.stages()[index].placement == schedule::Placement::kInlined) continue;
      const bool is_constant = IsConstant(base.stages()[index].analysis->reads[0].buffer);
      (is_constant ? spec.ordered : spec.copies).push_back(index);
      const int correction = base.StageNamed(sum + ".c");
      if (operand[1] == 'b' && !is_constant && correction >= 0) spec.sums.push_back(correction);
    }
    for (const te::Instruction& narrower : te::Instructions()) {
      if (te::Offers(target_, narrower) && narrower.group == instruction.group &&
          narrower.operand_type(0) == instruction.operand_type(0) &&
          narrower.operand_type(1) == instruction.operand_type(1)) {
        spec.dot_lanes.push_back(narrower.lanes);
      }
    }
    spec.chunked = chunked;
    spec.threads = threads_;
    sketch.group = MakeTileGroup(spec, target_);
    if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
  }

  bool IsConstant(const ir::Buffer& buffer) const {
    return std::any_of(dag_.inputs.begin(), dag_.inputs.end(), [&](const te::Input& input) {
      return input.is_constant && input.buffer == buffer;
    });
  }

  static int ReductionOf(const Schedule& schedule) {
    for (int index : Live(schedule)) {
      if (schedule.stages()[index].stage->is_reduction()) return index;
    }
    return -1;
  }

  // Rule cache-write.
  static absl::StatusOr<Draft> WithCacheWrite(Draft draft) {
    const te::Stage& stage = *draft.schedule.stages()[ReductionOf(draft.schedule)].stage;
    if (draft.schedule.IsOutput(stage.output())) {
      TESSERA_RETURN_IF_ERROR(draft.Do(CacheWriteStep(stage.name())));
    }
    return draft;
  }

  void AddTile(std::string name, const Draft& draft, const std::vector<std::string>& copies,
               bool chunked, double weight) {
    Sketch sketch{std::move(name), draft.steps, std::make_shared<const Schedule>(draft.schedule),
                  nullptr, weight};
    TileSpec spec;
    spec.base = sketch.base.get();
    spec.reduce = ReductionOf(*sketch.base);
    spec.store = Live(*sketch.base).back();
    for (const std::string& copy : copies) spec.copies.push_back(sketch.base->StageNamed(copy));
    // Padded copies inside of loops made three convolutions (7 × 7 of stride 2, plain and dilated,
    // and a three-dimensional one) no faster: 0.75 to 0.99 times.
    spec.places_copies = std::none_of(spec.copies.begin(), spec.copies.end(), [&](int copy) {
      return IsPadding(sketch.base->stages()[copy]);
    });
    spec.chunked = chunked;
    spec.threads = threads_;
    sketch.group = MakeTileGroup(spec, target_);
    if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
  }

  // Sums of products of inputs, of which at least one is read often.
  static bool IsProduct(const Schedule& schedule, int index) {
    const StageState& state = schedule.stages()[index];
    const te::Stage& stage = *state.stage;
    if (stage.combiner != te::Combiner::kSum || stage.axes.empty()) return false;
    const auto* product = stage.bodies[0].As<ir::Binary>();
    const std::vector<schedule::Access>& reads = state.analysis->reads;
    if (product == nullptr || product->op != ir::BinaryOp::kMul || reads.size() != 2 ||
        reads[0].buffer == reads[1].buffer) {
      return false;
    }
    return std::all_of(reads.begin(), reads.end(),
                       [&](const schedule::Access& read) {
                         return std::any_of(
                             schedule.inputs().begin(), schedule.inputs().end(),
                             [&](const te::Input& input) { return input.buffer == read.buffer; });
                       }) &&
           std::max(Reuse(stage, *reads[0].buffer), Reuse(stage, *reads[1].buffer)) >= kMinReuse;
  }

  // Rule product: where several stages reduce, the products among them in register tiles.
  absl::Status AddProducts(const Draft& plain) {
    std::vector<std::string> products, rows;
    for (const int index : Live(plain.schedule)) {
      const std::string& name = plain.schedule.stages()[index].stage->name();
      // Factoring a reduction of the rows moves the stages after it.
      if (rows.empty() && IsProduct(plain.schedule, index)) {
        products.push_back(name);
      } else {
        rows.push_back(name);
      }
    }
    if (products.empty() || rows.empty()) return absl::OkStatus();
    Draft draft = plain;
    std::vector<std::vector<std::string>> copies;
    for (const std::string& name : products) {
      TESSERA_RETURN_IF_ERROR(draft.Do(CacheWriteStep(name)));
      TESSERA_ASSIGN_OR_RETURN(std::vector<std::string> packs, Pack(draft, name + ".local"));
      copies.push_back(std::move(packs));
    }
    const Schedule& schedule = draft.schedule;
    const auto indices = [&](const std::vector<std::string>& names) {
      std::vector<int> stages;
      for (const std::string& name : names) stages.push_back(schedule.StageNamed(name));
      return stages;
    };
    const int block_axis = RowBlockAxis(schedule, indices(rows), indices(products));
    for (const int axis : {-1, block_axis}) {
      Sketch sketch{axis < 0 ? "products" : "products_blocked", draft.steps,
                    std::make_shared<const Schedule>(schedule), nullptr, kProductWeight};
      ProductSpec spec;
      spec.base = sketch.base.get();
      for (size_t i = 0; i < products.size(); ++i) {
        spec.products.push_back({schedule.StageNamed(products[i] + ".local"),
                                 schedule.StageNamed(products[i]), indices(copies[i])});
      }
      spec.rows = indices(rows);
      spec.block_axis = axis;
      spec.threads = threads_;
      sketch.group = MakeProductGroup(spec, target_);
      if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
      if (block_axis < 0) break;
    }
    return absl::OkStatus();
  }

  void AddRows(const Draft& draft) {
    Sketch sketch{"rows", draft.steps, std::make_shared<const Schedule>(draft.schedule), nullptr,
                  1};
    sketch.group = MakeRowGroup({sketch.base.get(), Live(*sketch.base), -1, threads_}, target_);
    sketches_.push_back(std::move(sketch));
  }

  const te::Dag& dag_;
  const ir::Target& target_;
  const int threads_;
  std::vector<Sketch> sketches_;
};

}  // namespace

absl::StatusOr<std::vector<Sketch>> CpuSketches(const te::Dag& dag, const ir::Target& target,
                                                int threads) {
  return Rules(dag, target, threads).Run();
}

absl::StatusOr<ConfigSpace> BuildSpace(const te::Workload& workload, const ir::Target& target,
                                       int threads) {
  if (threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", threads, "; at least 1 is needed"));
  }
  TESSERA_ASSIGN_OR_RETURN(std::vector<Sketch> sketches,
                           ir::IsCpu(target.kind)   ? CpuSketches(workload.dag, target, threads)
                           : ir::IsGpu(target.kind) ? GpuSketches(workload.dag, target)
                                                    : AcceleratorSketches(workload.dag, target));
  return ConfigSpace(target, std::move(sketches));
}

}  // namespace tessera::space
