#include "compiler/passes/lower.h"

#include <algorithm>

#include "base/status.h"
#include "base/view.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/accumulate_in_registers.h"
#include "compiler/passes/bind_threads.h"
#include "compiler/passes/build_loops.h"
#include "compiler/passes/double_buffers.h"
#include "compiler/passes/flatten.h"
#include "compiler/passes/hoist_guards.h"
#include "compiler/passes/inject_virtual_threads.h"
#include "compiler/passes/insert_barriers.h"
#include "compiler/passes/insert_prefetches.h"
#include "compiler/passes/partition_loops.h"
#include "compiler/passes/predicate_guards.h"
#include "compiler/passes/unroll_loops.h"
#include "compiler/passes/vectorize_loops.h"

namespace tessera::passes {
namespace {

struct Pass {
  const char* name;
  absl::StatusOr<ir::Program> (*run)(const ir::Program&);
};

template <ir::Stmt (*pass)(const ir::Stmt&)>
absl::StatusOr<ir::Program> OnBody(const ir::Program& program) {
  return ir::Program{program.name, program.params, pass(program.body)};
}

template <absl::StatusOr<ir::Stmt> (*pass)(const ir::Stmt&)>
absl::StatusOr<ir::Program> OnBodyOrError(const ir::Program& program) {
  TESSERA_ASSIGN_OR_RETURN(ir::Stmt body, pass(program.body));
  return ir::Program{program.name, program.params, std::move(body)};
}

absl::StatusOr<ir::Program> FlattenIndices(const ir::Program& program) { return Flatten(program); }

template <ir::IndexFacts facts>
ir::Stmt Simplify(const ir::Stmt& s) {
  return ir::Simplify(s, facts);
}

constexpr auto kLoops = ir::IndexFacts::kLoops;
constexpr auto kLoopsAndTests = ir::IndexFacts::kLoopsAndTests;

constexpr Pass kLowering[] = {
    {"bind_threads", OnBodyOrError<BindThreads>},
    {"inject_virtual_threads", OnBody<InjectVirtualThreads>},
    {"double_buffers", OnBodyOrError<DoubleBuffers>},
    {"insert_barriers", OnBody<InsertBarriers>},
    {"simplify", OnBody<Simplify<kLoops>>},
    {"hoist_guards", OnBody<HoistGuards>},
    {"partition_loops", OnBody<PartitionLoops>},
    {"predicate_guards", OnBody<PredicateGuards>},
    {"accumulate_in_registers", OnBody<AccumulateInRegisters>},
    {"flatten", FlattenIndices},
    {"simplify", OnBody<Simplify<kLoopsAndTests>>},
    {"vectorize_loops", OnBody<VectorizeLoops>},
    {"unroll_loops", OnBodyOrError<UnrollLoops>},
    {"simplify", OnBody<Simplify<kLoopsAndTests>>},
};

absl::StatusOr<ir::Program> RunPasses(ir::Program program) {
  for (const Pass& pass : kLowering) {
    absl::StatusOr<ir::Program> lowered = pass.run(program);
    if (!lowered.ok()) return Annotate(lowered.status(), pass.name);
    program = *std::move(lowered);
#ifndef NDEBUG
    TESSERA_RETURN_IF_ERROR(Annotate(ir::Verify(program), absl::StrCat("after ", pass.name)));
#endif
  }
  return program;
}

absl::StatusOr<ir::Program> Verified(ir::Program program) {
  TESSERA_RETURN_IF_ERROR(Annotate(ir::Verify(program), "after lowering"));
  return program;
}

}  // namespace

absl::StatusOr<ir::Program> Lower(const schedule::Schedule& schedule,
                                  const schedule::LoopStructure& loops, std::string name) {
  TESSERA_ASSIGN_OR_RETURN(ir::Program program, BuildLoops(schedule, loops, std::move(name)));
  TESSERA_ASSIGN_OR_RETURN(program, RunPasses(std::move(program)));
  program.body = InsertPrefetches(program.body, schedule);
  return Verified(std::move(program));
}

absl::StatusOr<std::optional<ir::Program>> LowerPreparation(const schedule::Schedule& schedule,
                                                            const schedule::LoopStructure& loops,
                                                            std::string name) {
  const bool any = std::any_of(loops.stages.begin(), loops.stages.end(),
                               [](const schedule::BoundStage& stage) { return stage.is_constant; });
  if (!any) return std::nullopt;
  TESSERA_ASSIGN_OR_RETURN(ir::Program program, BuildPreparation(schedule, loops, std::move(name)));
  TESSERA_ASSIGN_OR_RETURN(program, RunPasses(std::move(program)));
  return Verified(std::move(program));
}

}  // namespace tessera::passes
