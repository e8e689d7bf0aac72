#include "schedule_space/thread_rules.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "schedule_space/sketch_draft.h"
#include "schedule_space/steps.h"
#include "schedule_space/thread_group.h"
#include "schedule_space/thread_rows.h"
#include "schedule_space/tile_group.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

using schedule::Schedule;

constexpr double kRowsWeight = 3;   // threads that add a row up together read it once
constexpr double kSumsWeight = 3;   // threads that read terms together, each of them once
constexpr double kWavesWeight = 6;  // instructions that do eight times and more of the work
constexpr double kPartsWeight = 0.5;
constexpr int64_t kMinReuse = 2;  // reads of an element that may pay for sharing it

constexpr int64_t kMinTerms = 16;           // of a result that several threads sum up
constexpr int64_t kFewResults = 1 << 14;    // are too few for a GPU that has a thread for each
constexpr int64_t kMinPartTerms = 64;       // of a part of a reduction
constexpr int64_t kManyPartials = 1 << 18;  // fill any GPU without further parts …
constexpr int64_t kManyBlocks = 1 << 12;    // … as so many blocks do
constexpr int64_t kMaxParts = 64;

// A kernel by the names of its stages: indices move while steps add others.
struct NamedKernel {
  std::string store, reduce;
  std::vector<std::string> copies;
  bool is_shared_sum = false, has_parts = false;
};

int64_t Results(const te::Stage& stage) {
  int64_t results = 1;
  for (const te::Axis& axis : stage.axes) results *= axis.extent;
  return results;
}
int64_t Terms(const te::Stage& stage) {
  return Points(stage) / std::max<int64_t>(1, Results(stage));
}

// What rfactor calls the stage of a reduction's partial results.
std::string PartsOf(const std::string& stage) { return stage + ".rf"; }

// Whether some operand's elements are each read hardly more than once.
bool Streams(const schedule::StageState& state) {
  return std::ranges::any_of(state.analysis->read_buffers, [&](const ir::BufferNode* buffer) {
    return Reuse(*state.stage, *buffer) < kMinReuse;
  });
}

// The threads of a block share this reduction's terms: one has few of its results, or would read
// far from its neighbours.
bool WantsSharedSum(const schedule::StageState& state) {
  return Terms(*state.stage) >= kMinTerms &&
         (Results(*state.stage) <= kFewResults || Streams(state));
}

// One sketch: the kernels of a draft.
class Kernels {
 public:
  // `shares_sums`: reductions that want it are summed up by the threads of a block together.
  // `parted`: stages whose last axis counts parts of a reduction.
  // `by_waves`: waves multiply matrices where a sum is of products of these.
  Kernels(const ir::Target& target, Draft draft, bool shares_sums, std::vector<std::string> parted,
          bool by_waves)
      : target_(target),
        draft_(std::move(draft)),
        shares_sums_(shares_sums),
        by_waves_(by_waves),
        parted_(std::move(parted)) {}

  // Null group where the target has no place for a kernel, or waves should multiply and none can.
  absl::StatusOr<Sketch> Make(std::string name, double weight) {
    const std::vector<std::string> names = LiveNames();
    for (const std::string& stage : names) {
      if (IsTaken(stage)) continue;
      const int index = draft_.schedule.StageNamed(stage);
      if (!Stage(index).is_reduction()) {
        if (MadeForOne(index) < 0) kernels_.push_back({stage, "", {}});
      } else {
        TESSERA_RETURN_IF_ERROR(AddReduction(stage));
      }
    }
    Sketch sketch{std::move(name), draft_.steps, std::make_shared<const Schedule>(draft_.schedule),
                  nullptr, weight};
    std::vector<ThreadKernelSpec> specs;
    bool multiplies = false;
    for (const NamedKernel& kernel : kernels_) {
      ThreadKernelSpec& spec = specs.emplace_back();
      spec.is_shared_sum = kernel.is_shared_sum;
      spec.has_parts = kernel.has_parts;
      spec.store = sketch.base->StageNamed(kernel.store);
      if (!kernel.reduce.empty()) spec.reduce = sketch.base->StageNamed(kernel.reduce);
      if (by_waves_ && spec.reduce >= 0) {
        spec.waves = FindWaveAxes(sketch.base->stages()[spec.reduce]);
        multiplies |= spec.waves.has_value();
      }
      for (const std::string& copy : kernel.copies) {
        spec.copies.push_back(sketch.base->StageNamed(copy));
      }
    }
    if (by_waves_ && !multiplies) return sketch;
    sketch.group = MakeThreadGroup(*sketch.base, std::move(specs), target_);
    return sketch;
  }

