#include "random_program.h"

#include <cmath>

#include "base/status.h"

namespace tessera::ir::testing {
namespace {

template <typename T, size_t N>
const T& Pick(Rng& rng, const T (&choices)[N]) {
  return choices[rng.Below(N)];
}

Expr Constant(int64_t value, int lanes) { return MakeInt(Index().WithLanes(lanes), value); }

Expr Leaf(Rng& rng, const std::vector<RangedVar>& vars, int lanes) {
  if (vars.empty() || rng.Chance(0.2)) return Constant(rng.Between(-20, 40), lanes);
  const Expr var(vars[rng.Below(vars.size())].var);
  if (lanes > 1 && rng.Chance(0.6)) return MakeRamp(var, rng.Between(-3, 5), lanes);
  return MakeBroadcast(var, lanes);
}

}  // namespace

Expr RandomIndex(Rng& rng, const std::vector<RangedVar>& vars, int depth, int lanes) {
  if (depth == 0 || rng.Chance(0.1)) return Leaf(rng, vars, lanes);
  const auto sub = [&] { return RandomIndex(rng, vars, depth - 1, lanes); };
  const auto scalar = [&] { return RandomIndex(rng, vars, depth - 1); };
  const int64_t factors[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 32, 64, -1, -2, -8};
  const int64_t divisors[] = {1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 32, 64, -3, -4};
  switch (rng.Below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return sub() + sub();
    case 4:
      return sub() - sub();
    case 5:
    case 6:
      return sub() * Constant(Pick(rng, factors), lanes);
    case 7:
      return Constant(Pick(rng, factors), lanes) * sub();
    case 8:
      return sub() * sub();
    case 9:
    case 10:
      return sub() / Constant(Pick(rng, divisors), lanes);
    case 11:
    case 12:
      return sub() % Constant(Pick(rng, divisors), lanes);
    case 13:
      return rng.Chance(0.5) ? Min(sub(), sub()) : Max(sub(), sub());
    case 14: {
      const int condition_lanes = rng.Chance(0.5) ? 1 : lanes;
      return MakeSelect(RandomCondition(rng, vars, depth - 1, condition_lanes), sub(), sub());
    }
    default:
      if (lanes > 1)
        return rng.Chance(0.5) ? MakeRamp(scalar(), rng.Between(-4, 4), lanes)
                               : MakeBroadcast(scalar(), lanes);
      switch (rng.Below(3)) {
        case 0:
          return MakeBinary(BinaryOp::kShiftLeft, sub(), Constant(rng.Between(0, 4), lanes));
        case 1:
          return MakeBinary(BinaryOp::kShiftRight, sub(), Constant(rng.Between(0, 4), lanes));
        default:
          return MakeBinary(BinaryOp::kBitAnd, sub(),
                            Constant((1 << rng.Between(0, 6)) - 1, lanes));
      }
  }
}

Expr RandomCondition(Rng& rng, const std::vector<RangedVar>& vars, int depth, int lanes) {
  if (depth > 0 && rng.Chance(0.4)) {
    const Expr a = RandomCondition(rng, vars, depth - 1, lanes);
    switch (rng.Below(3)) {
      case 0:
        return And(a, RandomCondition(rng, vars, depth - 1, lanes));
      case 1:
        return Or(a, RandomCondition(rng, vars, depth - 1, lanes));
      default:
        return MakeNot(a);
    }
  }
  const int below = std::max(0, depth - 1);
  const Expr a = RandomIndex(rng, vars, below, lanes), b = RandomIndex(rng, vars, below, lanes);
  switch (rng.Below(5)) {
    case 0:
      return Eq(a, b);
    case 1:
      return MakeBinary(BinaryOp::kNe, a, b);
    case 2:
      return Le(a, b);
    default:
      return Lt(a, b);
  }
}

namespace {

constexpr Type kTypes[] = {Float(32), Float(32), Float(64), Float(16), BFloat16(),
                           Int(8),    UInt(8),   Int(16),   Int(32),   Int(64),
                           UInt(4),   Int(2),    Bool(),    UInt(32),  UInt(64)};

class Generator {
 public:
  explicit Generator(uint64_t seed) : rng_(seed) {}

  Program Make() {
    Program program;
    const char* names[] = {"conv", "a program \"quoted\"\n", "for", "x"};
    program.name = Pick(rng_, names);
    const int count = static_cast<int>(rng_.Between(1, 4));
    for (int i = 0; i < count; ++i) {
      program.params.push_back(RandomBuffer(Scope::kGlobal));
      buffers_.push_back(program.params.back());
    }
    program.body = RandomStmt(4);
    return program;
  }

 private:
  // Few names, so that many nodes share one; some need repair to be printed.
  std::string Name() {
    const char* names[] = {"A", "B", "i", "i_1", "min", "x y", "", "3d", "tmp.0"};
    return Pick(rng_, names);
  }

