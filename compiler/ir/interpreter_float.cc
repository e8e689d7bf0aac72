#include <cmath>

#include "absl/strings/str_cat.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter_code.h"
#include "compiler/ir/print.h"
#include "compiler/ir/tf32.h"

namespace tessera::ir::interpreter {

FloatCode* Compiler::CompileFloat(const Expr& e) {
  if (!e || !e.type().is_float()) {
    return RefuseFloat(absl::InvalidArgumentError("a float expression was expected"));
  }
  const Type type = e.type().Element();
  switch (e->kind) {
    case ExprKind::kFloatImm:
      return machine_.Make<Constant<FloatCode>>(e.As<FloatImm>()->value);
    case ExprKind::kBinary:
      return CompileFloatBinary(*e.As<Binary>());
    case ExprKind::kSelect: {
      const auto& node = *e.As<Select>();
      return machine_.Make<Choice<FloatCode>>(
          CompileInt(node.condition), !node.condition.type().is_vector(),
          CompileFloat(node.if_true), CompileFloat(node.if_false));
    }
    case ExprKind::kCast: {
      const auto& node = *e.As<Cast>();
      const Type from = node.value.type().Element();
      if (from.is_float()) {
        return MakeUnary<FloatCode>(machine_, CompileFloat(node.value),
                                    [type](double v) { return RoundFloat(type, v); });
      }
      return MakeUnary<FloatCode>(machine_, CompileInt(node.value), [type, from](int64_t v) {
        return IntegerToFloat(type, from, v);
      });
    }
    case ExprKind::kLoad: {
      const auto& node = *e.As<Load>();
      AddressCode* address = CompileAddress(node.buffer, node.indices);
      IntCode* predicate = CompilePredicate(node.predicate);
      if (type == Float(32)) {
        return MakeLoadCode<FloatCode>(
            machine_, node, address, predicate,
            [](const std::byte* bytes, int64_t at) -> double { return LoadRaw<float>(bytes, at); });
      }
      return MakeLoadCode<FloatCode>(
          machine_, node, address, predicate,
          [type](const std::byte* bytes, int64_t at) { return ReadFloat(type, bytes, at); });
    }
    case ExprKind::kBroadcast:
      return machine_.Make<Spread<FloatCode>>(CompileFloat(e.As<Broadcast>()->value));
    case ExprKind::kCall:
      return CompileFloatCall(*e.As<Call>());
    default:
      break;
  }
  return RefuseFloat(absl::InvalidArgumentError(
      absl::StrCat(Print(e), ": a float variable has no value; only loops bind variables")));
}

namespace {

// `f` in double, rounded to the type.
template <typename F>
FloatCode* MakeRounded(Machine& machine, Type type, FloatCode* a, FloatCode* b, F f) {
  if (type.bits == 64) return MakeBinaryCode<FloatCode>(machine, a, b, f);
  if (type.bits == 32) {
    return MakeBinaryCode<FloatCode>(
        machine, a, b, [f](double x, double y) -> double { return static_cast<float>(f(x, y)); });
  }
  return MakeBinaryCode<FloatCode>(
      machine, a, b, [f, type](double x, double y) { return RoundFloat(type, f(x, y)); });
}

struct MathFunction {
  std::string_view name;
  double (*function)(double);
};

constexpr MathFunction kMathFunctions[] = {
    {"exp", [](double x) { return std::exp(x); }},
    {"log", [](double x) { return std::log(x); }},
    {"sqrt", [](double x) { return std::sqrt(x); }},
    {"rsqrt", [](double x) { return 1.0 / std::sqrt(x); }},
    {"tanh", [](double x) { return std::tanh(x); }},
    {"sigmoid", [](double x) { return 1.0 / (1.0 + std::exp(-x)); }},
    {"erf", [](double x) { return std::erf(x); }},
    {"floor", [](double x) { return std::floor(x); }},
    {"ceil", [](double x) { return std::ceil(x); }},
    {"round", [](double x) { return std::nearbyint(x); }},
    {"abs", [](double x) { return std::fabs(x); }},
    {kTf32, [](double x) { return x; }},
};

}  // namespace

FloatCode* Compiler::CompileFloatBinary(const Binary& node) {
  FloatCode *a = CompileFloat(node.a), *b = CompileFloat(node.b);
  const Type type = node.type.Element();
  switch (node.op) {
    case BinaryOp::kAdd:
      return MakeRounded(machine_, type, a, b, [](double x, double y) { return x + y; });
    case BinaryOp::kSub:
      return MakeRounded(machine_, type, a, b, [](double x, double y) { return x - y; });
    case BinaryOp::kMul:
      return MakeRounded(machine_, type, a, b, [](double x, double y) { return x * y; });
    case BinaryOp::kDiv:
      return MakeRounded(machine_, type, a, b, [](double x, double y) { return x / y; });
    case BinaryOp::kMin:
      return MakeBinaryCode<FloatCode>(machine_, a, b,
                                       [](double x, double y) { return x < y ? x : y; });
    case BinaryOp::kMax:
      return MakeBinaryCode<FloatCode>(machine_, a, b,
                                       [](double x, double y) { return x > y ? x : y; });
    default:
      break;
  }
  return RefuseFloat(absl::InvalidArgumentError(absl::StrCat(
      "operation ", std::string(ToString(node.op)), " is not defined on ", ToString(type))));
}

FloatCode* Compiler::CompileFloatCall(const Call& node) {
  const Type type = node.type.Element();
  if (IsRepeat(node)) {
    return machine_.Make<Repeat<FloatCode>>(CompileFloat(node.args[0]), node.args[0].type().lanes);
  }
  if (IsInterleave(node)) {
    std::vector<FloatCode*> values;
    for (const Expr& arg : node.args) values.push_back(CompileFloat(arg));
    return machine_.Make<Interleave<FloatCode>>(std::move(values));
  }
  if (IsReduceOf(node)) {
    return MakeReduceCode(machine_, CompileFloat(node.args[0]), node,
                          [type, op = *ReduceOp(node.name)](double a, double b) {
                            if (op == BinaryOp::kAdd) return RoundFloat(type, a + b);
                            if (op == BinaryOp::kMul) return RoundFloat(type, a * b);
                            return (op == BinaryOp::kMin ? a < b : a > b) ? a : b;
                          });
  }
  const auto refuse = [&] {
    return RefuseFloat(
        absl::UnimplementedError(absl::StrCat("call of \"", node.name, "\" with ", node.args.size(),
                                              " arguments: the evaluator knows no such function")));
  };
  for (const Expr& arg : node.args) {
    if (arg.type() != node.type) return refuse();
  }
  if (node.name == "pow" && node.args.size() == 2) {
    return MakeRounded(machine_, type, CompileFloat(node.args[0]), CompileFloat(node.args[1]),
                       [](double x, double y) { return std::pow(x, y); });
  }
  for (const MathFunction& known : kMathFunctions) {
    if (known.name != node.name || node.args.size() != 1) continue;
    return MakeUnary<FloatCode>(
        machine_, CompileFloat(node.args[0]),
        [type, f = known.function](double x) { return RoundFloat(type, f(x)); });
  }
  return refuse();
}

}  // namespace tessera::ir::interpreter