 private:
  const te::Stage& Stage(int index) const { return *draft_.schedule.stages()[index].stage; }

  std::vector<std::string> LiveNames() const {
    std::vector<std::string> names;
    for (const int index : Live(draft_.schedule)) names.push_back(Stage(index).name());
    return names;
  }

  // Whether an earlier kernel has it.
  bool IsTaken(const std::string& name) const {
    return std::ranges::any_of(kernels_, [&](const NamedKernel& kernel) {
      return kernel.store == name || kernel.reduce == name ||
             std::ranges::count(kernel.copies, name) > 0;
    });
  }

  // The reduction with one output that alone reads the padding `index`; -1: it is none such.
  int MadeForOne(int index) const {
    const schedule::StageState& state = draft_.schedule.stages()[index];
    if (!IsPadding(state) || draft_.schedule.IsOutput(state.stage->output())) return -1;
    const std::vector<int> consumers = draft_.schedule.Consumers(index);
    if (consumers.size() != 1) return -1;
    const te::Stage& consumer = Stage(consumers[0]);
    const bool is_tiled =
        consumer.is_reduction() && consumer.outputs.size() == 1 && !consumer.axes.empty();
    return is_tiled ? consumers[0] : -1;
  }

  absl::Status AddReduction(const std::string& name) {
    NamedKernel kernel{name, "", {}};
    const int index = draft_.schedule.StageNamed(name);
    const schedule::StageState& state = draft_.schedule.stages()[index];
    kernel.has_parts = std::ranges::count(parted_, name) > 0;
    const bool sums_parts = std::ranges::count(parted_, PartsOf(name)) > 0;
    kernel.is_shared_sum =
        shares_sums_ && !sums_parts && !state.stage->axes.empty() && WantsSharedSum(state);
    if (state.stage->outputs.size() > 1 || state.stage->axes.empty()) {
      kernels_.push_back(std::move(kernel));
      return absl::OkStatus();
    }
    const std::vector<int> consumers = draft_.schedule.Consumers(index);
    if (consumers.size() == 1 && !draft_.schedule.IsOutput(state.stage->output()) &&
        !Stage(consumers[0]).is_reduction() && !IsTaken(Stage(consumers[0]).name()) &&
        IsElementwiseOver(draft_.schedule, consumers[0], index)) {
      kernel.reduce = name;
      kernel.store = Stage(consumers[0]).name();
    } else if (!kernel.is_shared_sum) {
      TESSERA_RETURN_IF_ERROR(draft_.Do(CacheWriteStep(name)));
      kernel.reduce = absl::StrCat(name, ".local");
    }
    if (!kernel.is_shared_sum) {
      TESSERA_ASSIGN_OR_RETURN(kernel.copies, Copies(kernel.reduce));
    }
    kernels_.push_back(std::move(kernel));
    return absl::OkStatus();
  }

  // What a block may copy for the reduction.
  absl::StatusOr<std::vector<std::string>> Copies(const std::string& reduce) {
    std::vector<std::string> copies;
    const int index = draft_.schedule.StageNamed(reduce);
    std::vector<ir::Buffer> buffers;
    for (const schedule::Access& access : draft_.schedule.stages()[index].analysis->reads) {
      if (std::ranges::count(buffers, access.buffer) == 0) buffers.push_back(access.buffer);
    }
    for (const ir::Buffer& buffer : buffers) {
      const int producer = draft_.schedule.StageNamed(buffer->name);
      if (producer >= 0 && MadeForOne(producer) == draft_.schedule.StageNamed(reduce)) {
        copies.push_back(buffer->name);
        continue;
      }
      const int reader = draft_.schedule.StageNamed(reduce);
      if (Reuse(Stage(reader), *buffer) < kMinReuse || buffer->shape.empty()) continue;
      TESSERA_RETURN_IF_ERROR(draft_.Do(CacheReadStep(buffer->name, reduce)));
      copies.push_back(absl::StrCat(reduce, ".", buffer->name));
    }
    return copies;
  }

  const ir::Target& target_;
  Draft draft_;
  const bool shares_sums_, by_waves_;
  const std::vector<std::string> parted_;
  std::vector<NamedKernel> kernels_;
};

class Rules {
 public:
  Rules(const te::Dag& dag, const ir::Target& target)
      : dag_(dag), target_(target), plain_(Inline(dag, /*keep_padding=*/false)) {}

