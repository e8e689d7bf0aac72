#include "compiler/ir/verify.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/convolution_call.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/ir/print.h"
#include "compiler/ir/rewriter.h"
#include "compiler/ir/threads.h"
#include "compiler/ir/witness.h"

namespace tessera::ir {
namespace {

class Verifier {
 public:
  absl::Status Run(const Program& program) {
    for (const Buffer& param : program.params) {
      TESSERA_RETURN_IF_ERROR(Declare(*param));
    }
    return Annotate(Check(program.body), program.name);
  }

 private:
  // --- Faults.

  absl::Status Fault(const std::string& why) const {
    constexpr size_t kMaxText = 400;
    std::string where = statement_ ? Print(statement_) : "";
    if (where.size() > kMaxText) where = absl::StrCat(where.substr(0, kMaxText), "…");
    while (!where.empty() && where.back() == '\n') where.pop_back();
    return absl::InvalidArgumentError(absl::StrCat(why, " in\n", where));
  }

  // --- Declarations.

  absl::Status Declare(const BufferNode& buffer) {
    if (!buffers_.insert(&buffer).second) {
      return Fault(absl::StrCat("buffer ", buffer.name, " is declared again where it exists"));
    }
    for (int64_t extent : buffer.shape) {
      if (extent < 1) {
        return Fault(absl::StrCat("buffer ", buffer.name, ": extent ", extent, " is not positive"));
      }
    }
    if (buffer.type.is_vector() || buffer.type.code == TypeCode::kToken) {
      return Fault(absl::StrCat("buffer ", buffer.name, " can't hold ", ToString(buffer.type)));
    }
    if (buffer.layout.empty()) return absl::OkStatus();
    const auto layout = ParseLayout(LayoutToString(buffer.layout, buffer.shape), buffer.shape);
    if (!layout.ok()) return Annotate(layout.status(), absl::StrCat("buffer ", buffer.name));
    return absl::OkStatus();
  }

  // --- Statements.

