#include "compiler/codegen/gpu/async_copies.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/structural_hash.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/conjuncts.h"

namespace tessera::codegen::gpu {
namespace {

// The first of neighbouring elements that an access names.
std::optional<ir::Expr> FirstOf(const std::vector<ir::Expr>& indices) {
  if (indices.size() != 1) return std::nullopt;
  if (!indices[0].type().is_vector()) return indices[0];
  const auto* ramp = indices[0].As<ir::Ramp>();
  return ramp != nullptr && ramp->stride == 1 ? std::optional(ramp->base) : std::nullopt;
}

int64_t BytesTo(const ir::Buffer& buffer, const ir::Expr& index) {
  const auto known = [](const ir::Expr& part) -> std::optional<int64_t> {
    const int64_t* constant = ir::AsConstInt(part);
    return constant == nullptr ? std::nullopt : std::optional(*constant);
  };
  return ir::MultipleOf(index, known) * (buffer->type.bits / 8);
}

using Buffers = std::set<const ir::BufferNode*>;

// The copy that a store of `value` to doubled memory at `indices` is, if an instruction makes it.
// `changing`: buffers that the kernel writes.
ir::Stmt CopyOf(const ir::Buffer& to, const std::vector<ir::Expr>& indices, const ir::Expr& value,
                const Buffers& changing, const ir::VarRef& token) {
  const auto* load = value.As<ir::Load>();
  if (load == nullptr || load->predicate || !IsGlobal(*load->buffer) ||
      changing.contains(load->buffer.get()) || load->buffer->type != to->type ||
      to->type.bits < 8) {
    return {};
  }
  const std::optional<ir::Expr> at = FirstOf(indices), from = FirstOf(load->indices);
  if (!at || !from) return {};
  const int64_t lanes = load->type.lanes;
  if (AsyncCopyBytes(lanes * to->type.bits / 8, BytesTo(to, *at), BytesTo(load->buffer, *from)) ==
      0) {
    return {};
  }
  return ir::MakeAsyncCopy(to, *at, load->buffer, *from, lanes, token);
}

// What is copied where `condition` holds, else filled in: a value that may be behind a test.
struct Tested {
  ir::Expr condition, copied, filled;  // no condition: always copied
};

Tested TestedOf(const ir::Expr& value) {
  const auto* node = value.As<ir::Select>();
  if (node == nullptr || node->condition.type().is_vector() || ir::ReadsMemory(node->condition) ||
      ir::ReadsMemory(node->if_false)) {
    return {{}, value, {}};
  }
  return {node->condition, node->if_true, node->if_false};
}

// A test around a statement. `node`: tells the two ways of one test apart from other tests.
struct Guard {
  const ir::If* node;
  ir::Expr condition;
  bool holds;
};

struct GuardedStore {
  const ir::Store* store;
  std::vector<Guard> guards;
};

// Where elements of memory of a thread's own are stored, and where they go on to.
class Uses final : public ir::Visitor {
 public:
  explicit Uses(ir::Buffer share) : share_(std::move(share)) {}

  std::vector<GuardedStore> stored, passed_on;
  std::vector<ir::VarRef> bound;  // by loops inside
  bool is_known = true;           // no other uses, and none in loops

 private:
  void VisitFor(const ir::For& loop) override {
    bound.push_back(loop.var);
    ++loops_;
    ir::Visitor::VisitFor(loop);
    --loops_;
  }
  void VisitIf(const ir::If& node) override {
    Visit(node.condition);
    const size_t outer = guards_.size();
    for (const ir::Expr& part : passes::Conjuncts(node.condition)) {
      guards_.push_back({&node, part, true});
    }
    Visit(node.then_body);
    guards_.resize(outer);
    guards_.push_back({&node, node.condition, false});
    Visit(node.else_body);
    guards_.resize(outer);
  }
  void VisitStore(const ir::Store& store) override {
    const auto* load = store.value.As<ir::Load>();
    const bool passes = load != nullptr && load->buffer == share_;
    if (store.buffer != share_ && !passes) return ir::Visitor::VisitStore(store);
    is_known &= loops_ == 0 && !store.predicate && (!passes || !load->predicate) &&
                (store.buffer == share_) != passes;
    (passes ? passed_on : stored).push_back({&store, guards_});
    for (const ir::Expr& index : store.indices) Visit(index);
    if (!passes) Visit(store.value);
  }
  void VisitLoad(const ir::Load& load) override {
    is_known &= load.buffer != share_;
    ir::Visitor::VisitLoad(load);
  }

