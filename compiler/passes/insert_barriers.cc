#include "compiler/passes/insert_barriers.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "compiler/ir/threads.h"

namespace tessera::passes {
namespace {

// Whether barriers have to be found for what is in it; doubled memory has its own.
bool IsOpen(const ir::BufferNode& buffer) {
  return buffer.scope == ir::Scope::kShared && !buffer.is_doubled;
}

// Shared memory that statements read and write.
struct Uses {
  std::set<const ir::BufferNode*> read, written;

  void Add(const Uses& other) {
    read.insert(other.read.begin(), other.read.end());
    written.insert(other.written.begin(), other.written.end());
  }
  bool Meets(const Uses& later) const {
    const auto any = [](const auto& a, const auto& b) {
      return std::ranges::any_of(a,
                                 [&](const ir::BufferNode* buffer) { return b.contains(buffer); });
    };
    return any(written, later.read) || any(written, later.written) || any(read, later.written);
  }
};

Uses UsesOf(const ir::Stmt& s) {
  Uses uses;
  ir::ForEach<ir::Load>(s, [&](const ir::Load& load) {
    if (IsOpen(*load.buffer)) uses.read.insert(load.buffer.get());
  });
  ir::ForEach<ir::Store>(s, [&](const ir::Store& store) {
    if (IsOpen(*store.buffer)) uses.written.insert(store.buffer.get());
  });
  return uses;
}

int CountBarriers(const ir::Stmt& s) {
  int count = 0;
  ir::ForEach<ir::Barrier>(s, [&](const ir::Barrier&) { ++count; });
  return count;
}

// Whether all threads run it, so that it may have barriers inside.
bool IsOfAll(const ir::Stmt& s) { return ir::SharesMemory(s) || CountBarriers(s) > 0; }

// `s` with barriers. `open`: what was used since the last one, before it and then after it.
ir::Stmt Insert(const ir::Stmt& s, Uses& open) {
  if (s.As<ir::Barrier>() != nullptr) {
    open = {};
    return s;
  }
  if (const auto* block = s.As<ir::Block>()) {
    std::vector<ir::Stmt> stmts;
    for (const ir::Stmt& part : block->stmts) stmts.push_back(Insert(part, open));
    return ir::MakeBlock(std::move(stmts));
  }
  if (const auto* node = s.As<ir::Allocate>()) {
    return ir::MakeAllocate(node->buffer, Insert(node->body, open));
  }
  if (!IsOfAll(s)) {
    const Uses uses = UsesOf(s);
    if (!open.Meets(uses)) {
      open.Add(uses);
      return s;
    }
    open = uses;
    return ir::MakeBlock({ir::MakeBarrier(ir::Scope::kShared), s});
  }
  if (const auto* loop = s.As<ir::For>()) {
    ir::Stmt body = Insert(loop->body, open);
    if (loop->extent > 1 && loop->loop_kind != ir::LoopKind::kThread) {
      // A turn comes after the one before.
      Uses before = open;
      if (CountBarriers(Insert(body, before)) > CountBarriers(body)) {
        body = ir::MakeBlock({body, ir::MakeBarrier(ir::Scope::kShared)});
        open = {};
      }
    }
    return ir::MakeFor(loop->var, loop->min, loop->extent, std::move(body), loop->loop_kind,
                       loop->thread_axis);
  }
  const auto* node = s.As<ir::If>();
  Uses otherwise = open;
  ir::Stmt then_body = Insert(node->then_body, open);
  ir::Stmt else_body = node->else_body ? Insert(node->else_body, otherwise) : ir::Stmt();
  open.Add(otherwise);
  return ir::MakeIf(node->condition, std::move(then_body), std::move(else_body));
}

// Nests of their own share nothing.
class Kernels final : public ir::Mutator {
  ir::Stmt MutateFor(const ir::For&, const ir::Stmt& self) override {
    Uses open;
    return ir::SharesMemory(self) ? Insert(self, open) : self;
  }
};

}  // namespace

ir::Stmt InsertBarriers(const ir::Stmt& root) { return Kernels().Mutate(root); }

}  // namespace tessera::passes
