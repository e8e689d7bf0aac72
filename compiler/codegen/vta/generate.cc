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

// In a mask's tiles; times its weights 128.
constexpr uint8_t kMaskValue = 2;

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
    if (plan_.identity >= 0) EmitIdentity(kernel_.code.body);
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
    if (stage != nest_.sum()) return EmitLoads(stage, body);
    switch (plan_.product.filling) {
      case schedule::Filling::kProducts:
      case schedule::Filling::kDiagonal:
        return EmitProduct(body);
      case schedule::Filling::kWidened:
        return EmitWidened(body);
      case schedule::Filling::kLargest:
        EmitWindow(body);
        return EmitLargest(body);
    }
    TESSERA_CHECK(false);
  }

  // Loads the identity, and behind it what makes 128 of a mask, once and for all.
  void EmitIdentity(Body& body) {
    const int64_t block = target_.tile_block, tiles = plan_.mask ? 2 : 1;
    std::vector<uint8_t> bytes(static_cast<size_t>(block * block * tiles), 0);
    for (int64_t i = 0; i < block; ++i) {
      bytes[static_cast<size_t>(i * block + i)] = 1;
      if (plan_.mask) bytes[static_cast<size_t>((block + i) * block)] = 128 / kMaskValue;
    }
    const int constant = AddConstant(std::move(bytes));
    body.push_back({isa::Move{.is_store = false,
                              .place = {plan_.identity, {}, {}},
                              .buffer = isa::BufferOfConstant(constant),
                              .tile = {},
                              .rows = {},
                              .columns = {{}, tiles, tiles}}});
    if (!plan_.mask) return;
    const int64_t tile = target_.tile_rows * block;
    const int64_t columns = MaskDims(nest_, CopyOf(plan_.mask->buffer), plan_).back().limit;
    std::vector<uint8_t> row(static_cast<size_t>(columns * tile), 0);
    for (size_t i = 0; i < row.size(); i += static_cast<size_t>(block)) row[i] = kMaskValue;
    mask_constant_ = AddConstant(std::move(row));
  }

  int AddConstant(std::vector<uint8_t> bytes) {
    constexpr size_t kWordBytes = 4;
    bytes.resize((bytes.size() + kWordBytes - 1) / kWordBytes * kWordBytes, 0);
    kernel_.code.constants.push_back(std::move(bytes));
    return static_cast<int>(kernel_.code.constants.size()) - 1;
  }

  int CopyOf(const ir::BufferNode* output) const {
    return *std::ranges::find(nest_.copies(), output, [&](int copy) { return nest_.output(copy); });
  }

  // Of all accumulators that the sum has while it runs. No i8 is less than what they are set to:
  // with a mask, values are 128 more.
  void EmitReset(Body& body) {
    const Held& held = plan_.of(nest_.output(nest_.sum()));
    const bool is_least =
        plan_.product.filling == schedule::Filling::kLargest && !plan_.mask.has_value();
    ForEachContext(held.virtual_loops, [&] {
      EmitReset(held, body);
      if (!is_least) return;
      body.push_back(WithLoops(isa::Elementwise{.op = isa::AluOp::kMin,
                                                .uses_immediate = true,
                                                .immediate = -128,
                                                .dst = PlaceOf(held, {}),
                                                .src = {},
                                                .loops = {}},
                               {{.turns = held.tiles, .dst_step = 1}}));
    });
  }

  // Of one copy.
  void EmitReset(const Held& held, Body& body) const {
    body.push_back(WithLoops(
        isa::Product{.resets = true, .dst = PlaceOf(held, {}), .src = {}, .wgt = {}, .loops = {}},
        {{.turns = held.tiles, .dst_step = 1}}));
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

  absl::Status EmitWidened(Body& body) {
    const Held &dst = plan_.of(nest_.output(nest_.sum())), &src = plan_.of(plan_.product.a.get());
    TESSERA_ASSIGN_OR_RETURN(const StepLoops steps, ProductLoops(nest_, plan_, target_));
    ForEachContext(Union({&dst, &src}), [&] {
      body.push_back(TimesConstant(PlaceOf(dst, steps.offsets[0]), PlaceOf(src, steps.offsets[1]),
                                   kIdentity, steps.loops));
    });
    return absl::OkStatus();
  }

  // The region that the ALU will find the largest of: as i32, and with a mask 128 more where the
  // tensor is, so that it is more than the padding's 0.
  void EmitWindow(Body& body) {
    const Held& src = plan_.of(plan_.product.a.get());
    const Held& dst = *plan_.widened;
    const Held& mask = plan_.mask ? *plan_.mask : src;
    ForEachContext(Union({&src, &dst, &mask}), [&] {
      EmitReset(dst, body);
      body.push_back(TimesConstant(PlaceOf(dst, {}), PlaceOf(src, {}), kIdentity,
                                   {{.turns = dst.tiles, .dst_step = 1, .src_step = 1}}));
      if (!plan_.mask) return;
      body.push_back(
          TimesConstant(PlaceOf(dst, {}), PlaceOf(mask, {}), kMaskWeights, WindowLoops(plan_)));
    });
  }

  absl::Status EmitLargest(Body& body) {
    const Held &dst = plan_.of(nest_.output(nest_.sum())), &src = *plan_.widened;
    TESSERA_ASSIGN_OR_RETURN(const StepLoops steps, ProductLoops(nest_, plan_, target_));
    ForEachContext(Union({&dst, &src}), [&] {
      body.push_back({isa::Elementwise{.op = isa::AluOp::kMax,
                                       .uses_immediate = false,
                                       .immediate = 0,
                                       .dst = PlaceOf(dst, steps.offsets[0]),
                                       .src = PlaceOf(src, steps.offsets[1]),
                                       .loops = steps.loops}});
    });
    return absl::OkStatus();
  }

  // dst += src × a tile of the identity's allocation.
  enum ConstantTile { kIdentity = 0, kMaskWeights = 1 };
  isa::Node TimesConstant(isa::Place dst, isa::Place src, ConstantTile tile,
                          absl::Span<const isa::Loop> loops) const {
    return WithLoops(isa::Product{.resets = false,
                                  .dst = std::move(dst),
                                  .src = std::move(src),
                                  .wgt = {plan_.identity, {}, {tile, {}}},
                                  .loops = {}},
                     loops);
  }

  // With loops of the program around where the instruction has no room for all.
  template <typename Steps>
  isa::Node WithLoops(Steps one, absl::Span<const isa::Loop> loops) const {
    InstructionLoops split = AsMicroOps(loops, kernel_.code.config);
    one.loops = std::move(split.own);
    int number = turns_.depth();
    for (const isa::Loop& loop : split.around) {
      const auto add = [&](isa::Place& place, int64_t step) {
        if (step != 0) place.offset.terms.push_back({number, 1, loop.turns, step});
      };
      add(one.dst, loop.dst_step);
      add(one.src, loop.src_step);
      ++number;
    }
    isa::Node node{std::move(one)};
    for (size_t i = split.around.size(); i-- > 0;) {
      isa::Repeat repeat{split.around[i].turns, {}};
      repeat.body.push_back(std::move(node));
      node = {std::move(repeat)};
    }
    return node;
  }

  absl::Status EmitLoads(int copy, Body& body) {
    const Held& held = plan_.of(nest_.output(copy));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<MoveDim> dims, LoadDims(nest_, copy, held, plan_));
    const int argument = ArgumentOf(nest_.SourceOf(copy).buffer.get());
    ForEachContext(held.virtual_loops, [&] {
      body.push_back(MakeMoves(turns_, PlaceOf(held, {}), dims, argument, /*is_store=*/false));
    });
    if (!plan_.mask || plan_.mask->buffer != held.buffer) return absl::OkStatus();
    const std::vector<MoveDim> mask = MaskDims(nest_, copy, plan_);
    ForEachContext(plan_.mask->virtual_loops, [&] {
      body.push_back(MakeMoves(turns_, PlaceOf(*plan_.mask, {}), mask,
                               isa::BufferOfConstant(mask_constant_), /*is_store=*/false));
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
        ForEachContext(held.virtual_loops, [&] {
          one.dst = PlaceOf(held, {});
          body.push_back(WithLoops(one, {{.turns = held.tiles, .dst_step = 1}}));
        });
        continue;
      }
      const Held& source = plan_.of(step.operand->buffer.get());
      TESSERA_ASSIGN_OR_RETURN(const StepLoops steps, OperandLoops(nest_, plan_, source.buffer));
      ForEachContext(Union({&held, &source}), [&] {
        one.dst = PlaceOf(held, steps.offsets[0]);
        one.src = PlaceOf(source, steps.offsets[1]);
        body.push_back(step.AddsBytes() ? TimesConstant(one.dst, one.src, kIdentity, steps.loops)
                                        : WithLoops(one, steps.loops));
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
  int mask_constant_ = -1;
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
  for (const schedule::StageState& stage : schedule.stages()) {
    if (stage.provider.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(stage.stage->name(), ": external is for CPUs; leave it out"));
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