  const ir::Buffer share_;
  std::vector<Guard> guards_;
  int loops_ = 0;
};

// Whether only one of both runs.
bool Exclude(const GuardedStore& a, const GuardedStore& b) {
  return std::ranges::any_of(a.guards, [&](const Guard& x) {
    return std::ranges::any_of(
        b.guards, [&](const Guard& y) { return x.node == y.node && x.holds != y.holds; });
  });
}

// Sends what goes through memory of a thread's own to doubled memory straight on, where all of it
// can be copied.
class Forwarder final : public ir::Mutator {
 public:
  explicit Forwarder(const Buffers& changing) : changing_(changing) {}

 private:
  using Ways = absl::flat_hash_map<const ir::Store*, const ir::Store*>;

  ir::Stmt MutateAllocate(const ir::Allocate& original, const ir::Stmt& self) override {
    const ir::Stmt mutated = ir::Mutator::MutateAllocate(original, self);
    const auto& node = *mutated.As<ir::Allocate>();
    if (node.buffer->scope != ir::Scope::kLocal) return mutated;
    Uses uses(node.buffer);
    uses.Visit(node.body);
    Ways ways;
    if (!uses.is_known || !FindWays(uses, ways)) return mutated;
    return Straightened(ways).Mutate(node.body);
  }

  // The store that each store to the thread's memory ends in. False: not all can go there at once.
  bool FindWays(const Uses& uses, Ways& ways) const {
    if (uses.stored.empty()) return uses.passed_on.empty();
    for (const GuardedStore& last : uses.passed_on) {
      if (!IsDoubled(*last.store) || !IsKnownEarly(last, uses)) return false;
      std::vector<GuardedStore> sources;
      for (const GuardedStore& source : uses.stored) {
        if (!ir::SameTree(source.store->indices[0], last.store->value.As<ir::Load>()->indices[0])) {
          continue;
        }
        const bool is_alone = std::ranges::all_of(
            sources, [&](const GuardedStore& other) { return Exclude(source, other); });
        if (!is_alone || !ReachesOnlyWith(source, last) || !CanGo(*source.store, *last.store) ||
            !ways.emplace(source.store, last.store).second) {
          return false;
        }
        sources.push_back(source);
      }
      if (sources.empty()) return false;
    }
    return ways.size() == uses.stored.size();
  }

  static bool IsDoubled(const ir::Store& store) {
    return store.buffer->scope == ir::Scope::kShared && store.buffer->is_doubled;
  }

  // Whether where it stores, and whether it does, is known before the statement runs.
  static bool IsKnownEarly(const GuardedStore& last, const Uses& uses) {
    const auto is_early = [&](const ir::Expr& e) {
      return !ir::ReadsMemory(e) && std::ranges::none_of(uses.bound, [&](const ir::VarRef& var) {
        return ir::Uses(e, var);
      });
    };
    return is_early(last.store->indices[0]) &&
           std::ranges::all_of(last.guards,
                               [&](const Guard& guard) { return is_early(guard.condition); });
  }

  // What runs where `last` would not must not write there.
  static bool ReachesOnlyWith(const GuardedStore& source, const GuardedStore& last) {
    return std::ranges::all_of(last.guards, [&](const Guard& wanted) {
      return std::ranges::any_of(source.guards, [&](const Guard& guard) {
        return guard.holds == wanted.holds && ir::SameTree(guard.condition, wanted.condition);
      });
    });
  }

  // A copy, or what reads no memory and is stored at once.
  bool CanGo(const ir::Store& source, const ir::Store& last) const {
    if (source.value.type() != last.value.type()) return false;
    const ir::Expr copied = TestedOf(source.value).copied;
    return !ir::ReadsMemory(copied) ||
           CopyOf(last.buffer, last.indices, copied, changing_, ir::MakeVar("", ir::Token()));
  }

  class Straightened final : public ir::Mutator {
   public:
    explicit Straightened(const Ways& ways) : ways_(ways) {}

