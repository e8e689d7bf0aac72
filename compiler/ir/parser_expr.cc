#include <charconv>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/parser.h"
#include "compiler/ir/text_names.h"

namespace tessera::ir {
namespace {

// Infix operators by level, weakest first.
struct InfixOp {
  std::string_view sign;
  BinaryOp op;
  int level;
};
constexpr InfixOp kInfix[] = {
    {"||", BinaryOp::kOr, 0}, {"&&", BinaryOp::kAnd, 1}, {"==", BinaryOp::kEq, 2},
    {"!=", BinaryOp::kNe, 2}, {"<=", BinaryOp::kLe, 2},  {"<", BinaryOp::kLt, 2},
    {"+", BinaryOp::kAdd, 3}, {"-", BinaryOp::kSub, 3},  {"*", BinaryOp::kMul, 4},
    {"/", BinaryOp::kDiv, 4}, {"%", BinaryOp::kMod, 4},
};
constexpr int kCompareLevel = 2, kLevels = 5;

constexpr BinaryOp kNamedOps[] = {
    BinaryOp::kMin,    BinaryOp::kMax,       BinaryOp::kSatAdd,
    BinaryOp::kSatSub, BinaryOp::kShiftLeft, BinaryOp::kShiftRight,
    BinaryOp::kBitAnd, BinaryOp::kBitOr,     BinaryOp::kBitXor,
};

std::optional<BinaryOp> NamedOp(std::string_view name) {
  for (const BinaryOp op : kNamedOps) {
    if (ToString(op) == name) return op;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Expr> Parser::WholeExpr() {
  TESSERA_ASSIGN_OR_RETURN(Tree tree, ParseExpr());
  if (lexer_.current().kind != TokenKind::kEnd) return lexer_.Error("expected the end");
  return tree.expr;
}

// Long chains of operators nest no brackets but make trees as high, and every walk recurses.
absl::StatusOr<Parser::Tree> Parser::Grown(Expr expr, int height) {
  constexpr int kMaxHeight = 1000;
  if (height >= kMaxHeight) {
    return lexer_.Error(absl::StrCat("an expression is higher than ", kMaxHeight, " operations"));
  }
  return Tree{std::move(expr), height + 1};
}

absl::StatusOr<Parser::Tree> Parser::Combine(BinaryOp op, const Tree& a, const Tree& b) {
  if (!BinaryTypesAgree(op, a.expr.type(), b.expr.type())) {
    return lexer_.Error(absl::StrCat("operands of type ", ToString(a.expr.type()), " and ",
                                     ToString(b.expr.type()), " do not suit ",
                                     std::string(ToString(op))));
  }
  return Grown(MakeBinary(op, a.expr, b.expr), std::max(a.height, b.height));
}

absl::StatusOr<Parser::Tree> Parser::ParseExpr() {
  TESSERA_RETURN_IF_ERROR(EnterNesting());
  auto tree = ParseLevel(0);
  LeaveNesting();
  return tree;
}

absl::StatusOr<Parser::Tree> Parser::ParseLevel(int level) {
  if (level == kLevels) return ParseUnary();
  TESSERA_ASSIGN_OR_RETURN(Tree left, ParseLevel(level + 1));
  while (lexer_.current().kind == TokenKind::kSign) {
    const InfixOp* found = nullptr;
    for (const InfixOp& infix : kInfix) {
      if (infix.level == level && infix.sign == lexer_.current().text) found = &infix;
    }
    if (found == nullptr) break;
    lexer_.Advance();
    TESSERA_ASSIGN_OR_RETURN(const Tree right, ParseLevel(level + 1));
    TESSERA_ASSIGN_OR_RETURN(left, Combine(found->op, left, right));
    if (level == kCompareLevel) break;  // comparisons do not chain
  }
  return left;
}

absl::StatusOr<Parser::Tree> Parser::ParseUnary() {
  if (!Accept("!")) return ParsePrimary();
  TESSERA_RETURN_IF_ERROR(EnterNesting());
  auto operand = ParseUnary();
  LeaveNesting();
  if (!operand.ok()) return operand;
  if (!operand->expr.type().is_bool()) {
    return lexer_.Error(
        absl::StrCat("! wants a truth value, not ", ToString(operand->expr.type())));
  }
  return Grown(MakeNot(operand->expr), operand->height);
}

absl::StatusOr<Parser::Tree> Parser::ParsePrimary() {
  const TextToken& token = lexer_.current();
  if (Accept("(")) {
    TESSERA_ASSIGN_OR_RETURN(Tree tree, ParseExpr());
    TESSERA_RETURN_IF_ERROR(Expect(")"));
    return tree;
  }
  if (Accept("-")) return ParseNumber(true);
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat || lexer_.Is("inf") ||
      lexer_.Is("nan")) {
    return ParseNumber(false);
  }
  if (Accept("true")) return Tree{MakeInt(Bool(), 1)};
  if (Accept("false")) return Tree{MakeInt(Bool(), 0)};
  if (token.kind == TokenKind::kName) return ParseNamed();
  return lexer_.Error("expected an expression");
}

absl::StatusOr<Parser::Tree> Parser::ParseNumber(bool negative) {
  const TextToken token = lexer_.current();
  const bool integer = token.kind == TokenKind::kInteger;
  const bool word = token.kind == TokenKind::kName && (token.text == "inf" || token.text == "nan");
  if (!integer && !word && token.kind != TokenKind::kFloat)
    return lexer_.Error("expected a number");
  const Lexer at_number = lexer_;
  lexer_.Advance();
  Type type = integer ? Index() : Float(32);
  if (Accept(":")) {
    TESSERA_ASSIGN_OR_RETURN(type, TakeType());
  }
  if (type.is_vector() || (integer ? !type.is_integer() : !type.is_float())) {
    return at_number.Error(absl::StrCat("a number can't have type ", ToString(type)));
  }
  const std::string_view text = token.text;
  const char *begin = text.data(), *end = begin + text.size();
  if (integer) {
    uint64_t magnitude = 0;
    const auto result = std::from_chars(begin, end, magnitude);
    const auto value = static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude);
    const bool too_big = magnitude > (uint64_t{1} << 63) - (negative ? 0 : 1);
    if (result.ec != std::errc() || result.ptr != end || too_big ||
        WrapInteger(type, value) != value) {
      return at_number.Error(absl::StrCat("the number does not fit ", ToString(type)));
    }
    return Tree{MakeInt(type, value)};
  }
  if (word) {
    const double value = text == "nan" ? std::numeric_limits<double>::quiet_NaN()
                                       : std::numeric_limits<double>::infinity();
    return Tree{MakeFloat(type, negative ? -value : value)};
  }
  double value = 0;
  std::from_chars_result result{};
  if (type.bits == 64) {
    result = std::from_chars(begin, end, value);
  } else {
    float narrow = 0;
    result = std::from_chars(begin, end, narrow);
    value = narrow;
  }
  if (result.ec != std::errc() || result.ptr != end) {
    return at_number.Error(
        absl::StrCat("the number is malformed or out of range for ", ToString(type)));
  }
  return Tree{MakeFloat(type, negative ? -value : value)};
}

absl::StatusOr<Parser::Tree> Parser::ParseNamed() {
  TESSERA_ASSIGN_OR_RETURN(const std::string name, TakeName("a name"));
  if (lexer_.Is("(")) {
    if (name == "select") return ParseSelect();
    if (name == "cast" || name == "cast_sat") return ParseCast(name == "cast_sat");
    if (name == "ramp") return ParseRamp();
    if (name == "broadcast") return ParseBroadcast();
    if (name == "call") return ParseTypedCall();
    if (const auto op = NamedOp(name)) {
      TESSERA_RETURN_IF_ERROR(Expect("("));
      TESSERA_ASSIGN_OR_RETURN(const Tree a, ParseExpr());
      TESSERA_RETURN_IF_ERROR(Expect(","));
      TESSERA_ASSIGN_OR_RETURN(const Tree b, ParseExpr());
      TESSERA_RETURN_IF_ERROR(Expect(")"));
      return Combine(*op, a, b);
    }
    return ParsePlainCall(name);
  }
  if (lexer_.Is("[")) {
    TESSERA_ASSIGN_OR_RETURN(Access access, ParseAccess(name));
    return Grown(MakeLoad(access.buffer, std::move(access.indices), access.predicate),
                 access.height);
  }
  const auto it = scope_.vars.find(name);
  if (it == scope_.vars.end()) {
    return lexer_.Error(absl::StrCat("variable \"", name.substr(0, 60), "\" is not bound here"));
  }
  return Tree{Expr(it->second)};
}

absl::StatusOr<Parser::Tree> Parser::ParseSelect() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Tree condition, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const Tree if_true, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const Tree if_false, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  const Type type = condition.expr.type(), side = if_true.expr.type();
  if (!type.is_bool() || side != if_false.expr.type() ||
      (type.lanes != 1 && type.lanes != side.lanes)) {
    return lexer_.Error(absl::StrCat("select of types ", ToString(type), ", ", ToString(side), ", ",
                                     ToString(if_false.expr.type()), " does not agree"));
  }
  return Grown(MakeSelect(condition.expr, if_true.expr, if_false.expr),
               std::max({condition.height, if_true.height, if_false.height}));
}

absl::StatusOr<Parser::Tree> Parser::ParseCast(bool saturate) {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Type type, TakeType());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const Tree value, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  const Type from = value.expr.type();
  if (from.lanes != type.lanes || from.code == TypeCode::kToken || type.code == TypeCode::kToken) {
    return lexer_.Error(absl::StrCat("cast from ", ToString(from), " to ", ToString(type)));
  }
  return Grown(MakeCast(type, value.expr, saturate), value.height);
}

