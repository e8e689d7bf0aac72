#include "compiler/codegen/vta/generate.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/codegen/vta/affine.h"
#include "compiler/codegen/vta/memory_plan.h"
#include "compiler/codegen/vta/moves.h"
#include "compiler/codegen/vta/nest.h"
#include "compiler/codegen/vta/step_loops.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/accumulator_steps.h"
#include "compiler/schedule/product_tiles.h"

namespace tessera::codegen::vta {
namespace {

namespace isa = tessera::vta;
using schedule::AffineValue;
using schedule::BoundStage;

isa::AluOp AluOpOf(ir::BinaryOp op) {
  switch (op) {
    case ir::BinaryOp::kMin:
      return isa::AluOp::kMin;
    case ir::BinaryOp::kMax:
      return isa::AluOp::kMax;
    case ir::BinaryOp::kAdd:
      return isa::AluOp::kAdd;
    default:
      TESSERA_CHECK(op == ir::BinaryOp::kShiftRight);
      return isa::AluOp::kShr;
  }
}

// Makes one kernel of a root nest.
class Generator {
 public:
  Generator(const Nest& nest, const ir::Target& target) : nest_(nest), target_(target) {}

  absl::StatusOr<Kernel> Run() {
    TESSERA_ASSIGN_OR_RETURN(plan_, PlanMemory(nest_, target_));
    kernel_.code.config = schedule::ConfigOf(target_);
    kernel_.code.allocations = plan_.allocations;
    TESSERA_RETURN_IF_ERROR(Emit(nest_.root(), kernel_.code.body));
    TESSERA_RETURN_IF_ERROR(isa::Check(kernel_.code, static_cast<int>(kernel_.arguments.size())));
    return std::move(kernel_);
  }

 private:
  using Body = std::vector<isa::Node>;

  // The loops of a stage around what is computed inside of it, then its own work.
  absl::Status Emit(int stage, Body& body, size_t loop = 0) {
    if (stage == nest_.sum() && loop == 0) EmitReset(body);
    if (loop == nest_.LeafDepth(stage)) return EmitWork(stage, body);
    const schedule::BoundLoop& around = nest_.bound(stage).loops[loop];
    const auto inside = [&](Body& into) -> absl::Status {
      for (const int child : nest_.ChildrenAt(stage, loop)) {
        TESSERA_RETURN_IF_ERROR(Emit(child, into));
      }
      return Emit(stage, into, loop + 1);
    };
    if (around.thread_axis == ir::ThreadAxis::kVirtual) return inside(body);
    if (around.extent == 1) return inside(body);
    isa::Repeat repeat{around.extent, {}};
    turns_.Open(around.id);
    TESSERA_RETURN_IF_ERROR(inside(repeat.body));
    turns_.Close();
    body.push_back({std::move(repeat)});
    return absl::OkStatus();
  }

  absl::Status EmitWork(int stage, Body& body) {
    if (stage == nest_.root()) return EmitRoot(body);
    if (stage == nest_.sum()) return EmitProduct(body);
    return EmitLoads(stage, body);
  }

  // Of all accumulators that the sum has while it runs.
  void EmitReset(Body& body) {
    const Held& held = plan_.of(nest_.output(nest_.sum()));
    ForEachContext(held.virtual_loops, [&] {
      isa::Product reset{
          .resets = true, .dst = PlaceOf(held, {}), .src = {}, .wgt = {}, .loops = {}};
      reset.loops = AsMicroOps({{.turns = held.tiles, .dst_step = 1}}, kernel_.code.config);
      body.push_back({std::move(reset)});
    });
  }

  absl::Status EmitProduct(Body& body) {
    const schedule::ProductTiles& product = plan_.product;
    const Held &dst = plan_.of(nest_.output(nest_.sum())), &src = plan_.of(product.a.get()),
               &wgt = plan_.of(product.b.get());
    TESSERA_ASSIGN_OR_RETURN(const StepLoops steps, ProductLoops(nest_, plan_, target_));
    ForEachContext(Union({&dst, &src, &wgt}), [&] {
      body.push_back({isa::Product{.resets = false,
                                   .dst = PlaceOf(dst, steps.offsets[0]),
                                   .src = PlaceOf(src, steps.offsets[1]),
                                   .wgt = PlaceOf(wgt, steps.offsets[2]),
                                   .loops = steps.loops}});
    });
    return absl::OkStatus();
  }

  absl::Status EmitLoads(int copy, Body& body) {
    const Held& held = plan_.of(nest_.output(copy));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<MoveDim> dims, LoadDims(nest_, copy, held, plan_));
    const int argument = ArgumentOf(nest_.SourceOf(copy).buffer.get());
    ForEachContext(held.virtual_loops, [&] {
      body.push_back(MakeMoves(turns_, PlaceOf(held, {}), dims, argument, /*is_store=*/false));
    });
    return absl::OkStatus();
  }

