#include "compiler/codegen/gpu/matrix_products.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "compiler/ir/matrix_factor.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"

namespace tessera::codegen::gpu {
namespace {

constexpr int64_t kWave = 32, kGroups = 8, kQuads = 4;
constexpr int64_t kMaxSteps = 16;

// An index as Σ coefficient × variable + start + offset.
struct LaneIndex {
  int64_t g = 0, q = 0, k = 0;
  ir::Expr start;  // without g, q and k
  int64_t offset = 0;
};

class Finder {
 public:
  Finder(const ir::For& loop, const ir::VarRef& thread, int64_t threads)
      : loop_(loop), thread_(thread) {
    ranges_[product_.wave.get()] = {0, threads / kWave - 1};
    ranges_[g_.get()] = {0, kGroups - 1};
    ranges_[q_.get()] = {0, kQuads - 1};
    ranges_[loop.var.get()] = {loop.min, loop.min + loop.extent - 1};
    lanes_ =
        ir::Expr(product_.wave) * ir::Expr(kWave) + ir::Expr(g_) * ir::Expr(kQuads) + ir::Expr(q_);
  }

  std::optional<MatrixProduct> Find() {
    const auto* block = loop_.body.As<ir::Block>();
    if (block == nullptr) return std::nullopt;
    for (const ir::Stmt& s : block->stmts) {
      if (!AddStore(s)) return std::nullopt;
    }
    // Of a column there are two a thread.
    if (product_.b.line % 2 != 0) return std::nullopt;
    product_.b.line /= 2;
    if (!MakeTiles()) return std::nullopt;
    const int64_t terms = ir::MatrixTerms(product_.a.buffer->type);
    product_.steps = loop_.extent / terms;
    if (loop_.extent % terms != 0 || product_.steps > kMaxSteps) return std::nullopt;
    return std::move(product_);
  }

 private:
  static constexpr auto kNone = std::nullopt;

  // sums[c] = sums[c] + cast(f32, a[…]) * cast(f32, b[…]), or tf32(…) of both, in any order.
  bool AddStore(const ir::Stmt& s) {
    const auto* store = s.As<ir::Store>();
    if (store == nullptr || store->predicate || store->buffer->scope != ir::Scope::kLocal ||
        store->buffer->type != ir::Float(32)) {
      return false;
    }
    const int64_t* place = ir::AsConstInt(store->indices[0]);
    const auto* sum = store->value.As<ir::Binary>();
    if (place == nullptr || sum == nullptr || sum->op != ir::BinaryOp::kAdd) return false;
    const auto is_so_far = [&](const ir::Expr& e) {
      const auto* load = e.As<ir::Load>();
      const int64_t* from = load == nullptr ? nullptr : ir::AsConstInt(load->indices[0]);
      return from != nullptr && load->buffer == store->buffer && *from == *place &&
             !load->predicate;
    };
    const ir::Expr& added = is_so_far(sum->a) ? sum->b : sum->a;
    if (!is_so_far(sum->a) && !is_so_far(sum->b)) return false;
    const auto* product = added.As<ir::Binary>();
    if (product == nullptr || product->op != ir::BinaryOp::kMul) return false;
    const ir::Load *first = OperandOf(product->a), *second = OperandOf(product->b);
    if (first == nullptr || second == nullptr || first->buffer->type != second->buffer->type) {
      return false;
    }
    if (product_.sums != nullptr && product_.sums != store->buffer) return false;
    product_.sums = store->buffer;
    const std::optional<LaneIndex> x = Split(first->indices[0]), y = Split(second->indices[0]);
    if (!x || !y) return false;
    // A moves with g alone, B with q alone.
    const bool in_order = x->g != 0;
    const LaneIndex &a = in_order ? *x : *y, &b = in_order ? *y : *x;
    if (a.q != 0 || b.g != 0 || !Agrees(product_.a, *(in_order ? first : second), a, a.g) ||
        !Agrees(product_.b, *(in_order ? second : first), b, b.q)) {
      return false;
    }
    return added_.insert(*place).second &&
           places_.emplace(std::pair(a.offset, b.offset), *place).second;
  }

