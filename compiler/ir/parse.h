#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Names in scope while an expression is read.
struct ParseScope {
  std::map<std::string, VarRef, std::less<>> vars;
  std::map<std::string, Buffer, std::less<>> buffers;
};

// Reads what print.h writes. Errors are InvalidArgument with line and column. Input is hostile:
// nesting deeper than 200 and text over 16 MiB are refused.
absl::StatusOr<Expr> ParseExpr(std::string_view text, const ParseScope& scope);
absl::StatusOr<Program> ParseProgram(std::string_view text);

}  // namespace tessera::ir
