#include "compiler/passes/insert_prefetches.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/accumulate_in_registers.h"

namespace tessera::passes {
namespace {

class Inserter final : public ir::Mutator {
 public:
  explicit Inserter(const schedule::Schedule& schedule) {
    for (const schedule::StageState& state : schedule.stages()) {
      if (state.prefetch == 0) continue;
      for (const ir::Buffer& output : state.stage->outputs) {
        ahead_[output->name] = state.prefetch;
        ahead_[RegisterTileName(*output)] = state.prefetch;
      }
    }
  }
  bool HasWork() const { return !ahead_.empty(); }

 private:
  ir::Stmt MutateFor(const ir::For& node, const ir::Stmt& self) override {
    bool is_innermost = true;
    ir::ForEach<ir::For>(node.body, [&](const ir::For&) { is_innermost = false; });
    if (!is_innermost) return Mutator::MutateFor(node, self);
    int iterations = 0;
    ir::ForEach<ir::Store>(node.body, [&](const ir::Store& store) {
      const auto found = ahead_.find(store.buffer->name);
      if (found != ahead_.end()) iterations = found->second;
    });
    if (iterations == 0) return self;
    const ir::Expr later = ir::Expr(node.var) + ir::Expr(int64_t{iterations});
    std::vector<ir::Stmt> stmts;
    absl::flat_hash_set<std::string> fetched;
    ir::ForEach<ir::Load>(node.body, [&](const ir::Load& load) {
      if (load.buffer->scope == ir::Scope::kLocal || load.indices.size() != 1) return;
      const auto* ramp = load.indices[0].As<ir::Ramp>();
      if (ramp == nullptr || ramp->stride != 1 || !ir::Uses(ramp->base, node.var)) return;
      if (!fetched.insert(absl::StrCat(load.buffer->name, "[", ir::Print(ramp->base))).second) {
        return;
      }
      const ir::Expr place =
          ir::MakeLoad(load.buffer, {ir::Substitute(ramp->base, {node.var}, {later})});
      stmts.push_back(ir::MakeEvaluate(ir::MakeCall(load.buffer->type, "prefetch", {place})));
    });
    if (stmts.empty()) return self;
    stmts.push_back(node.body);
    return ir::MakeFor(node.var, node.min, node.extent, ir::MakeBlock(std::move(stmts)),
                       node.loop_kind, node.thread_axis);
  }

  absl::flat_hash_map<std::string, int> ahead_;  // by the name of the buffer stored to
};

}  // namespace

ir::Stmt InsertPrefetches(const ir::Stmt& root, const schedule::Schedule& schedule) {
  Inserter inserter(schedule);
  return inserter.HasWork() ? inserter.Mutate(root) : root;
}

}  // namespace tessera::passes