absl::StatusOr<Parser::Tree> Parser::ParseRamp() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Tree base, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const int64_t stride, TakeInteger("a stride"));
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const int lanes, TakeLanes());
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  if (!base.expr.type().is_integer() || base.expr.type().is_vector()) {
    return lexer_.Error(
        absl::StrCat("a ramp starts at a scalar integer, not ", ToString(base.expr.type())));
  }
  return Grown(MakeRamp(base.expr, stride, lanes), base.height);
}

absl::StatusOr<Parser::Tree> Parser::ParseBroadcast() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Tree value, ParseExpr());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const int lanes, TakeLanes());
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  if (value.expr.type().is_vector()) return lexer_.Error("broadcast of a vector");
  return Grown(MakeBroadcast(value.expr, lanes), value.height);
}

absl::StatusOr<Parser::Tree> Parser::ParseTypedCall() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Type type, TakeType());
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(std::string name, TakeString("a function's name"));
  std::vector<Expr> args;
  int height = 1;
  while (Accept(",")) {
    TESSERA_ASSIGN_OR_RETURN(const Tree arg, ParseExpr());
    args.push_back(arg.expr);
    height = std::max(height, arg.height);
  }
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  return Grown(MakeCall(type, std::move(name), std::move(args)), height);
}

absl::StatusOr<Parser::Tree> Parser::ParsePlainCall(const std::string& name) {
  if (!IsPlainName(name)) {
    return lexer_.Error(absl::StrCat("\"", name.substr(0, 60), "\" is no function name"));
  }
  TESSERA_RETURN_IF_ERROR(Expect("("));
  std::vector<Expr> args;
  int height = 1;
  do {
    TESSERA_ASSIGN_OR_RETURN(const Tree arg, ParseExpr());
    args.push_back(arg.expr);
    height = std::max(height, arg.height);
  } while (Accept(","));
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  const Type type = args[0].type();
  return Grown(MakeCall(type, name, std::move(args)), height);
}

