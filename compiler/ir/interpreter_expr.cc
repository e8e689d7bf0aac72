#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"

namespace tessera::ir::interpreter {
namespace {

template <typename Code>
struct ValueOf;
template <>
struct ValueOf<IntCode> {
  using type = int64_t;
};
template <>
struct ValueOf<FloatCode> {
  using type = double;
};

template <typename Base>
class Constant final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;
  explicit Constant(Value value) : value_(value) {}
  Value Run(int) override { return value_; }

 private:
  Value value_;
};

class Variable final : public IntCode {
 public:
  explicit Variable(const int64_t* slot) : slot_(slot) {}
  int64_t Run(int) override { return *slot_; }

 private:
  const int64_t* slot_;
};

// A sum of scaled variables.
class LinearCode final : public IntCode {
 public:
  static constexpr size_t kMaxTerms = 6;

  LinearCode(Machine& machine, const LinearForm& form) : constant_(form.constant) {
    for (const auto& [var, coefficient] : form.terms) {
      slots_[count_] = machine.SlotOf(var.get());
      coefficients_[count_++] = coefficient;
    }
  }
  int64_t Run(int) override {
    auto sum = static_cast<uint64_t>(constant_);
    for (size_t i = 0; i < count_; ++i) {
      sum += static_cast<uint64_t>(*slots_[i]) * static_cast<uint64_t>(coefficients_[i]);
    }
    return static_cast<int64_t>(sum);
  }

 private:
  int64_t constant_;
  size_t count_ = 0;
  std::array<const int64_t*, kMaxTerms> slots_{};
  std::array<int64_t, kMaxTerms> coefficients_{};
};

template <typename Base, typename Arg, typename F>
class Unary final : public Base {
 public:
  Unary(Arg* a, F f) : a_(a), f_(std::move(f)) {}
  typename ValueOf<Base>::type Run(int lane) override { return f_(a_->Run(lane)); }

 private:
  Arg* a_;
  F f_;
};

template <typename Base, typename Arg, typename F>
class BinaryCode final : public Base {
 public:
  BinaryCode(Arg* a, Arg* b, F f) : a_(a), b_(b), f_(std::move(f)) {}
  typename ValueOf<Base>::type Run(int lane) override {
    const auto a = a_->Run(lane);
    return f_(a, b_->Run(lane));
  }

 private:
  Arg *a_, *b_;
  F f_;
};

template <typename Base>
class Choice final : public Base {
 public:
  Choice(IntCode* condition, bool uniform, Base* a, Base* b)
      : condition_(condition), uniform_(uniform), a_(a), b_(b) {}
  typename ValueOf<Base>::type Run(int lane) override {
    return condition_->Run(uniform_ ? 0 : lane) != 0 ? a_->Run(lane) : b_->Run(lane);
  }

 private:
  IntCode* condition_;
  bool uniform_;
  Base *a_, *b_;
};

template <typename Base>
class Spread final : public Base {
 public:
  explicit Spread(Base* value) : value_(value) {}
  typename ValueOf<Base>::type Run(int) override { return value_->Run(0); }

 private:
  Base* value_;
};

// Reads an element with `Read(bytes, index)`.
template <typename Base, typename Read>
class LoadCode final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;

  LoadCode(Machine& machine, const Load& node, AddressCode* address, IntCode* predicate, Read read)
      : machine_(machine),
        node_(node),
        memory_(machine.MemoryOf(node.buffer.get())),
        address_(address),
        predicate_(predicate),
        read_(std::move(read)) {}

  Value Run(int lane) override {
    if (predicate_ && predicate_->Run(lane) == 0) return 0;
    const int64_t at = address_->Run(lane);
    if (at < 0) return 0;
    if (!memory_->written.empty() && !memory_->written[at]) [[unlikely]] {
      machine_.Fail(absl::FailedPreconditionError(absl::StrCat(
          Print(MakeLoad(node_.buffer, node_.indices)), machine_.ValuesOf(node_.indices),
          ": stored element ", at, " of ", node_.buffer->name, " is read before it is written")));
      return 0;
    }
    return read_(memory_->bytes, at);
  }

 private:
  Machine& machine_;
  const Load& node_;
  Memory* memory_;
  AddressCode* address_;
  IntCode* predicate_;
  Read read_;
};

template <typename Base, typename Arg, typename F>
Base* MakeUnary(Machine& machine, Arg* a, F f) {
  return machine.Make<Unary<Base, Arg, F>>(a, std::move(f));
}

template <typename Base, typename Arg, typename F>
Base* MakeBinaryCode(Machine& machine, Arg* a, Arg* b, F f) {
  return machine.Make<BinaryCode<Base, Arg, F>>(a, b, std::move(f));
}

template <typename Base, typename Read>
Base* MakeLoadCode(Machine& machine, const Load& node, AddressCode* address, IntCode* predicate,
                   Read read) {
  return machine.Make<LoadCode<Base, Read>>(machine, node, address, predicate, std::move(read));
}

// A group of a vector's lanes combined, first to last.
template <typename Base, typename F>
class Reduce final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;
  Reduce(Base* vector, int group, F f) : vector_(vector), group_(group), f_(std::move(f)) {}
  Value Run(int lane) override {
    const int first = lane * group_;
    Value result = vector_->Run(first);
    for (int i = 1; i < group_; ++i) result = f_(result, vector_->Run(first + i));
    return result;
  }

 private:
  Base* vector_;
  int group_;
  F f_;
};

template <typename Base, typename F>
Base* MakeReduceCode(Machine& machine, Base* vector, const Call& node, F f) {
  const int group = node.args[0].type().lanes / node.type.lanes;
  return machine.Make<Reduce<Base, F>>(vector, group, std::move(f));
}

// A value's lanes over and over.
template <typename Base>
class Repeat final : public Base {
 public:
  Repeat(Base* value, int lanes) : value_(value), lanes_(lanes) {}
  typename ValueOf<Base>::type Run(int lane) override { return value_->Run(lane % lanes_); }

 private:
  Base* value_;
  int lanes_;
};

// One lane of each value in turn.
template <typename Base>
class Interleave final : public Base {
 public:
  explicit Interleave(std::vector<Base*> values) : values_(std::move(values)) {}
  typename ValueOf<Base>::type Run(int lane) override {
    const auto count = static_cast<int>(values_.size());
    return values_[lane % count]->Run(lane / count);
  }

 private:
  std::vector<Base*> values_;
};

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
