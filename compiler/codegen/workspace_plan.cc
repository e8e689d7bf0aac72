#include "compiler/codegen/workspace_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"

namespace tessera::codegen {
namespace {

constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// One walk in execution order, keeping the top of each part as a stack. A buffer met twice (a
// shared subtree) keeps one slot: the walk is repeated until no slot moves up any more.
class Planner final : public ir::Visitor {
 public:
  using ir::Visitor::Visit;
  explicit Planner(WorkspacePlan& plan) : plan_(plan) {}
  bool moved() const { return moved_; }
  const absl::Status& status() const { return status_; }

 private:
  void VisitFor(const ir::For& node) override {
    const bool outer = parallel_;
    parallel_ = parallel_ || node.loop_kind == ir::LoopKind::kParallel;
    ir::Visitor::VisitFor(node);
    parallel_ = outer;
  }

  void VisitAllocate(const ir::Allocate& node) override {
    const ir::BufferNode& buffer = *node.buffer;
    const int64_t bytes = RoundUp(buffer.StoredBytes());
    if (buffer.scope != ir::Scope::kLocal && buffer.scope != ir::Scope::kWorkspace) {
      status_.Update(absl::InvalidArgumentError(
          absl::StrCat("code generation: buffer ", buffer.name, " has scope ",
                       ir::ToString(buffer.scope), ", which a CPU target does not have")));
      return;
    }
    const bool fits = bytes <= kMaxStackBufferBytes && stack_ + bytes <= kMaxStackBytes;
    if (buffer.scope == ir::Scope::kLocal && fits) {
      plan_.slots.try_emplace(&buffer, Slot{Place::kStack});
    }
    const auto [slot, is_new] =
        plan_.slots.try_emplace(&buffer, Slot{parallel_ ? Place::kPrivate : Place::kShared});
    if (slot->second.place == Place::kStack) {
      // Entry-block allocas of disjoint lifetimes share space too, but not surely: count all.
      stack_ += bytes;
      ir::Visitor::VisitAllocate(node);
      return;
    }
    if (parallel_ && slot->second.place == Place::kShared) {
      slot->second = Slot{Place::kPrivate};
      moved_ = true;
    }
    const bool is_private = slot->second.place == Place::kPrivate;
    int64_t& top = is_private ? private_top_ : shared_top_;
    int64_t& size = is_private ? plan_.private_bytes : plan_.shared_bytes;
    if (slot->second.offset < top) {
      moved_ = moved_ || !is_new;
      slot->second.offset = top;
    }
    const int64_t outer = top;
    top = slot->second.offset + bytes;
    size = std::max(size, top);
    ir::Visitor::VisitAllocate(node);
    top = outer;
  }

  WorkspacePlan& plan_;
  absl::Status status_;
  bool parallel_ = false;
  bool moved_ = false;
  int64_t shared_top_ = 0, private_top_ = 0, stack_ = 0;
};

}  // namespace

absl::StatusOr<WorkspacePlan> PlanWorkspace(const ir::Program& program) {
  WorkspacePlan plan;
  while (true) {
    plan.shared_bytes = plan.private_bytes = 0;
    Planner planner(plan);
    planner.Visit(program.body);
    TESSERA_RETURN_IF_ERROR(planner.status());
    if (!planner.moved()) return plan;
  }
}

}  // namespace tessera::codegen