absl::StatusOr<Parser::Access> Parser::ParseAccess(const std::string& name) {
  Access access;
  const auto it = scope_.buffers.find(name);
  if (it == scope_.buffers.end()) {
    return lexer_.Error(absl::StrCat("buffer \"", name.substr(0, 60), "\" is not known here"));
  }
  access.buffer = it->second;
  TESSERA_RETURN_IF_ERROR(Expect("["));
  while (!lexer_.Is("]") && !lexer_.Is(";")) {
    if (!access.indices.empty()) TESSERA_RETURN_IF_ERROR(Expect(","));
    TESSERA_ASSIGN_OR_RETURN(const Tree index, ParseExpr());
    const Type type = index.expr.type();
    if (!type.is_integer() ||
        (type.is_vector() && access.lanes != 1 && access.lanes != type.lanes)) {
      return lexer_.Error(absl::StrCat("an index of type ", ToString(type), " does not suit"));
    }
    if (type.is_vector()) access.lanes = type.lanes;
    access.indices.push_back(index.expr);
    access.height = std::max(access.height, index.height);
  }
  if (Accept(";")) {
    TESSERA_ASSIGN_OR_RETURN(const Tree predicate, ParseExpr());
    if (predicate.expr.type() != Bool().WithLanes(access.lanes)) {
      return lexer_.Error(absl::StrCat("a predicate of type ", ToString(predicate.expr.type()),
                                       " where the access has ", access.lanes, " lanes"));
    }
    access.predicate = predicate.expr;
    access.height = std::max(access.height, predicate.height);
  }
  TESSERA_RETURN_IF_ERROR(Expect("]"));
  return access;
}

}  // namespace tessera::ir