  Buffer RandomBuffer(Scope scope) {
    auto buffer = std::make_shared<BufferNode>();
    buffer->name = Name();
    buffer->type = Pick(rng_, kTypes);
    const int rank = static_cast<int>(rng_.Between(0, 3));
    for (int i = 0; i < rank; ++i) buffer->shape.push_back(rng_.Between(1, 9));
    buffer->scope = scope;
    if (rng_.Chance(0.2)) buffer->policy = LayoutPolicy::kFree;
    if (rank > 0 && rng_.Chance(0.2)) {
      buffer->policy = LayoutPolicy::kBlocked;
      buffer->block_axis = static_cast<int>(rng_.Below(rank));
    }
    if (rank > 1 && rng_.Chance(0.4)) {
      for (int i = 0; i < rank; ++i) buffer->layout.push_back({i, 1, buffer->shape[i]});
      const auto axis = static_cast<int>(rng_.Below(rank));
      const int64_t block = rng_.Between(1, 4);
      buffer->layout[axis] = {axis, block, (buffer->shape[axis] + block - 1) / block};
      buffer->layout.push_back({axis, 1, block});
      rng_.Shuffle(absl::MakeSpan(buffer->layout));
    }
    return buffer;
  }

  // In range whatever the variables are.
  std::vector<Expr> Indices(const BufferNode& buffer, int lanes) {
    std::vector<Expr> indices;
    for (size_t i = 0; i < buffer.shape.size(); ++i) {
      // At least one vector index makes a vector access.
      const int width = i == 0 || rng_.Chance(0.3) ? lanes : 1;
      indices.push_back(RandomIndex(rng_, vars_, 2, width) %
                        MakeInt(Index().WithLanes(width), buffer.shape[i]));
    }
    return indices;
  }

  Expr Predicate(int lanes) {
    return rng_.Chance(0.2) ? RandomCondition(rng_, vars_, 1, lanes) : Expr();
  }

  Expr FloatConstant(Type type) {
    const double values[] = {0.0,  -0.0,    1.0,      0.1,       -3.5, 1e-30,    65504.0,
                             3e38, 1.0 / 3, INFINITY, -INFINITY, NAN,  0x1p-149, 0x1.fffffep-3};
    return MakeFloat(type, Pick(rng_, values));
  }

  Expr IntConstant(Type type) {
    const int64_t values[] = {0, 1, -1, 2, 7, 100, 127, -128, INT64_MAX, INT64_MIN, 1 << 20};
    return MakeInt(type, Pick(rng_, values));
  }

  Expr Value(Type type, int depth) {
    const int lanes = type.lanes;
    if (depth == 0 || rng_.Chance(0.15)) {
      if (type.is_bool() && rng_.Chance(0.5)) return RandomCondition(rng_, vars_, 1, lanes);
      return type.is_float() ? FloatConstant(type) : IntConstant(type);
    }
    switch (rng_.Below(9)) {
      case 0:
      case 1:
      case 2:
        for (const Buffer& buffer : buffers_) {
          if (buffer->type != type.Element() || (lanes > 1 && buffer->shape.empty())) continue;
          return MakeLoad(buffer, Indices(*buffer, lanes), Predicate(lanes));
        }
        [[fallthrough]];
      case 3:
        return Arithmetic(type, depth);
      case 4:
        return MakeSelect(RandomCondition(rng_, vars_, 1, rng_.Chance(0.5) ? 1 : lanes),
                          Value(type, depth - 1), Value(type, depth - 1));
      case 5: {
        const Type from = Pick(rng_, kTypes).WithLanes(lanes);
        return MakeCast(type, Value(from, depth - 1), rng_.Chance(0.5));
      }
      case 6:
        if (lanes > 1) return MakeBroadcast(Value(type.Element(), depth - 1), lanes);
        return Arithmetic(type, depth);
      case 7:
        if (type.Element() == Index()) return RandomIndex(rng_, vars_, depth, lanes);
        if (type.is_float()) {
          const char* functions[] = {"exp", "tanh", "sqrt", "abs", "floor", "erf"};
          return MakeCall(type, Pick(rng_, functions), {Value(type, depth - 1)});
        }
        if (type.is_bool()) return MakeNot(Value(type, depth - 1));
        return MakeCall(type, "abs", {Value(type, depth - 1)});
      default:
        return Arithmetic(type, depth);
    }
  }

  Expr Arithmetic(Type type, int depth) {
    const BinaryOp on_all[] = {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kMin,
                               BinaryOp::kMax};
    const BinaryOp on_integers[] = {BinaryOp::kSatAdd, BinaryOp::kSatSub, BinaryOp::kBitAnd,
                                    BinaryOp::kBitOr, BinaryOp::kBitXor};
    const Expr a = Value(type, depth - 1);
    if (type.is_float() && rng_.Chance(0.2)) {
      return MakeBinary(BinaryOp::kDiv, a, Value(type, depth - 1));
    }
    if (type.is_integer() && rng_.Chance(0.2)) {
      const int64_t divisor = type.bits > 2 ? 3 : 1;
      if (type == Int(type.bits).WithLanes(type.lanes) || divisor == 3) {
        return MakeBinary(rng_.Chance(0.5) ? BinaryOp::kDiv : BinaryOp::kMod, a,
                          MakeInt(type, divisor));
      }
    }
    if (type.is_bool()) {
      return MakeBinary(rng_.Chance(0.5) ? BinaryOp::kAnd : BinaryOp::kOr, a,
                        Value(type, depth - 1));
    }
    const BinaryOp op =
        type.is_integer() && rng_.Chance(0.4) ? Pick(rng_, on_integers) : Pick(rng_, on_all);
    return MakeBinary(op, a, Value(type, depth - 1));
  }