  absl::Status Check(const Stmt& s) {
    if (!s) return absl::OkStatus();
    switch (s->kind) {
      case StmtKind::kFor:
        return CheckFor(s, *s.As<For>());
      case StmtKind::kBlock:
        for (const Stmt& part : s.As<Block>()->stmts) TESSERA_RETURN_IF_ERROR(Check(part));
        return absl::OkStatus();
      case StmtKind::kStore:
        return CheckStore(s, *s.As<Store>());
      case StmtKind::kIf:
        return CheckIf(s, *s.As<If>());
      case StmtKind::kAllocate: {
        const auto& node = *s.As<Allocate>();
        statement_ = s;
        if (node.buffer->scope == Scope::kGlobal) {
          return Fault(absl::StrCat("allocate ", node.buffer->name, " in scope global"));
        }
        TESSERA_RETURN_IF_ERROR(Declare(*node.buffer));
        TESSERA_RETURN_IF_ERROR(Check(node.body));
        buffers_.erase(node.buffer.get());
        return absl::OkStatus();
      }
      case StmtKind::kEvaluate:
        statement_ = s;
        TESSERA_RETURN_IF_ERROR(CheckExpr(s.As<Evaluate>()->value));
        TESSERA_RETURN_IF_ERROR(CheckConvolutionCall(s.As<Evaluate>()->value));
        return CheckMatrixCall(s.As<Evaluate>()->value);
      case StmtKind::kBarrier:
        statement_ = s;
        return is_divided_ ? Fault("a barrier that some threads of a block may not reach")
                           : absl::OkStatus();
      case StmtKind::kAsyncCopy:
        return CheckAsyncCopy(s, *s.As<AsyncCopy>());
      case StmtKind::kAsyncWait:
        statement_ = s;
        if (!tokens_.contains(s.As<AsyncWait>()->token.get())) {
          return Fault("wait for a token that no asynchronous copy before it makes");
        }
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  absl::Status CheckFor(const Stmt& s, const For& node) {
    statement_ = s;
    int64_t end;
    if (node.extent < 1 || __builtin_add_overflow(node.min, node.extent, &end)) {
      return Fault(absl::StrCat("loop ", node.var->name, ": extent ", node.extent,
                                " is not positive or leaves 64 bits"));
    }
    if (!node.var->type.is_integer() || node.var->type.is_vector()) {
      return Fault(absl::StrCat("loop ", node.var->name, " has type ", ToString(node.var->type)));
    }
    if (!vars_.insert(node.var.get()).second) {
      return Fault(absl::StrCat("variable ", node.var->name, " is bound again inside its loop"));
    }
    const size_t mark = known_.Mark();
    known_.Bind(node.var.get(), {node.min, node.min + node.extent - 1},
                static_cast<int>(place_.loops.size()));
    place_.loops.push_back({node.var.get(), node.min, node.extent});
    if (IsThreadAxis(node.thread_axis)) threads_.insert(node.var.get());
    absl::Status status = Check(node.body);
    place_.loops.pop_back();
    known_.Rewind(mark);
    vars_.erase(node.var.get());
    return status;
  }

  absl::Status CheckIf(const Stmt& s, const If& node) {
    statement_ = s;
    TESSERA_RETURN_IF_ERROR(CheckExpr(node.condition));
    if (node.condition.type() != Bool()) {
      return Fault(absl::StrCat("a condition of type ", ToString(node.condition.type())));
    }
    const bool was_divided = is_divided_;
    is_divided_ |= Divides(node.condition);
    TESSERA_RETURN_IF_ERROR(Under(node.condition, true, [&] { return Check(node.then_body); }));
    TESSERA_RETURN_IF_ERROR(Under(node.condition, false, [&] { return Check(node.else_body); }));
    is_divided_ = was_divided;
    return absl::OkStatus();
  }

  // Whether threads of a block may find a condition to be different.
  bool Divides(const Expr& condition) const {
    bool divides = ReadsMemory(condition);
    ForEach<Var>(condition, [&](const Var& var) { divides |= threads_.contains(&var); });
    return divides && !threads_.empty();
  }

  absl::Status CheckStore(const Stmt& s, const Store& node) {
    statement_ = s;
    TESSERA_RETURN_IF_ERROR(CheckPredicate(node.predicate));
    return Under(node.predicate, true, [&] {
      TESSERA_RETURN_IF_ERROR(CheckExpr(node.value));
      if (node.value.type().Element() != node.buffer->type) {
        return Fault(absl::StrCat("a value of type ", ToString(node.value.type()),
                                  " stored to elements of ", ToString(node.buffer->type)));
      }
      return CheckAccess(node.buffer, node.indices, node.value.type().lanes, node.predicate);
    });
  }

  absl::Status CheckAsyncCopy(const Stmt& s, const AsyncCopy& node) {
    statement_ = s;
    tokens_.insert(node.token.get());
    if (node.elements < 0) return Fault("a copy of a negative number of elements");
    for (const auto& [buffer, index] :
         {std::pair(node.to, node.to_index), std::pair(node.from, node.from_index)}) {
      TESSERA_RETURN_IF_ERROR(CheckUse(buffer));
      TESSERA_RETURN_IF_ERROR(CheckExpr(index));
      if (node.elements == 0) continue;
      TESSERA_RETURN_IF_ERROR(
          CheckRange(buffer, index, buffer->StoredElementCount() - node.elements));
    }
    return absl::OkStatus();
  }

  // --- Conditions in force. An empty condition is true.

  template <typename F>
  absl::Status Under(const Expr& condition, bool holds, F check) {
    if (!condition) return check();
    const bool unreachable_before = unreachable_;
    const size_t mark = known_.Mark();
    place_.conditions.push_back({condition, holds});
    if (!rewriter_.Assume(condition, holds)) unreachable_ = true;
    absl::Status status = check();
    place_.conditions.pop_back();
    known_.Rewind(mark);
    unreachable_ = unreachable_before;
    return status;
  }

  // --- Accesses.

  absl::Status CheckUse(const Buffer& buffer) {
    if (buffers_.contains(buffer.get())) return absl::OkStatus();
    return Fault(absl::StrCat("buffer ", buffer->name,
                              " is neither a parameter nor allocated around its use"));
  }

  absl::Status CheckPredicate(const Expr& predicate) {
    if (!predicate) return absl::OkStatus();
    TESSERA_RETURN_IF_ERROR(CheckExpr(predicate));
    if (predicate.type().is_bool()) return absl::OkStatus();
    return Fault(absl::StrCat("a predicate of type ", ToString(predicate.type())));
  }

  absl::Status CheckAccess(const Buffer& buffer, const std::vector<Expr>& indices, int lanes,
                           const Expr& predicate) {
    TESSERA_RETURN_IF_ERROR(CheckUse(buffer));
    const bool flat = indices.size() == 1 && IndexIsStoredPosition(*buffer);
    if (!flat && indices.size() != buffer->shape.size()) {
      return Fault(absl::StrCat("buffer ", buffer->name, " of ", buffer->shape.size(),
                                " dimensions has ", indices.size(), " indices"));
    }
    int index_lanes = 1;
    for (size_t i = 0; i < indices.size(); ++i) {
      const Expr& index = indices[i];
      TESSERA_RETURN_IF_ERROR(CheckExpr(index));
      const Type type = index.type();
      if (!type.is_integer() || (type.is_vector() && type.lanes != lanes)) {
        return Fault(absl::StrCat("an index of type ", ToString(type), " in an access of ", lanes,
                                  " lanes"));
      }
      index_lanes = std::max<int>(index_lanes, type.lanes);
      const int64_t extent = flat ? buffer->StoredElementCount() : buffer->shape[i];
      TESSERA_RETURN_IF_ERROR(CheckRange(buffer, index, extent - 1));
    }
    if (index_lanes != lanes || (predicate && predicate.type().lanes != lanes)) {
      return Fault(absl::StrCat("an access of ", lanes, " lanes with indices of ", index_lanes));
    }
    return absl::OkStatus();
  }

  // 0 <= index <= last. Interval arithmetic settles nearly all; what it can't is refused only with
  // a place where it goes wrong.
  absl::Status CheckRange(const Buffer& buffer, const Expr& index, int64_t last) {
    if (unreachable_) return absl::OkStatus();
    const std::optional<Interval> range = rewriter_.RangeOf(index);
    if (!range || (range->min >= 0 && range->max <= last)) return absl::OkStatus();
    const std::optional<std::string> witness = FindOutside(place_, index, last);
    if (!witness) return absl::OkStatus();
    return Fault(absl::StrCat("index ", Print(index), " of ", buffer->name, " leaves 0..", last,
                              " at ", *witness));
  }

  // --- Expressions.

  absl::Status CheckExpr(const Expr& e) {
    if (!e) return Fault("an expression is missing");
    switch (e->kind) {
      case ExprKind::kIntImm:
        return e.type().is_integer() && !e.type().is_vector()
                   ? absl::OkStatus()
                   : Fault(absl::StrCat("an integer constant of type ", ToString(e.type())));
      case ExprKind::kFloatImm:
        return e.type().is_float() && !e.type().is_vector()
                   ? absl::OkStatus()
                   : Fault(absl::StrCat("a float constant of type ", ToString(e.type())));
      case ExprKind::kVar:
        if (vars_.contains(e.As<Var>())) return absl::OkStatus();
        return Fault(absl::StrCat("variable ", e.As<Var>()->name, " is not bound here"));
      case ExprKind::kBinary:
        return CheckBinary(*e.As<Binary>());
      case ExprKind::kNot:
        TESSERA_RETURN_IF_ERROR(CheckExpr(e.As<Not>()->a));
        return e.type().is_bool() ? absl::OkStatus() : Fault("! of no truth value");
      case ExprKind::kSelect:
        return CheckSelect(*e.As<Select>());
      case ExprKind::kCast: {
        const auto& node = *e.As<Cast>();
        TESSERA_RETURN_IF_ERROR(CheckExpr(node.value));
        if (node.value.type().lanes == node.type.lanes) return absl::OkStatus();
        return Fault(
            absl::StrCat("cast from ", ToString(node.value.type()), " to ", ToString(node.type)));
      }
      case ExprKind::kLoad: {
        const auto& node = *e.As<Load>();
        TESSERA_RETURN_IF_ERROR(CheckPredicate(node.predicate));
        if (node.type.Element() != node.buffer->type) {
          return Fault(absl::StrCat("a load of ", ToString(node.type), " from ",
                                    ToString(node.buffer->type)));
        }
        return Under(node.predicate, true, [&] {
          return CheckAccess(node.buffer, node.indices, node.type.lanes, node.predicate);
        });
      }
      case ExprKind::kRamp: {
        const auto& node = *e.As<Ramp>();
        TESSERA_RETURN_IF_ERROR(CheckExpr(node.base));
        if (node.base.type().is_integer() && !node.base.type().is_vector()) return absl::OkStatus();
        return Fault(absl::StrCat("a ramp from ", ToString(node.base.type())));
      }
      case ExprKind::kBroadcast:
        TESSERA_RETURN_IF_ERROR(CheckExpr(e.As<Broadcast>()->value));
        if (!e.As<Broadcast>()->value.type().is_vector()) return absl::OkStatus();
        return Fault("a broadcast of a vector");
      case ExprKind::kCall:
        // A prefetch may point anywhere.
        if (e.As<Call>()->name == "prefetch") return absl::OkStatus();
        for (const Expr& arg : e.As<Call>()->args) TESSERA_RETURN_IF_ERROR(CheckExpr(arg));
        return CheckLaneCall(*e.As<Call>());
    }
    return absl::OkStatus();
  }

  absl::Status CheckBinary(const Binary& node) {
    TESSERA_RETURN_IF_ERROR(CheckExpr(node.a));
    TESSERA_RETURN_IF_ERROR(CheckExpr(node.b));
    if (!BinaryTypesAgree(node.op, node.a.type(), node.b.type()) ||
        node.type.lanes != node.a.type().lanes) {
      return Fault(absl::StrCat("operands of ", std::string(ToString(node.op)), " have types ",
                                ToString(node.a.type()), " and ", ToString(node.b.type())));
    }
    const bool divides = node.op == BinaryOp::kDiv || node.op == BinaryOp::kMod;
    const int64_t* divisor = divides ? AsConstInt(node.b) : nullptr;
    return divisor && *divisor == 0 ? Fault("division by the constant 0") : absl::OkStatus();
  }

  // One of another form would be evaluated as if it stored nothing.
  absl::Status CheckMatrixCall(const Expr& e) {
    const auto* call = e.As<Call>();
    if (call == nullptr || !IsMatrixCallName(call->name)) return absl::OkStatus();
    const std::optional<MatrixCall> product = AsMatrixCall(e);
    if (product && std::min({product->rows, product->columns, product->terms}) >= 1 &&
        product->a_stride >= (product->transposes_a ? product->rows : product->terms) &&
        product->b_stride >= (product->transposes_b ? product->terms : product->columns) &&
        product->c_stride >= product->columns) {
      return absl::OkStatus();
    }
    return Fault(absl::StrCat(call->name,
                              " takes three loads of types that it multiplies and eight numbers: "
                              "rows, columns, terms, what is transposed, and strides that hold a "
                              "row"));
  }

  absl::Status CheckConvolutionCall(const Expr& e) {
    const auto* call = e.As<Call>();
    if (call == nullptr || !IsConvolutionCallName(call->name)) return absl::OkStatus();
    if (AsConvolutionCall(e)) return absl::OkStatus();
    return Fault(absl::StrCat(call->name,
                              " takes three loads of f32 and fourteen numbers: form, block, "
                              "channels, height and width of data, the same of the result, and "
                              "kernel, stride and dilation of rows and columns, which fit"));
  }

  absl::Status CheckLaneCall(const Call& node) {
    if (ReduceOp(node.name) && !IsReduceOf(node)) {
      return Fault(absl::StrCat(node.name, " of ", node.args.size(), " arguments for a ",
                                ToString(node.type),
                                "; it combines the lanes of one vector of that element type, in "
                                "equal groups"));
    }
    if ((IsMatrixCallName(node.name) || IsConvolutionCallName(node.name)) &&
        !statement_.As<Evaluate>()) {
      return Fault(absl::StrCat(node.name, " inside of an expression; it has no value"));
    }
    if (node.name == "repeat" && !IsRepeat(node)) {
      return Fault(absl::StrCat("repeat of ", node.args.size(), " arguments for a ",
                                ToString(node.type),
                                "; it repeats all lanes of one value of that element type"));
    }
    if (node.name == "interleave" && !IsInterleave(node)) {
      return Fault(absl::StrCat("interleave of ", node.args.size(), " arguments for a ",
                                ToString(node.type),
                                "; it takes the lanes of two or four values of one type in turn"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckSelect(const Select& node) {
    TESSERA_RETURN_IF_ERROR(CheckExpr(node.condition));
    TESSERA_RETURN_IF_ERROR(Under(node.condition, true, [&] { return CheckExpr(node.if_true); }));
    TESSERA_RETURN_IF_ERROR(Under(node.condition, false, [&] { return CheckExpr(node.if_false); }));
    const Type condition = node.condition.type();
    const bool agree = node.if_true.type() == node.type && node.if_false.type() == node.type &&
                       condition.is_bool() &&
                       (condition.lanes == 1 || condition.lanes == node.type.lanes);
    return agree ? absl::OkStatus()
                 : Fault(absl::StrCat("select of types ", ToString(condition), ", ",
                                      ToString(node.if_true.type()), ", ",
                                      ToString(node.if_false.type())));
  }

  absl::flat_hash_set<const BufferNode*> buffers_;
  absl::flat_hash_set<const Var*> vars_, tokens_, threads_;
  Knowledge known_{nullptr};
  Rewriter rewriter_{known_};
  Place place_;
  Stmt statement_;
  bool unreachable_ = false;
  bool is_divided_ = false;  // not all threads of a block may be here
};

}  // namespace

absl::Status Verify(const Program& program) { return Verifier().Run(program); }

}  // namespace tessera::ir