  static const ir::Load* OperandOf(const ir::Expr& e) {
    const ir::Load* load = ir::AsMatrixFactor(e);
    if (load == nullptr || load->predicate) return nullptr;
    // A thread's own memory has nothing of what others need.
    if (load->buffer->scope == ir::Scope::kLocal) return nullptr;
    return load->indices[0].type() == ir::Index() ? load : nullptr;
  }

  // Whether an access is `operand` at another offset; the first one is it by itself.
  static bool Agrees(MatrixOperand& operand, const ir::Load& load, const LaneIndex& index,
                     int64_t line) {
    if (line <= 0 || index.k == 0) return false;
    if (operand.buffer == nullptr) {
      operand = {load.buffer, index.start, line, index.k};
      return true;
    }
    return operand.buffer == load.buffer && operand.line == line && operand.term == index.k &&
           ir::Print(operand.start) == ir::Print(index.start);
  }

  std::optional<LaneIndex> Split(const ir::Expr& index) const {
    LaneIndex split;
    split.start = ir::Expr(0);
    if (!Add(ir::Simplify(ir::Substitute(index, {thread_}, {lanes_}), ranges_), split))
      return kNone;
    split.offset += split.k * loop_.min;
    return split;
  }

  bool Add(const ir::Expr& e, LaneIndex& sum) const {
    if (const int64_t* constant = ir::AsConstInt(e)) {
      sum.offset += *constant;
      return true;
    }
    const auto* node = e.As<ir::Binary>();
    if (node != nullptr && node->op == ir::BinaryOp::kAdd) {
      return Add(node->a, sum) && Add(node->b, sum);
    }
    const bool moves = ir::Uses(e, g_) || ir::Uses(e, q_) || ir::Uses(e, loop_.var);
    if (!moves) {
      sum.start = sum.start + e;
      return true;
    }
    const std::optional<ir::LinearForm> linear = ir::AsLinear(e);
    if (!linear) return false;
    sum.offset += linear->constant;
    for (const auto& [var, coefficient] : linear->terms) {
      if (var == g_) {
        sum.g += coefficient;
      } else if (var == q_) {
        sum.q += coefficient;
      } else if (var == loop_.var) {
        sum.k += coefficient;
      } else {
        sum.start = sum.start + ir::Expr(var) * ir::Expr(coefficient);
      }
    }
    return true;
  }

  // Every sum is in one tile.
  bool MakeTiles() {
    while (!places_.empty()) {
      const auto [a, b] = places_.begin()->first;
      MatrixTile tile{a, b, {}};
      for (size_t row = 0; row < 2; ++row) {
        for (size_t column = 0; column < 2; ++column) {
          const auto found =
              places_.find({a + static_cast<int64_t>(row) * kGroups * product_.a.line,
                            b + static_cast<int64_t>(column) * product_.b.line});
          if (found == places_.end()) return false;
          tile.sums[row][column] = found->second;
          places_.erase(found);
        }
      }
      product_.tiles.push_back(tile);
    }
    return !product_.tiles.empty();
  }

  const ir::For& loop_;
  const ir::VarRef& thread_;
  const ir::VarRef g_ = ir::MakeVar("g"), q_ = ir::MakeVar("q");
  ir::Ranges ranges_;
  ir::Expr lanes_;  // what `thread` is
  MatrixProduct product_{{}, {}, 0, nullptr, ir::MakeVar("wave"), {}};
  std::map<std::pair<int64_t, int64_t>, int64_t> places_;  // of sums, by the operands' offsets
  std::set<int64_t> added_;                                // sums: each has one product
};

}  // namespace

std::optional<MatrixProduct> FindMatrixProduct(const ir::For& loop, const ir::VarRef& thread,
                                               int64_t threads, const ir::Target& target) {
  if (!ir::MultipliesMatrices(target) || loop.loop_kind != ir::LoopKind::kSerial ||
      thread == nullptr || threads % kWave != 0) {
    return std::nullopt;
  }
  return Finder(loop, thread, threads).Find();
}

}  // namespace tessera::codegen::gpu
