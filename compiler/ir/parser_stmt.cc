#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/parser.h"
#include "compiler/ir/text_names.h"

namespace tessera::ir {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;

constexpr Scope kScopes[] = {Scope::kGlobal,
                             Scope::kWorkspace,
                             Scope::kLocal,
                             Scope::kShared,
                             Scope::kAcceleratorInput,
                             Scope::kAcceleratorWeight,
                             Scope::kAcceleratorAccumulator};
constexpr LoopKind kLoopKinds[] = {LoopKind::kSerial, LoopKind::kParallel, LoopKind::kVectorized,
                                   LoopKind::kUnrolled, LoopKind::kThread};
constexpr ThreadAxis kThreadAxes[] = {
    ThreadAxis::kNone,    ThreadAxis::kBlockX,  ThreadAxis::kBlockY,  ThreadAxis::kBlockZ,
    ThreadAxis::kThreadX, ThreadAxis::kThreadY, ThreadAxis::kThreadZ, ThreadAxis::kVirtual};

// The product of positive factors, or -1 above kMaxElements.
int64_t BoundedProduct(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) || product > kMaxElements ? -1 : product;
}

std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

absl::StatusOr<Program> Parser::WholeProgram() {
  Program program;
  TESSERA_RETURN_IF_ERROR(Expect("program"));
  if (lexer_.current().kind == TokenKind::kString) {
    TESSERA_ASSIGN_OR_RETURN(program.name, TakeString("a program's name"));
  } else {
    TESSERA_ASSIGN_OR_RETURN(program.name, TakeName("a program's name"));
  }
  TESSERA_RETURN_IF_ERROR(Expect("("));
  while (!lexer_.Is(")")) {
    if (!program.params.empty()) TESSERA_RETURN_IF_ERROR(Expect(","));
    TESSERA_ASSIGN_OR_RETURN(Buffer param, ParseBuffer());
    scope_.buffers[param->name] = param;
    program.params.push_back(std::move(param));
  }
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  TESSERA_ASSIGN_OR_RETURN(program.body, ParseBody());
  if (lexer_.current().kind != TokenKind::kEnd) return lexer_.Error("expected the end");
  return program;
}

absl::StatusOr<Scope> Parser::ParseScopeName() {
  for (const Scope scope : kScopes) {
    if (Accept(ToString(scope))) return scope;
  }
  return lexer_.Error("expected a storage scope");
}

