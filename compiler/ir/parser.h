#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/lexer.h"
#include "compiler/ir/parse.h"

// Recursive descent over the textual form; parse.h is its face. Every type is checked before a
// factory sees it: factories abort on what hostile text may say. Internal to this folder.

namespace tessera::ir {

class Parser {
 public:
  Parser(std::string_view text, ParseScope scope) : lexer_(text), scope_(std::move(scope)) {}

  absl::StatusOr<Expr> WholeExpr();
  absl::StatusOr<Program> WholeProgram();

 private:
  // An expression and the height of its tree.
  struct Tree {
    Expr expr;
    int height = 1;
  };
  struct Access {
    Buffer buffer;
    std::vector<Expr> indices;
    Expr predicate;
    int lanes = 1;
    int height = 1;
  };

  // Expressions (parser_expr.cc).
  absl::StatusOr<Tree> ParseExpr();
  absl::StatusOr<Tree> ParseLevel(int level);
  absl::StatusOr<Tree> ParseUnary();
  absl::StatusOr<Tree> ParsePrimary();
  absl::StatusOr<Tree> ParseNumber(bool negative);
  absl::StatusOr<Tree> ParseNamed();
  absl::StatusOr<Tree> ParseCast(bool saturate);
  absl::StatusOr<Tree> ParseRamp();
  absl::StatusOr<Tree> ParseBroadcast();
  absl::StatusOr<Tree> ParseSelect();
  absl::StatusOr<Tree> ParseTypedCall();
  absl::StatusOr<Tree> ParsePlainCall(const std::string& name);
  absl::StatusOr<Access> ParseAccess(const std::string& name);
  absl::StatusOr<Tree> Combine(BinaryOp op, const Tree& a, const Tree& b);
  absl::StatusOr<Tree> Grown(Expr expr, int height);

  // Statements (parser_stmt.cc).
  absl::StatusOr<Stmt> ParseBody();
  absl::StatusOr<Stmt> ParseStmt();
  absl::StatusOr<Stmt> ParseFor();
  absl::StatusOr<Stmt> ParseIf();
  absl::StatusOr<Stmt> ParseAllocate();
  absl::StatusOr<Stmt> ParseStore(bool streaming);
  absl::StatusOr<Stmt> ParseAsyncCopy();
  absl::StatusOr<Stmt> ParseAsyncWait();
  absl::StatusOr<Stmt> ParseBarrier();
  absl::StatusOr<Buffer> ParseBuffer();
  absl::StatusOr<Scope> ParseScopeName();
  absl::Status CheckNewBuffer(const std::string& name);

  // Small parts.
  absl::Status Expect(std::string_view sign_or_name);
  absl::StatusOr<std::string> TakeName(std::string_view what);
  absl::StatusOr<std::string> TakeString(std::string_view what);
  absl::StatusOr<int64_t> TakeInteger(std::string_view what);
  absl::StatusOr<Type> TakeType();
  absl::StatusOr<int> TakeLanes();
  bool Accept(std::string_view sign_or_name);
  absl::Status EnterNesting();
  void LeaveNesting() { --nesting_; }

  Lexer lexer_;
  ParseScope scope_;
  std::map<std::string, VarRef, std::less<>> tokens_;
  int nesting_ = 0;
};

}  // namespace tessera::ir
