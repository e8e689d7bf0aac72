#include "schedule_space/thread_rules.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "schedule_space/sketch_draft.h"
#include "schedule_space/steps.h"
#include "schedule_space/thread_rows.h"
#include "schedule_space/thread_tile.h"
#include "schedule_space/tile_group.h"

namespace tessera::space {
namespace {

using schedule::Schedule;

constexpr double kRowsWeight = 3;  // threads that add a row up together read it once
constexpr int64_t kMinReuse = 2;   // reads of an element that may pay for sharing it

// A kernel by the names of its stages: indices move while steps add others.
struct NamedKernel {
  std::string store, reduce;
  std::vector<std::string> copies;
};

class Rules {
 public:
  Rules(const te::Dag& dag, const ir::Target& target)
      : dag_(dag), target_(target), draft_(Inline(dag, /*keep_padding=*/true)) {}

  absl::StatusOr<std::vector<Sketch>> Run() {
    const std::vector<std::string> names = LiveNames();
    for (const std::string& name : names) {
      if (IsTaken(name)) continue;
      const int index = draft_.schedule.StageNamed(name);
      if (!Stage(index).is_reduction()) {
        if (MadeForOne(index) < 0) kernels_.push_back({name, "", {}});
      } else {
        TESSERA_RETURN_IF_ERROR(AddReduction(name));
      }
    }
    Sketch sketch{"tiled", draft_.steps, std::make_shared<const Schedule>(draft_.schedule), nullptr,
                  1};
    std::vector<ThreadTileSpec> specs;
    for (const NamedKernel& kernel : kernels_) {
      ThreadTileSpec& spec = specs.emplace_back();
      spec.store = sketch.base->StageNamed(kernel.store);
      if (!kernel.reduce.empty()) spec.reduce = sketch.base->StageNamed(kernel.reduce);
      for (const std::string& copy : kernel.copies) {
        spec.copies.push_back(sketch.base->StageNamed(copy));
      }
    }
    sketch.group = MakeThreadGroup(*sketch.base, std::move(specs), target_);
    std::vector<Sketch> sketches;
    sketches.push_back(std::move(sketch));
    AddRows(sketches);
    return sketches;
  }

 private:
  // Rule rows: all in one kernel.
  void AddRows(std::vector<Sketch>& sketches) const {
    const Draft plain = Inline(dag_, /*keep_padding=*/false);
    Sketch sketch{"rows", plain.steps, std::make_shared<const Schedule>(plain.schedule), nullptr,
                  kRowsWeight};
    sketch.group = MakeThreadRowGroup(*sketch.base, Live(*sketch.base), target_);
    if (sketch.group != nullptr) sketches.push_back(std::move(sketch));
  }

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
    int index = draft_.schedule.StageNamed(name);
    if (Stage(index).outputs.size() > 1 || Stage(index).axes.empty()) {
      kernels_.push_back(std::move(kernel));
      return absl::OkStatus();
    }
    kernel.reduce = name;
    const std::vector<int> consumers = draft_.schedule.Consumers(index);
    if (consumers.size() == 1 && !draft_.schedule.IsOutput(Stage(index).output()) &&
        !Stage(consumers[0]).is_reduction() && !IsTaken(Stage(consumers[0]).name()) &&
        IsElementwiseOver(draft_.schedule, consumers[0], index)) {
      kernel.store = Stage(consumers[0]).name();
    } else {
      TESSERA_RETURN_IF_ERROR(draft_.Do(CacheWriteStep(name)));
      kernel.reduce = absl::StrCat(name, ".local");
    }
    TESSERA_ASSIGN_OR_RETURN(kernel.copies, Copies(kernel.reduce));
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

  const te::Dag& dag_;
  const ir::Target& target_;
  Draft draft_;
  std::vector<NamedKernel> kernels_;
};

}  // namespace

absl::StatusOr<std::vector<Sketch>> GpuSketches(const te::Dag& dag, const ir::Target& target) {
  return Rules(dag, target).Run();
}

}  // namespace tessera::space