   private:
    ir::Stmt MutateIf(const ir::If& node, const ir::Stmt&) override {
      ir::Stmt then_body = Mutate(node.then_body), else_body = Mutate(node.else_body);
      if (!then_body && !else_body) return {};
      return ir::MakeIf(node.condition, std::move(then_body), std::move(else_body));
    }
    ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
      if (const auto way = ways_.find(&store); way != ways_.end()) {
        return ir::MakeStore(way->second->buffer, way->second->indices, store.value);
      }
      const bool is_last =
          std::ranges::any_of(ways_, [&](const auto& way) { return way.second == &store; });
      return is_last ? ir::Stmt() : self;
    }

    const Ways& ways_;
  };

  const Buffers& changing_;
};

// Makes stores of what lies in global memory copies.
class Copier final : public ir::Mutator {
 public:
  Copier(const Buffers& changing, ir::VarRef token)
      : changing_(changing), token_(std::move(token)) {}

 private:
  ir::Stmt MutateStore(const ir::Store& store, const ir::Stmt& self) override {
    if (!store.buffer->is_doubled || store.predicate) return self;
    const auto [condition, copied, filled] = TestedOf(store.value);
    const ir::Stmt copy = CopyOf(store.buffer, store.indices, copied, changing_, token_);
    if (!copy || !condition) return copy ? copy : self;
    return ir::MakeIf(condition, copy, ir::MakeStore(store.buffer, store.indices, filled));
  }

  const Buffers& changing_;
  const ir::VarRef token_;
};

// `s` with waits in front of barriers. `is_open`: whether copies may go on, before it and then
// after it.
ir::Stmt InsertWaits(const ir::Stmt& s, const ir::VarRef& token, bool& is_open) {
  const auto wait = [&](const ir::Stmt& before, const ir::Stmt& after) {
    is_open = false;
    return ir::MakeBlock({before, ir::MakeAsyncWait(token), after});
  };
  if (s.As<ir::AsyncCopy>() != nullptr) is_open = true;
  if (s.As<ir::Barrier>() != nullptr && is_open) return wait({}, s);
  if (const auto* block = s.As<ir::Block>()) {
    std::vector<ir::Stmt> stmts;
    for (const ir::Stmt& part : block->stmts) stmts.push_back(InsertWaits(part, token, is_open));
    return ir::MakeBlock(std::move(stmts));
  }
  if (const auto* node = s.As<ir::Allocate>()) {
    return ir::MakeAllocate(node->buffer, InsertWaits(node->body, token, is_open));
  }
  if (const auto* node = s.As<ir::If>()) {
    bool otherwise = is_open;
    ir::Stmt then_body = InsertWaits(node->then_body, token, is_open);
    ir::Stmt else_body =
        node->else_body ? InsertWaits(node->else_body, token, otherwise) : ir::Stmt();
    is_open |= otherwise;
    return ir::MakeIf(node->condition, std::move(then_body), std::move(else_body));
  }
  if (const auto* loop = s.As<ir::For>()) {
    ir::Stmt body = InsertWaits(loop->body, token, is_open);
    bool meets = false;
    ir::ForEach<ir::Barrier>(body, [&](const ir::Barrier&) { meets = true; });
    // The barrier of the next turn, which waits for nothing, may be the next one.
    if (meets && is_open) body = wait(body, {});
    return ir::MakeFor(loop->var, loop->min, loop->extent, std::move(body), loop->loop_kind,
                       loop->thread_axis);
  }
  return s;
}

}  // namespace

int64_t AsyncCopyBytes(int64_t bytes, int64_t to, int64_t from) {
  constexpr int64_t kLeast = 4, kMost = 16;
  const int64_t common = bytes | to | from | kMost;
  const int64_t unit = common & -common;
  return unit < kLeast ? 0 : unit;
}

ir::Stmt CopyAsynchronously(const ir::Stmt& nest) {
  Buffers changing;
  ir::ForEach<ir::Store>(nest,
                         [&](const ir::Store& store) { changing.insert(store.buffer.get()); });
  const ir::VarRef token = ir::MakeVar("copies", ir::Token());
  const ir::Stmt copied = Copier(changing, token).Mutate(Forwarder(changing).Mutate(nest));
  bool is_open = false;
  return InsertWaits(copied, token, is_open);
}

}  // namespace tessera::codegen::gpu
