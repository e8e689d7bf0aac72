#include "compiler/passes/double_buffers.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/with_index.h"

namespace tessera::passes {
namespace {

bool Stores(const ir::Stmt& s, const ir::Buffer& buffer) {
  bool stores = false;
  ir::ForEach<ir::Store>(s, [&](const ir::Store& store) { stores |= store.buffer == buffer; });
  return stores;
}

bool ReadsShared(const ir::Stmt& s) {
  bool reads = false;
  ir::ForEach<ir::Load>(
      s, [&](const ir::Load& load) { reads |= load.buffer->scope == ir::Scope::kShared; });
  return reads;
}

// The loops inside of a statement that fills doubled memory, outermost first: they count the
// elements of a thread's share.
std::vector<const ir::For*> LoopsOf(const ir::Stmt& fill) {
  std::vector<const ir::For*> loops;
  ir::ForEach<ir::For>(fill, [&](const ir::For& loop) { loops.push_back(&loop); });
  return loops;
}

// Makes the two halves of a statement that fills `to`: that which loads a thread's share into
// memory of its own, and that which stores it.
class Halver final : public ir::Mutator {
 public:
  Halver(ir::Buffer to, ir::Buffer share, bool loads)
      : to_(std::move(to)), share_(std::move(share)), loads_(loads) {}

 private:
  ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt&) override {
    // Variables of its own for each half.
    const ir::VarRef var = ir::MakeVar(loop.var->name);
    at_.push_back(loop.min == 0 ? ir::Expr(var) : ir::Expr(var) - ir::Expr(loop.min));
    const ir::Stmt body = Mutate(ir::Substitute(loop.body, loop.var, var));
    at_.pop_back();
    // A share is in registers, which have no indices that loops count.
    const bool is_vector = loop.loop_kind == ir::LoopKind::kVectorized;
    return ir::MakeFor(var, loop.min, loop.extent, body,
                       is_vector ? loop.loop_kind : ir::LoopKind::kUnrolled);
  }

  // What is filled in is a share's, too.
  ir::Stmt MutateIf(const ir::If& node, const ir::Stmt& self) override {
    if (loads_ || !node.else_body) return ir::Mutator::MutateIf(node, self);
    return Mutate(node.then_body);
  }

  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (store.buffer != to_) return self;
    std::vector<ir::Expr> at = at_;
    if (at.empty()) at.push_back(ir::Expr(0));
    if (loads_) return ir::MakeStore(share_, std::move(at), store.value, store.predicate);
    return ir::MakeStore(to_, store.indices, ir::MakeLoad(share_, std::move(at)), store.predicate);
  }

  ir::Buffer to_, share_;
  const bool loads_;
  std::vector<ir::Expr> at_;  // in the share, by loop around
};

class Doubler final : public ir::Mutator {
 public:
  const absl::Status& status() const { return status_; }

 private:
  ir::Stmt MutateFor(const ir::For& original, const ir::Stmt& self) override {
    const ir::Stmt mutated = ir::Mutator::MutateFor(original, self);
    const ir::For& loop = *mutated.As<ir::For>();
    if (loop.loop_kind != ir::LoopKind::kSerial) return mutated;
    std::vector<ir::Buffer> doubled, others;
    ir::Stmt body = loop.body;
    while (const auto* node = body.As<ir::Allocate>()) {
      (node->buffer->is_doubled ? doubled : others).push_back(node->buffer);
      body = node->body;
    }
    if (doubled.empty()) return mutated;
    std::vector<ir::Stmt> stmts = {body};
    if (const auto* block = body.As<ir::Block>()) stmts = block->stmts;

    const ir::Expr this_half = ir::Expr(loop.var) % ir::Expr(2);
    const ir::Expr next = ir::Expr(loop.var) + ir::Expr(1);
    const ir::Expr has_next = ir::Lt(next, ir::Expr(loop.min + loop.extent));
    std::vector<ir::Stmt> first, loads, rest, stores;
    std::vector<ir::Buffer> shares;
    for (const ir::Stmt& s : stmts) {
      const auto filled = std::ranges::find_if(
          doubled, [&](const ir::Buffer& buffer) { return Stores(s, buffer); });
      if (filled == doubled.end()) {
        rest.push_back(s);
        continue;
      }
      if (ReadsShared(s)) Fail(**filled, "is made of shared memory, which another turn may change");
      first.push_back(ir::Substitute(s, loop.var, ir::Expr(loop.min)));
      const ir::Stmt later = ir::Substitute(s, loop.var, next);
      shares.push_back(ShareOf(**filled, later));
      loads.push_back(Halver(*filled, shares.back(), true).Mutate(later));
      stores.push_back(Halver(*filled, shares.back(), false).Mutate(later));
    }
    ir::Stmt turn = ir::MakeBlock(std::move(rest));
    ir::Stmt before = ir::MakeBlock(std::move(first)), after = ir::MakeBlock(std::move(stores));
    std::vector<ir::Buffer> halves;
    for (const ir::Buffer& buffer : doubled) {
      halves.push_back(std::make_shared<const ir::BufferNode>(ir::WithDimension(*buffer, 2)));
      turn = WithIndex(turn, buffer, halves.back(), this_half);
      before = WithIndex(before, buffer, halves.back(), ir::Expr(loop.min % 2));
      after = WithIndex(after, buffer, halves.back(), next % ir::Expr(2));
    }
    for (size_t i = others.size(); i-- > 0;) turn = ir::MakeAllocate(others[i], turn);
    const ir::Stmt barrier = ir::MakeBarrier(ir::Scope::kShared);
    ir::Stmt turns =
        ir::MakeBlock({ir::MakeIf(has_next, ir::MakeBlock(std::move(loads))), std::move(turn),
                       ir::MakeIf(has_next, std::move(after)), barrier});
    for (size_t i = shares.size(); i-- > 0;) turns = ir::MakeAllocate(shares[i], turns);
    ir::Stmt result = ir::MakeBlock(
        {std::move(before), barrier, ir::MakeFor(loop.var, loop.min, loop.extent, turns)});
    for (size_t i = halves.size(); i-- > 0;) result = ir::MakeAllocate(halves[i], result);
    return result;
  }

  static ir::Buffer ShareOf(const ir::BufferNode& buffer, const ir::Stmt& fill) {
    std::vector<int64_t> shape;
    for (const ir::For* loop : LoopsOf(fill)) shape.push_back(loop->extent);
    if (shape.empty()) shape.push_back(1);
    return ir::MakeBuffer(absl::StrCat(buffer.name, ".next"), buffer.type, std::move(shape),
                          ir::Scope::kLocal);
  }

  void Fail(const ir::BufferNode& buffer, std::string_view why) {
    status_.Update(absl::InvalidArgumentError(
        absl::StrCat("double_buffer ", buffer.name, ": ", std::string(why))));
  }

  absl::Status status_;
};

}  // namespace

absl::StatusOr<ir::Stmt> DoubleBuffers(const ir::Stmt& root) {
  Doubler doubler;
  ir::Stmt doubled = doubler.Mutate(root);
  TESSERA_RETURN_IF_ERROR(doubler.status());
  return doubled;
}

}  // namespace tessera::passes