  Stmt RandomStore() {
    const Buffer& buffer = buffers_[rng_.Below(buffers_.size())];
    const int lanes = !buffer->shape.empty() && rng_.Chance(0.3) ? 4 : 1;
    return MakeStore(buffer, Indices(*buffer, lanes), Value(buffer->type.WithLanes(lanes), 3),
                     Predicate(lanes), rng_.Chance(0.1));
  }

  // Writes every element of `buffer`.
  Stmt Fill(const Buffer& buffer) {
    std::vector<Expr> indices;
    std::vector<VarRef> vars;
    for (size_t i = 0; i < buffer->shape.size(); ++i) {
      vars.push_back(MakeVar(Name()));
      indices.push_back(Expr(vars.back()));
    }
    Stmt stmt = MakeStore(buffer, indices, Zero(buffer->type));
    for (size_t i = vars.size(); i > 0; --i) {
      stmt = MakeFor(vars[i - 1], 0, buffer->shape[i - 1], stmt);
    }
    return stmt;
  }

  Stmt RandomStmt(int depth) {
    if (depth == 0) return RandomStore();
    switch (rng_.Below(9)) {
      case 0:
      case 1:
      case 2: {
        const LoopKind kinds[] = {LoopKind::kSerial,     LoopKind::kSerial,   LoopKind::kParallel,
                                  LoopKind::kVectorized, LoopKind::kUnrolled, LoopKind::kThread};
        // Threads of a block would race for what they share.
        const ThreadAxis axes[] = {ThreadAxis::kBlockX, ThreadAxis::kBlockY, ThreadAxis::kVirtual};
        const LoopKind kind = Pick(rng_, kinds);
        const RangedVar loop{MakeVar(Name()), rng_.Between(-3, 3), rng_.Between(1, 4)};
        vars_.push_back(loop);
        const Stmt body = RandomStmt(depth - 1);
        vars_.pop_back();
        return MakeFor(loop.var, loop.min, loop.extent, body, kind,
                       kind == LoopKind::kThread ? Pick(rng_, axes) : ThreadAxis::kNone);
      }
      case 3: {
        const Stmt then_body = RandomStmt(depth - 1);
        const Stmt else_body = rng_.Chance(0.5) ? RandomStmt(depth - 1) : Stmt();
        return MakeIf(RandomCondition(rng_, vars_, 2), then_body, else_body);
      }
      case 4: {
        const Scope scopes[] = {Scope::kWorkspace, Scope::kLocal, Scope::kShared,
                                Scope::kAcceleratorInput, Scope::kAcceleratorAccumulator};
        const Buffer buffer = RandomBuffer(Pick(rng_, scopes));
        buffers_.push_back(buffer);
        const Stmt body = RandomStmt(depth - 1);
        buffers_.pop_back();
        return MakeAllocate(buffer, MakeBlock({Fill(buffer), body}));
      }
      case 5: {
        const Buffer& buffer = buffers_[rng_.Below(buffers_.size())];
        if (buffer->layout.empty()) {
          const VarRef token = MakeVar(Name(), Token());
          const Stmt copy = MakeAsyncCopy(buffer, Expr(0), buffer, Expr(0),
                                          rng_.Between(0, buffer->ElementCount()), token);
          return MakeBlock({copy, RandomStmt(depth - 1), MakeAsyncWait(token)});
        }
        return MakeBlock({MakeBarrier(Scope::kShared), RandomStmt(depth - 1)});
      }
      case 6: {
        const Buffer& buffer = buffers_[rng_.Below(buffers_.size())];
        const Expr load = MakeLoad(buffer, Indices(*buffer, 1));
        return MakeBlock(
            {MakeEvaluate(MakeCall(Int(32), "prefetch", {load})), RandomStmt(depth - 1)});
      }
      default: {
        std::vector<Stmt> stmts;
        const int count = static_cast<int>(rng_.Between(1, 3));
        for (int i = 0; i < count; ++i) stmts.push_back(RandomStmt(depth - 1));
        return MakeBlock(std::move(stmts));
      }
    }
  }

  Rng rng_;
  std::vector<RangedVar> vars_;
  std::vector<Buffer> buffers_;
};

}  // namespace

Program RandomProgram(uint64_t seed) { return Generator(seed).Make(); }

}  // namespace tessera::ir::testing
