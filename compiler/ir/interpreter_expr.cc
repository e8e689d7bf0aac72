#include "absl/strings/str_cat.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter_code.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"

namespace tessera::ir::interpreter {
namespace {

// `f` on i64, or wrapped to a narrower type.
template <typename F>
IntCode* MakeWrapped(Machine& machine, Type type, IntCode* a, IntCode* b, F f) {
  if (type.bits == 64) return MakeBinaryCode<IntCode>(machine, a, b, f);
  return MakeBinaryCode<IntCode>(
      machine, a, b, [f, type](int64_t x, int64_t y) { return WrapInteger(type, f(x, y)); });
}

}  // namespace

IntCode* Compiler::RefuseInt(absl::Status status) {
  machine_.Fail(std::move(status));
  return machine_.Make<Constant<IntCode>>(0);
}

FloatCode* Compiler::RefuseFloat(absl::Status status) {
  machine_.Fail(std::move(status));
  return machine_.Make<Constant<FloatCode>>(0.0);
}

IntCode* Compiler::CompilePredicate(const Expr& predicate) {
  return predicate ? CompileInt(predicate) : nullptr;
}

IntCode* Compiler::CompileInt(const Expr& e) {
  if (!e || !e.type().is_integer()) {
    return RefuseInt(absl::InvalidArgumentError("an integer expression was expected"));
  }
  if (e->kind == ExprKind::kBinary && e.type() == Index()) {
    const auto form = AsLinear(e);
    if (form && form->terms.size() <= LinearCode::kMaxTerms) {
      return machine_.Make<LinearCode>(machine_, *form);
    }
  }
  switch (e->kind) {
    case ExprKind::kIntImm:
      return machine_.Make<Constant<IntCode>>(e.As<IntImm>()->value);
    case ExprKind::kVar:
      return machine_.Make<Variable>(machine_.SlotOf(e.As<Var>()));
    case ExprKind::kBinary:
      return CompileIntBinary(*e.As<Binary>());
    case ExprKind::kNot:
      return MakeUnary<IntCode>(machine_, CompileInt(e.As<Not>()->a),
                                [](int64_t a) -> int64_t { return a == 0; });
    case ExprKind::kSelect: {
      const auto& node = *e.As<Select>();
      return machine_.Make<Choice<IntCode>>(CompileInt(node.condition),
                                            !node.condition.type().is_vector(),
                                            CompileInt(node.if_true), CompileInt(node.if_false));
    }
    case ExprKind::kCast:
      return CompileIntCast(*e.As<Cast>());
    case ExprKind::kLoad: {
      const auto& node = *e.As<Load>();
      const Type type = node.buffer->type;
      AddressCode* address = CompileAddress(node.buffer, node.indices);
      IntCode* predicate = CompilePredicate(node.predicate);
      return MakeLoadCode<IntCode>(
          machine_, node, address, predicate,
          [type](const std::byte* bytes, int64_t at) { return ReadInteger(type, bytes, at); });
    }
    case ExprKind::kRamp: {
      const auto& node = *e.As<Ramp>();
      IntCode* base = machine_.Make<Spread<IntCode>>(CompileInt(node.base));
      class Steps final : public IntCode {
       public:
        Steps(IntCode* base, int64_t stride, Type type)
            : base_(base), stride_(stride), type_(type) {}
        int64_t Run(int lane) override {
          return WrapInteger(type_, WrappingAdd(base_->Run(0), WrappingMul(stride_, lane)));
        }

       private:
        IntCode* base_;
        int64_t stride_;
        Type type_;
      };
      return machine_.Make<Steps>(base, node.stride, node.type.Element());
    }
    case ExprKind::kBroadcast:
      return machine_.Make<Spread<IntCode>>(CompileInt(e.As<Broadcast>()->value));
    case ExprKind::kCall:
      return CompileIntCall(*e.As<Call>());
    case ExprKind::kFloatImm:
      break;
  }
  return RefuseInt(absl::InternalError("a float constant of integer type"));
}

IntCode* Compiler::CompileIntBinary(const Binary& node) {
  const bool compares = node.op == BinaryOp::kEq || node.op == BinaryOp::kNe ||
                        node.op == BinaryOp::kLt || node.op == BinaryOp::kLe;
  if (compares) return CompileCompare(node);
  IntCode *a = CompileInt(node.a), *b = CompileInt(node.b);
  const Type type = node.type.Element();
  const bool wide_unsigned = type.code == TypeCode::kUInt && type.bits == 64;
  Machine* machine = &machine_;
  const auto fail = [machine, &node](std::string_view why) -> int64_t {
    machine->Fail(absl::InvalidArgumentError(
        absl::StrCat(Print(node.a), " ", std::string(ToString(node.op)), " ", Print(node.b),
                     machine->ValuesOf({node.a, node.b}), ": ", std::string(why))));
    return 0;
  };
  switch (node.op) {
    case BinaryOp::kAdd:
      return MakeWrapped(machine_, type, a, b, WrappingAdd);
    case BinaryOp::kSub:
      return MakeWrapped(machine_, type, a, b, WrappingSub);
    case BinaryOp::kMul:
      return MakeWrapped(machine_, type, a, b, WrappingMul);
    case BinaryOp::kDiv:
      return MakeWrapped(machine_, type, a, b, [=](int64_t x, int64_t y) -> int64_t {
        if (y == 0) return fail("division by zero");
        if (wide_unsigned) return static_cast<uint64_t>(x) / static_cast<uint64_t>(y);
        return FloorDiv(x, y);
      });
    case BinaryOp::kMod:
      return MakeWrapped(machine_, type, a, b, [=](int64_t x, int64_t y) -> int64_t {
        if (y == 0) return fail("division by zero");
        if (wide_unsigned) return static_cast<uint64_t>(x) % static_cast<uint64_t>(y);
        return FloorMod(x, y);
      });
    case BinaryOp::kMin:
      return MakeBinaryCode<IntCode>(
          machine_, a, b, [type](int64_t x, int64_t y) { return IntegerLess(type, x, y) ? x : y; });
    case BinaryOp::kMax:
      return MakeBinaryCode<IntCode>(
          machine_, a, b, [type](int64_t x, int64_t y) { return IntegerLess(type, x, y) ? y : x; });
    case BinaryOp::kSatAdd:
      return MakeBinaryCode<IntCode>(
          machine_, a, b, [type](int64_t x, int64_t y) { return SaturatingAdd(type, x, y); });
    case BinaryOp::kSatSub:
      return MakeBinaryCode<IntCode>(
          machine_, a, b, [type](int64_t x, int64_t y) { return SaturatingSub(type, x, y); });
    case BinaryOp::kShiftLeft:
      return MakeWrapped(machine_, type, a, b, [=](int64_t x, int64_t y) -> int64_t {
        if (y < 0 || y >= type.bits) return fail("shift by less than zero or by the width or more");
        return static_cast<int64_t>(static_cast<uint64_t>(x) << y);
      });
    case BinaryOp::kShiftRight:
      return MakeWrapped(machine_, type, a, b, [=](int64_t x, int64_t y) -> int64_t {
        if (y < 0 || y >= type.bits) return fail("shift by less than zero or by the width or more");
        return wide_unsigned ? static_cast<int64_t>(static_cast<uint64_t>(x) >> y) : x >> y;
      });
    case BinaryOp::kBitAnd:
    case BinaryOp::kAnd:
      return MakeBinaryCode<IntCode>(machine_, a, b, [](int64_t x, int64_t y) { return x & y; });
    case BinaryOp::kBitOr:
    case BinaryOp::kOr:
      return MakeBinaryCode<IntCode>(machine_, a, b, [](int64_t x, int64_t y) { return x | y; });
    case BinaryOp::kBitXor:
      return MakeBinaryCode<IntCode>(machine_, a, b, [](int64_t x, int64_t y) { return x ^ y; });
    default:
      break;
  }
  return RefuseInt(absl::InternalError("an unknown integer operation"));
}

IntCode* Compiler::CompileCompare(const Binary& node) {
  if (node.a.type().is_float()) {
    FloatCode *a = CompileFloat(node.a), *b = CompileFloat(node.b);
    switch (node.op) {
      case BinaryOp::kEq:
        return MakeBinaryCode<IntCode>(machine_, a, b,
                                       [](double x, double y) -> int64_t { return x == y; });
      case BinaryOp::kNe:
        return MakeBinaryCode<IntCode>(machine_, a, b,
                                       [](double x, double y) -> int64_t { return x != y; });
      case BinaryOp::kLt:
        return MakeBinaryCode<IntCode>(machine_, a, b,
                                       [](double x, double y) -> int64_t { return x < y; });
      default:
        return MakeBinaryCode<IntCode>(machine_, a, b,
                                       [](double x, double y) -> int64_t { return x <= y; });
    }
  }
  IntCode *a = CompileInt(node.a), *b = CompileInt(node.b);
  const Type type = node.a.type();
  switch (node.op) {
    case BinaryOp::kEq:
      return MakeBinaryCode<IntCode>(machine_, a, b,
                                     [](int64_t x, int64_t y) -> int64_t { return x == y; });
    case BinaryOp::kNe:
      return MakeBinaryCode<IntCode>(machine_, a, b,
                                     [](int64_t x, int64_t y) -> int64_t { return x != y; });
    case BinaryOp::kLt:
      return MakeBinaryCode<IntCode>(machine_, a, b, [type](int64_t x, int64_t y) -> int64_t {
        return IntegerLess(type, x, y);
      });
    default:
      return MakeBinaryCode<IntCode>(machine_, a, b, [type](int64_t x, int64_t y) -> int64_t {
        return !IntegerLess(type, y, x);
      });
  }
}

IntCode* Compiler::CompileIntCast(const Cast& node) {
  const Type to = node.type.Element(), from = node.value.type().Element();
  const bool saturate = node.saturate;
  if (from.is_float()) {
    return MakeUnary<IntCode>(machine_, CompileFloat(node.value),
                              [to, saturate](double v) { return FloatToInteger(to, v, saturate); });
  }
  return MakeUnary<IntCode>(machine_, CompileInt(node.value), [to, from, saturate](int64_t v) {
    return IntegerToInteger(to, from, v, saturate);
  });
}

IntCode* Compiler::CompileIntCall(const Call& node) {
  const bool same = !node.args.empty() && node.args[0].type() == node.type;
  if (node.name == "abs" && node.args.size() == 1 && same) {
    const Type type = node.type.Element();
    return MakeUnary<IntCode>(machine_, CompileInt(node.args[0]), [type](int64_t v) {
      return type.code == TypeCode::kInt && v < 0 ? WrapInteger(type, WrappingSub(0, v)) : v;
    });
  }
  if (IsRepeat(node)) {
    return machine_.Make<Repeat<IntCode>>(CompileInt(node.args[0]), node.args[0].type().lanes);
  }
  if (IsInterleave(node)) {
    std::vector<IntCode*> values;
    for (const Expr& arg : node.args) values.push_back(CompileInt(arg));
    return machine_.Make<Interleave<IntCode>>(std::move(values));
  }
  if (IsReduceOf(node)) {
    const Type type = node.type.Element();
    return MakeReduceCode(machine_, CompileInt(node.args[0]), node,
                          [type, op = *ReduceOp(node.name)](int64_t a, int64_t b) -> int64_t {
                            if (op == BinaryOp::kAdd) return WrapInteger(type, WrappingAdd(a, b));
                            if (op == BinaryOp::kMul) return WrapInteger(type, WrappingMul(a, b));
                            return IntegerLess(type, a, b) == (op == BinaryOp::kMin) ? a : b;
                          });
  }
  return RefuseInt(absl::UnimplementedError(
      absl::StrCat("call of \"", node.name, "\": the evaluator knows no such integer function")));
}

}  // namespace tessera::ir::interpreter