absl::Status Parser::CheckNewBuffer(const std::string& name) {
  if (!IsPlainName(name)) {
    return lexer_.Error(absl::StrCat("\"", name.substr(0, 60), "\" can't name a buffer"));
  }
  if (scope_.buffers.contains(name)) {
    return lexer_.Error(absl::StrCat("buffer \"", name, "\" exists here already"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Buffer> Parser::ParseBuffer() {
  auto buffer = std::make_shared<BufferNode>();
  TESSERA_ASSIGN_OR_RETURN(buffer->name, TakeName("a buffer's name"));
  TESSERA_RETURN_IF_ERROR(CheckNewBuffer(buffer->name));
  TESSERA_RETURN_IF_ERROR(Expect(":"));
  TESSERA_ASSIGN_OR_RETURN(buffer->type, TakeType());
  if (buffer->type.is_vector() || buffer->type.code == TypeCode::kToken) {
    return lexer_.Error(absl::StrCat("a buffer can't hold ", ToString(buffer->type)));
  }
  TESSERA_RETURN_IF_ERROR(Expect("["));
  int64_t elements = 1;
  while (!lexer_.Is("]")) {
    if (!buffer->shape.empty()) TESSERA_RETURN_IF_ERROR(Expect(","));
    TESSERA_ASSIGN_OR_RETURN(const int64_t extent, TakeInteger("an extent"));
    if (extent < 1 || buffer->shape.size() >= 32 ||
        (elements = BoundedProduct(elements, extent)) < 0) {
      return lexer_.Error(absl::StrCat(
          "extent ", extent, ": extents are positive, at most 32, and hold at most 2^40 elements"));
    }
    buffer->shape.push_back(extent);
  }
  TESSERA_RETURN_IF_ERROR(Expect("]"));
  const TextToken& token = lexer_.current();
  if (token.kind == TokenKind::kName && !lexer_.Is("through") && !lexer_.Is("free") &&
      !lexer_.Is("blocked") && !lexer_.Is("layout")) {
    TESSERA_ASSIGN_OR_RETURN(buffer->scope, ParseScopeName());
  }
  if (buffer->scope == Scope::kShared) buffer->is_doubled = Accept("doubled");
  if (buffer->scope == Scope::kGlobal && Accept("through")) {
    TESSERA_ASSIGN_OR_RETURN(const std::string path, TakeName("constant or image"));
    const std::optional<ReadPath> named = ReadPathNamed(path);
    if (!named || *named == ReadPath::kPlain) {
      return lexer_.Error("expected \"constant\" or \"image\"");
    }
    buffer->read_path = *named;
  }
  if (Accept("free")) {
    buffer->policy = LayoutPolicy::kFree;
  } else if (Accept("blocked")) {
    buffer->policy = LayoutPolicy::kBlocked;
    TESSERA_RETURN_IF_ERROR(Expect("("));
    TESSERA_ASSIGN_OR_RETURN(const int64_t axis, TakeInteger("an axis"));
    if (axis < 0 || axis >= static_cast<int64_t>(buffer->shape.size())) {
      return lexer_.Error(
          absl::StrCat("blocked axis ", axis, " of ", buffer->shape.size(), " axes"));
    }
    buffer->block_axis = static_cast<int>(axis);
    TESSERA_RETURN_IF_ERROR(Expect(")"));
  }
  if (Accept("layout")) {
    TESSERA_ASSIGN_OR_RETURN(const std::string text, TakeString("a layout"));
    auto layout = ParseLayout(text, buffer->shape);
    if (!layout.ok()) return lexer_.Error(MessageOf(layout.status()));
    int64_t stored = 1;
    for (const LayoutDim& dim : *layout) {
      if ((stored = BoundedProduct(stored, dim.extent)) < 0) {
        return lexer_.Error("the layout holds over 2^40 elements");
      }
    }
    buffer->layout = *std::move(layout);
  }
  return Buffer(std::move(buffer));
}

absl::StatusOr<Stmt> Parser::ParseBody() {
  TESSERA_RETURN_IF_ERROR(EnterNesting());
  TESSERA_RETURN_IF_ERROR(Expect("{"));
  std::vector<Stmt> stmts;
  while (!Accept("}")) {
    TESSERA_ASSIGN_OR_RETURN(Stmt stmt, ParseStmt());
    stmts.push_back(std::move(stmt));
  }
  LeaveNesting();
  return MakeBlock(std::move(stmts));
}

absl::StatusOr<Stmt> Parser::ParseStmt() {
  if (Accept("for")) return ParseFor();
  if (Accept("if")) return ParseIf();
  if (Accept("allocate")) return ParseAllocate();
  if (Accept("stream")) return ParseStore(true);
  if (Accept("async_copy")) return ParseAsyncCopy();
  if (Accept("async_wait")) return ParseAsyncWait();
  if (Accept("barrier")) return ParseBarrier();
  if (Accept("eval")) {
    TESSERA_ASSIGN_OR_RETURN(const Tree value, ParseExpr());
    return MakeEvaluate(value.expr);
  }
  if (lexer_.current().kind == TokenKind::kName) return ParseStore(false);
  return lexer_.Error("expected a statement or }");
}

absl::StatusOr<Stmt> Parser::ParseFor() {
  TESSERA_ASSIGN_OR_RETURN(const std::string name, TakeName("a variable's name"));
  if (!IsPlainName(name)) {
    return lexer_.Error(absl::StrCat("\"", name.substr(0, 60), "\" can't name a variable"));
  }
  if (scope_.vars.contains(name)) {
    return lexer_.Error(absl::StrCat("variable \"", name, "\" is bound here already"));
  }
  Type type = Index();
  if (Accept(":")) {
    TESSERA_ASSIGN_OR_RETURN(type, TakeType());
    if (!type.is_integer() || type.is_vector()) {
      return lexer_.Error(absl::StrCat("a loop variable can't have type ", ToString(type)));
    }
  }
  TESSERA_RETURN_IF_ERROR(Expect("in"));
  TESSERA_RETURN_IF_ERROR(Expect("["));
  TESSERA_ASSIGN_OR_RETURN(const int64_t min, TakeInteger("a first value"));
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const int64_t end, TakeInteger("an end"));
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  int64_t extent;
  if (__builtin_sub_overflow(end, min, &extent) || extent < 0) {
    return lexer_.Error(absl::StrCat("a loop from ", min, " to ", end, " has no extent"));
  }
  LoopKind kind = LoopKind::kSerial;
  for (const LoopKind known : kLoopKinds) {
    if (Accept(ToString(known))) {
      kind = known;
      break;
    }
  }
  ThreadAxis axis = ThreadAxis::kNone;
  if (Accept("(")) {
    bool found = false;
    for (const ThreadAxis known : kThreadAxes) {
      if (!found && Accept(ToString(known))) {
        axis = known;
        found = true;
      }
    }
    if (!found) return lexer_.Error("expected a thread axis");
    TESSERA_RETURN_IF_ERROR(Expect(")"));
  }
  const VarRef var = MakeVar(name, type);
  scope_.vars[name] = var;
  auto body = ParseBody();
  scope_.vars.erase(name);
  if (!body.ok()) return body;
  return MakeFor(var, min, extent, *std::move(body), kind, axis);
}

absl::StatusOr<Stmt> Parser::ParseIf() {
  TESSERA_ASSIGN_OR_RETURN(const Tree condition, ParseExpr());
  if (condition.expr.type() != Bool()) {
    return lexer_.Error(absl::StrCat("a condition of type ", ToString(condition.expr.type()),
                                     "; it must be a scalar u1"));
  }
  TESSERA_ASSIGN_OR_RETURN(Stmt then_body, ParseBody());
  Stmt else_body;
  if (Accept("else")) {
    TESSERA_ASSIGN_OR_RETURN(else_body, ParseBody());
  }
  return MakeIf(condition.expr, std::move(then_body), std::move(else_body));
}

absl::StatusOr<Stmt> Parser::ParseAllocate() {
  TESSERA_ASSIGN_OR_RETURN(const Buffer buffer, ParseBuffer());
  if (buffer->scope == Scope::kGlobal) {
    return lexer_.Error(
        absl::StrCat("allocate ", buffer->name, ": needs a scope other than global"));
  }
  scope_.buffers[buffer->name] = buffer;
  auto body = ParseBody();
  scope_.buffers.erase(buffer->name);
  if (!body.ok()) return body;
  return MakeAllocate(buffer, *std::move(body));
}

absl::StatusOr<Stmt> Parser::ParseStore(bool streaming) {
  TESSERA_ASSIGN_OR_RETURN(const std::string name, TakeName("a buffer"));
  TESSERA_ASSIGN_OR_RETURN(Access access, ParseAccess(name));
  TESSERA_RETURN_IF_ERROR(Expect("="));
  TESSERA_ASSIGN_OR_RETURN(const Tree value, ParseExpr());
  const Type wanted = access.buffer->type.WithLanes(access.lanes);
  if (value.expr.type() != wanted) {
    return lexer_.Error(absl::StrCat("a value of type ", ToString(value.expr.type()),
                                     " is stored where ", ToString(wanted), " is wanted"));
  }
  return MakeStore(access.buffer, std::move(access.indices), value.expr, access.predicate,
                   streaming);
}

absl::StatusOr<Stmt> Parser::ParseAsyncCopy() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const std::string token_name, TakeName("a token's name"));
  Access ends[2];
  for (Access& end : ends) {
    TESSERA_RETURN_IF_ERROR(Expect(","));
    TESSERA_ASSIGN_OR_RETURN(const std::string name, TakeName("a buffer"));
    TESSERA_ASSIGN_OR_RETURN(end, ParseAccess(name));
    if (end.indices.size() != 1 || end.lanes != 1 || end.predicate) {
      return lexer_.Error("an asynchronous copy wants one scalar index without predicate");
    }
  }
  TESSERA_RETURN_IF_ERROR(Expect(","));
  TESSERA_ASSIGN_OR_RETURN(const int64_t elements, TakeInteger("a number of elements"));
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  if (elements < 0 || ends[0].buffer->type != ends[1].buffer->type || !IsPlainName(token_name)) {
    return lexer_.Error(
        "an asynchronous copy wants a plain token name, buffers of one type and a "
        "number of elements that is not negative");
  }
  const VarRef token = MakeVar(token_name, Token());
  tokens_[token_name] = token;
  return MakeAsyncCopy(ends[0].buffer, ends[0].indices[0], ends[1].buffer, ends[1].indices[0],
                       elements, token);
}

absl::StatusOr<Stmt> Parser::ParseAsyncWait() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const std::string name, TakeName("a token's name"));
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  const auto it = tokens_.find(name);
  if (it == tokens_.end()) {
    return lexer_.Error(
        absl::StrCat("no asynchronous copy before makes token \"", name.substr(0, 60), "\""));
  }
  return MakeAsyncWait(it->second);
}

absl::StatusOr<Stmt> Parser::ParseBarrier() {
  TESSERA_RETURN_IF_ERROR(Expect("("));
  TESSERA_ASSIGN_OR_RETURN(const Scope scope, ParseScopeName());
  TESSERA_RETURN_IF_ERROR(Expect(")"));
  return MakeBarrier(scope);
}

}  // namespace tessera::ir
