#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/schedule/access.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"
#include "compiler/te/reference.h"

namespace tessera::schedule {

// A digit of a mixed-radix loop counter: it contributes stride × digit to one axis of the stage.
// Axes count the spatial ones first, then the reduction axes.
struct Digit {
  int axis;
  int64_t stride;
  // 0 = inferred: the axis's outermost digit covers what region inference asks for.
  int64_t extent;
};

// A loop of a stage. Most have one digit; a fused loop has several, outermost first.
struct LoopState {
  std::string name;
  bool is_reduction = false;
  ir::LoopKind kind = ir::LoopKind::kSerial;
  ir::ThreadAxis thread_axis = ir::ThreadAxis::kNone;
  absl::InlinedVector<Digit, 1> digits;
};

// Iterations that a stage may fetch ahead.
constexpr int kMaxPrefetch = 64;

enum class Placement : uint8_t { kRoot, kInlined, kAt };

struct StageState {
  std::shared_ptr<const te::Stage> stage;
  std::shared_ptr<const StageAnalysis> analysis;
  std::vector<LoopState> loops;  // outermost first
  Placement placement = Placement::kRoot;
  int at_stage = -1;     // kAt: index of the consumer …
  std::string at_loop;   // … and the loop of it in whose body this stage is computed
  bool streams = false;  // stores go past the caches
  int prefetch = 0;      // iterations of the innermost loop that loads are fetched ahead; 0: none
  bool is_doubled = false;  // filled for the next turn of the loop around it
  std::string provider;     // the library that computes it (base/third_party.h); empty: loops do

  int LoopNamed(std::string_view name) const;  // index, or -1
  bool Reads(const ir::Buffer& buffer) const;
  int axis_count() const {
    return static_cast<int>(stage->axes.size() + stage->reduce_axes.size());
  }
};

// All loops of one stage, decided at once: what its split, reorder, fuse, annotation and compute_at
// steps amount to, as numbers.
struct Nest {
  int stage = -1;  // index into Schedule::stages()
  // Digits and kinds, outermost first; the rest follows. The digits of an axis are its mixed radix:
  // at least one, each stride the product of the finer extents, no finer extent of 1, the coarsest
  // one inferred. A fused loop's digits are spatial or of reductions, not both.
  std::vector<LoopState> loops;
  // Computed in the body of this loop of that stage, whose own nest is set before; -1: at the root.
  int at_stage = -1;
  int at_loop = -1;
  bool streams = false;     // as the stream step; the stage has to allow it
  int prefetch = 0;         // as the prefetch step; 0: none
  bool is_doubled = false;  // as the double_buffer step
};

// A workload with scheduling decisions. A value: copying is cheap (definitions are shared), so a
// sketch applies its structural steps once and copies per config. Thread-compatible.
class Schedule {
 public:
  // One root nest a stage, loops named after the axes, in the order axes then reduction axes.
  explicit Schedule(const te::Dag& dag);

  // Applies one primitive. On an error (InvalidArgument, naming the step, the value and the limit)
  // the schedule is unchanged.
  absl::Status Apply(const Step& step);
  absl::Status Apply(const Trace& trace);

  const std::vector<te::Input>& inputs() const { return ports_->inputs; }
  const std::vector<ir::Buffer>& outputs() const { return ports_->outputs; }
  bool IsOutput(const ir::Buffer& buffer) const;
  bool MakesOutput(const te::Stage& stage) const;  // one at least of its outputs is one
  // Topological order; inlined stages stay in the list, unused.
  const std::vector<StageState>& stages() const { return stages_; }
  int StageNamed(std::string_view name) const;
  // Storage order chosen by kLayout for a buffer; empty = row-major.
  const std::vector<ir::LayoutDim>& LayoutOf(const ir::Buffer& buffer) const;
  // What kLayout does, without text. Requires a buffer of this schedule whose policy allows it.
  absl::Status SetLayout(const ir::Buffer& buffer, std::vector<ir::LayoutDim> layout);
  // How the programs read an input: as kReadThrough says.
  ir::ReadPath ReadPathOf(const ir::Buffer& buffer) const;
  // What the steps of `nest` do to a stage that has the loops of its axes still, without text: the
  // schedule is the one that StepsOf(*this, nest.stage) gives afterwards.
  void SetNest(Nest nest);
  // An input, stage output or cached copy by name; null if there is none.
  ir::Buffer BufferNamed(std::string_view name) const;
  // Stages (not inlined) that read any output of stage `index`.
  std::vector<int> Consumers(int index) const;
  // Of the workload's stages that a rewritten algorithm computes (te::OutputTolerance).
  const te::ErrorFactors& error_factors() const { return error_factors_; }

 private:
  absl::Status Layout(const Step& step);
  absl::Status Inline(const Step& step);
  absl::Status CacheWrite(const Step& step);
  absl::Status CacheRead(const Step& step);
  absl::Status Rfactor(const Step& step);
  absl::Status Winograd(const Step& step);
  absl::Status Tensorize(const Step& step);
  absl::Status ComputeAt(const Step& step);
  absl::Status Split(const Step& step);
  absl::Status Fuse(const Step& step);
  absl::Status Reorder(const Step& step);
  absl::Status Annotate(const Step& step);
  absl::Status Stream(const Step& step);
  absl::Status Prefetch(const Step& step);
  absl::Status DoubleBuffer(const Step& step);
  absl::Status ReadThrough(const Step& step);
  absl::Status External(const Step& step);

  absl::StatusOr<int> FindStage(std::string_view name) const;
  absl::StatusOr<int> FindUntouchedStage(const Step& step) const;
  void InsertStage(int index, te::Stage stage);
  void ReplaceStage(int index, te::Stage stage);
  // The last of `stages` in place of stage `index`, the others before it.
  absl::Status ReplaceBy(const Step& step, int index, std::vector<te::Stage> stages);

  struct Ports {
    std::vector<te::Input> inputs;
    std::vector<ir::Buffer> outputs;
  };
  std::shared_ptr<const Ports> ports_;
  std::vector<StageState> stages_;
  te::ErrorFactors error_factors_;
  std::vector<std::pair<ir::Buffer, std::vector<ir::LayoutDim>>> layouts_;
  std::vector<std::pair<ir::Buffer, ir::ReadPath>> read_paths_;  // of inputs, others than plain
};

// The steps that arrange and place the loops of stage `index` as they are in a schedule that set
// them by SetNest: compute_at, split, reorder, fuse, parallel, unroll, vectorize, bind, stream,
// prefetch, double_buffer.
Trace StepsOf(const Schedule& schedule, int index);

// `dag` under `trace`. Errors name the step's number and text.
absl::StatusOr<Schedule> ApplyTrace(const te::Dag& dag, const Trace& trace);

}  // namespace tessera::schedule