  // Accumulators to results, and these to DRAM.
  absl::Status EmitRoot(Body& body) {
    const Held& held = plan_.of(nest_.output(nest_.sum()));
    for (const schedule::AccumulatorStep& step : plan_.alu_steps) {
      isa::Elementwise one{.op = AluOpOf(step.op),
                           .uses_immediate = step.operand == nullptr,
                           .immediate = step.immediate,
                           .dst = {},
                           .src = {},
                           .loops = {}};
      if (step.operand == nullptr) {
        one.loops = AsMicroOps({{.turns = held.tiles, .dst_step = 1}}, kernel_.code.config);
        ForEachContext(held.virtual_loops, [&] {
          one.dst = PlaceOf(held, {});
          body.push_back({one});
        });
        continue;
      }
      const Held& source = plan_.of(step.operand->buffer.get());
      TESSERA_ASSIGN_OR_RETURN(const StepLoops steps, OperandLoops(nest_, plan_, source.buffer));
      one.loops = AsMicroOps(steps.loops, kernel_.code.config);
      ForEachContext(Union({&held, &source}), [&] {
        one.dst = PlaceOf(held, steps.offsets[0]);
        one.src = PlaceOf(source, steps.offsets[1]);
        body.push_back({one});
      });
    }
    TESSERA_ASSIGN_OR_RETURN(const std::vector<MoveDim> dims, StoreDims(nest_, plan_));
    const int argument = ArgumentOf(nest_.output(nest_.root()));
    ForEachContext(held.virtual_loops, [&] {
      body.push_back(MakeMoves(turns_, PlaceOf(held, {}), dims, argument, /*is_store=*/true));
    });
    return absl::OkStatus();
  }

  int ArgumentOf(const ir::BufferNode* tensor) {
    const int parameter = nest_.ParameterOf(tensor);
    const auto found = std::ranges::find(kernel_.arguments, parameter);
    if (found == kernel_.arguments.end()) {
      kernel_.arguments.push_back(parameter);
      return static_cast<int>(kernel_.arguments.size()) - 1;
    }
    return static_cast<int>(found - kernel_.arguments.begin());
  }

  static std::vector<int> Union(std::initializer_list<const Held*> all) {
    std::vector<int> loops;
    for (const Held* held : all) {
      loops.insert(loops.end(), held->virtual_loops.begin(), held->virtual_loops.end());
    }
    std::ranges::sort(loops);
    loops.erase(std::unique(loops.begin(), loops.end()), loops.end());
    return loops;
  }

  // Once for each turn of these virtual loops, which are fixed meanwhile.
  template <typename Function>
  void ForEachContext(const std::vector<int>& loops, const Function& emit) {
    int64_t count = 1;
    for (const int loop : loops) count *= nest_.ExtentOf(loop);
    for (int64_t context = 0; context < count; ++context) {
      int64_t rest = context;
      for (size_t i = loops.size(); i-- > 0;) {
        turns_.Fix(loops[i], rest % nest_.ExtentOf(loops[i]));
        rest /= nest_.ExtentOf(loops[i]);
      }
      emit();
    }
  }

  isa::Place PlaceOf(const Held& held, const AffineValue& offset) const {
    AffineValue copy;
    for (const int loop : held.virtual_loops) {
      const int64_t extent = nest_.ExtentOf(loop);
      AffineValue digit;
      digit.terms.push_back({loop, 1, extent, 1});
      for (schedule::LoopTerm& term : copy.terms) term.coefficient *= extent;
      copy = Add(copy, digit);
    }
    if (held.turn_loop >= 0) {
      for (schedule::LoopTerm& term : copy.terms) term.coefficient *= 2;
      copy.terms.push_back({held.turn_loop, 1, 2, 1});
    }
    return {held.allocation, turns_.ToValue(copy), turns_.ToValue(offset)};
  }

  const Nest& nest_;
  const ir::Target& target_;
  MemoryPlan plan_;
  Kernel kernel_;
  Turns turns_;
};

// What is for caches, or for memories of GPUs, would change nothing but the program's identity.
absl::Status CheckIsForAccelerator(const schedule::Schedule& schedule) {
  for (const schedule::StageState& stage : schedule.stages()) {
    const char* const step = stage.streams ? "stream" : stage.prefetch > 0 ? "prefetch" : nullptr;
    if (step == nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(stage.stage->name(), ": ", step, " is for caches; leave it out"));
  }
  for (const te::Input& input : schedule.inputs()) {
    if (schedule.ReadPathOf(input.buffer) == ir::ReadPath::kPlain) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(input.buffer->name, ": read_through is for GPUs; leave it out"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Kernel>> Generate(const schedule::Schedule& schedule,
                                             const schedule::LoopStructure& loops,
                                             const ir::Target& target) {
  TESSERA_RETURN_IF_ERROR(isa::CheckEncodable(schedule::ConfigOf(target)));
  TESSERA_RETURN_IF_ERROR(CheckIsForAccelerator(schedule));
  std::vector<Kernel> kernels;
  for (size_t i = 0; i < loops.stages.size(); ++i) {
    if (loops.stages[i].at >= 0) continue;
    const Nest nest(schedule, loops, static_cast<int>(i));
    const std::string& name = nest.definition(nest.root()).name();
    TESSERA_RETURN_IF_ERROR(Annotate(nest.Check(), name));
    absl::StatusOr<Kernel> kernel = Generator(nest, target).Run();
    if (!kernel.ok()) return Annotate(kernel.status(), name);
    kernels.push_back(*std::move(kernel));
  }
  return kernels;
}

}  // namespace tessera::codegen::vta