  absl::StatusOr<std::vector<Sketch>> Run() {
    const Draft padded = Inline(dag_, /*keep_padding=*/true);
    TESSERA_RETURN_IF_ERROR(Add(padded, "tiled", 1, false, {}));
    if (ir::MultipliesMatrices(target_)) {
      TESSERA_RETURN_IF_ERROR(Add(padded, "waves", kWavesWeight, false, {}, /*by_waves=*/true));
    }
    AddRows();
    if (AnySharedSum(plain_)) TESSERA_RETURN_IF_ERROR(Add(plain_, "sums", kSumsWeight, true, {}));
    for (int64_t parts = 2; parts <= kMaxParts; parts *= 2) {
      TESSERA_RETURN_IF_ERROR(AddParts(padded, "parts", parts, false));
      TESSERA_RETURN_IF_ERROR(AddParts(plain_, "sums_parts", parts, true));
    }
    return std::move(sketches_);
  }

 private:
  absl::Status Add(const Draft& draft, std::string name, double weight, bool shares_sums,
                   std::vector<std::string> parted, bool by_waves = false) {
    Kernels kernels(target_, draft, shares_sums, std::move(parted), by_waves);
    TESSERA_ASSIGN_OR_RETURN(Sketch sketch, kernels.Make(std::move(name), weight));
    if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
    return absl::OkStatus();
  }

  // Rule rows: all in one kernel.
  void AddRows() {
    Sketch sketch{"rows", plain_.steps, std::make_shared<const Schedule>(plain_.schedule), nullptr,
                  kRowsWeight};
    sketch.group = MakeThreadRowGroup(*sketch.base, Live(*sketch.base), target_);
    if (sketch.group != nullptr) sketches_.push_back(std::move(sketch));
  }

  static bool AnySharedSum(const Draft& draft) {
    return std::ranges::any_of(Live(draft.schedule), [&](int index) {
      const schedule::StageState& state = draft.schedule.stages()[index];
      return state.stage->is_reduction() && !state.stage->axes.empty() && WantsSharedSum(state);
    });
  }

  // Rule parts: reductions with few results are summed up in so many parts by blocks of their own,
  // and the parts by another kernel.
  absl::Status AddParts(Draft draft, std::string_view name, int64_t parts, bool shares_sums) {
    std::vector<std::string> parted;
    std::vector<std::string> names;
    for (const int index : Live(draft.schedule)) {
      names.push_back(draft.schedule.stages()[index].stage->name());
    }
    for (const std::string& stage : names) {
      const schedule::StageState& state = draft.schedule.stages()[draft.schedule.StageNamed(stage)];
      if (!state.stage->is_reduction()) continue;
      const int64_t results = Results(*state.stage);
      const int64_t enough = shares_sums ? kManyBlocks : kManyPartials;
      if (Terms(*state.stage) / parts < kMinPartTerms || results * parts > enough) continue;
      if (shares_sums && !WantsSharedSum(state)) continue;
      // Tiles of one result have nothing to do together.
      if (!shares_sums && (state.stage->outputs.size() > 1 || Streams(state))) continue;
      const auto longest =
          std::ranges::max_element(state.stage->reduce_axes, {}, &te::Axis::extent);
      if (longest->extent < parts) continue;
      const std::string axis = longest->var->name;
      TESSERA_RETURN_IF_ERROR(draft.Do(SplitStep(stage, axis, {CeilDiv(longest->extent, parts)})));
      TESSERA_RETURN_IF_ERROR(draft.Do(RfactorStep(stage, axis + ".0")));
      TESSERA_RETURN_IF_ERROR(StorePartsApart(draft, stage));
      parted.push_back(PartsOf(stage));
    }
    if (parted.empty()) return absl::OkStatus();
    return Add(draft, absl::StrCat(absl::string_view(name.data(), name.size()), parts),
               kPartsWeight, shares_sums, std::move(parted));
  }

  // One part's results after the other's, as they are written and read.
  static absl::Status StorePartsApart(Draft& draft, const std::string& stage) {
    const te::Stage& partial =
        *draft.schedule.stages()[draft.schedule.StageNamed(PartsOf(stage))].stage;
    const auto axes = static_cast<int>(partial.axes.size());
    if (axes < 2) return absl::OkStatus();
    for (const ir::Buffer& output : partial.outputs) {
      std::vector<ir::LayoutDim> layout{{axes - 1, 1, output->shape.back()}};
      for (int d = 0; d + 1 < axes; ++d) layout.push_back({d, 1, output->shape[d]});
      TESSERA_RETURN_IF_ERROR(draft.Do(LayoutStep(output->name, layout, output->shape)));
    }
    return absl::OkStatus();
  }

  const te::Dag& dag_;
  const ir::Target& target_;
  const Draft plain_;
  std::vector<Sketch> sketches_;
};

}  // namespace

absl::StatusOr<std::vector<Sketch>> GpuSketches(const te::Dag& dag, const ir::Target& target) {
  return Rules(dag, target).Run();
}

}  // namespace tessera::space
