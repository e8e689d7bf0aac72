#include "compiler/passes/bind_threads.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/threads.h"

namespace tessera::passes {
namespace {

// Iterations of a thread's share that are copied rather than looped over.
constexpr int64_t kMaxUnrolledShare = 8;

// The threads of a block, by axis.
struct Threads {
  std::array<int64_t, 3> extents = {0, 0, 0};  // 0: none
  std::array<ir::VarRef, 3> numbers;
};

size_t AxisOf(const ir::For& loop) {
  return static_cast<size_t>(loop.thread_axis) - static_cast<size_t>(ir::ThreadAxis::kThreadX);
}

// Puts each thread's share in place of the loops that are bound to threads.
class Sharer final : public ir::Mutator {
 public:
  explicit Sharer(const Threads& threads) : threads_(threads) {}
  const absl::Status& status() const { return status_; }

 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    if (ir::IsBlockAxis(loop.thread_axis)) {
      status_.Update(absl::InvalidArgumentError(absl::StrCat(
          "loop ", loop.var->name, " is bound to ", std::string(ir::ToString(loop.thread_axis)),
          " inside of a loop that is not; loops over blocks have to be outermost")));
      return self;
    }
    if (!ir::IsThreadAxis(loop.thread_axis)) return ir::Mutator::MutateFor(loop, self);
    const size_t axis = AxisOf(loop);
    const int64_t count = threads_.extents[axis];
    const ir::Expr number = threads_.numbers[axis];
    ++depths_[axis];
    const ir::Stmt body = Mutate(loop.body);
    --depths_[axis];
    if (loop.extent == count) return ir::Substitute(body, loop.var, Shifted(number, loop.min));
    if (ir::SharesMemory(body)) {
      status_.Update(absl::InvalidArgumentError(absl::StrCat(
          "loop ", loop.var->name, " has ", loop.extent, " iterations for ", count,
          " threads, but memory that all of them have to make is shared inside of it")));
      return self;
    }
    if (loop.extent < count) {
      return ir::MakeIf(ir::Lt(number, ir::Expr(loop.extent)),
                        ir::Substitute(body, loop.var, Shifted(number, loop.min)));
    }
    const int64_t shares = (loop.extent + count - 1) / count;
    const ir::VarRef share = ir::MakeVar(loop.var->name);
    const ir::Expr value = ir::Expr(share) * ir::Expr(count) + number;
    ir::Stmt inner = ir::Substitute(body, loop.var, Shifted(value, loop.min));
    if (loop.extent % count != 0) inner = ir::MakeIf(ir::Lt(value, ir::Expr(loop.extent)), inner);
    return ir::MakeFor(
        share, 0, shares, inner,
        shares <= kMaxUnrolledShare ? ir::LoopKind::kUnrolled : ir::LoopKind::kSerial);
  }

  ir::Stmt MutateAllocate(const ir::Allocate& node, const ir::Stmt& self) override {
    if (node.buffer->scope == ir::Scope::kShared) around_[node.buffer.get()] = depths_;
    return ir::Mutator::MutateAllocate(node, self);
  }

  // What threads of an axis would all store is left to the first of them.
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (store.buffer->scope == ir::Scope::kLocal) return self;
    const auto around = around_.find(store.buffer.get());
    ir::Expr condition;
    for (size_t axis = 0; axis < 3; ++axis) {
      // Loops around the memory that a block shares are not over what is in it.
      const int depth = around == around_.end() ? 0 : around->second[axis];
      if (threads_.extents[axis] <= 1 || depths_[axis] > depth) continue;
      condition = ir::And(condition, ir::Eq(threads_.numbers[axis], ir::Expr(0)));
    }
    return condition ? ir::MakeIf(condition, self) : self;
  }

  static ir::Expr Shifted(const ir::Expr& value, int64_t min) {
    return min == 0 ? value : value + ir::Expr(min);
  }

  const Threads& threads_;
  std::array<int, 3> depths_ = {0, 0, 0};                       // loops around, by axis
  std::map<const ir::BufferNode*, std::array<int, 3>> around_;  // shared memory
  absl::Status status_;
};

class Binder final : public ir::Mutator {
 public:
  const absl::Status& status() const { return status_; }

 private:
  // The outermost loop of a root nest.
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt& self) override {
    Threads threads = ThreadsOf(self);
    if (std::ranges::all_of(threads.extents, [](int64_t extent) { return extent == 0; })) {
      return self;
    }
    constexpr std::array<const char*, 3> kNames = {"thread.x", "thread.y", "thread.z"};
    for (size_t axis = 0; axis < 3; ++axis) {
      if (threads.extents[axis] > 0) threads.numbers[axis] = ir::MakeVar(kNames[axis]);
    }
    return BindBlocks(loop, self, threads);
  }

  // As many as have to make what a block shares, or else as many as can have something to do.
  static Threads ThreadsOf(const ir::Stmt& nest) {
    Threads threads;
    std::array<bool, 3> is_given = {false, false, false};
    ir::ForEach<ir::For>(nest, [&](const ir::For& loop) {
      if (!ir::IsThreadAxis(loop.thread_axis)) return;
      const size_t axis = AxisOf(loop);
      if (is_given[axis]) return;  // a loop further in
      is_given[axis] = ir::SharesMemory(loop.body);
      int64_t& extent = threads.extents[axis];
      extent = is_given[axis] ? loop.extent : std::max(extent, loop.extent);
    });
    return threads;
  }

  ir::Stmt BindBlocks(const ir::For& loop, const ir::Stmt& self, const Threads& threads) {
    if (ir::IsBlockAxis(loop.thread_axis)) {
      const auto* next = loop.body.As<ir::For>();
      const ir::Stmt body =
          next != nullptr ? BindBlocks(*next, loop.body, threads) : BindBody(loop.body, threads);
      return ir::MakeFor(loop.var, loop.min, loop.extent, body, loop.loop_kind, loop.thread_axis);
    }
    return BindBody(self, threads);
  }

  ir::Stmt BindBody(const ir::Stmt& body, const Threads& threads) {
    Sharer sharer(threads);
    ir::Stmt bound = sharer.Mutate(body);
    status_.Update(sharer.status());
    for (size_t axis = 0; axis < 3; ++axis) {
      if (threads.extents[axis] == 0) continue;
      const auto thread_axis =
          static_cast<ir::ThreadAxis>(static_cast<size_t>(ir::ThreadAxis::kThreadX) + axis);
      bound = ir::MakeFor(threads.numbers[axis], 0, threads.extents[axis], std::move(bound),
                          ir::LoopKind::kThread, thread_axis);
    }
    return bound;
  }

  absl::Status status_;
};

}  // namespace

absl::StatusOr<ir::Stmt> BindThreads(const ir::Stmt& root) {
  Binder binder;
  ir::Stmt bound = binder.Mutate(root);
  TESSERA_RETURN_IF_ERROR(binder.status());
  return bound;
}

}  // namespace tessera::passes
