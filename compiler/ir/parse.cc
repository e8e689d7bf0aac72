#include "compiler/ir/parse.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/parser.h"

namespace tessera::ir {
namespace {

constexpr size_t kMaxText = size_t{16} << 20;
constexpr int kMaxNesting = 200;

absl::Status CheckSize(std::string_view text) {
  if (text.size() <= kMaxText) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("program text of ", text.size(), " bytes is over the limit of ", kMaxText));
}

int HexDigit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

absl::StatusOr<Expr> ParseExpr(std::string_view text, const ParseScope& scope) {
  TESSERA_RETURN_IF_ERROR(CheckSize(text));
  return Parser(text, scope).WholeExpr();
}

absl::StatusOr<Program> ParseProgram(std::string_view text) {
  TESSERA_RETURN_IF_ERROR(CheckSize(text));
  return Parser(text, {}).WholeProgram();
}

bool Parser::Accept(std::string_view sign_or_name) {
  if (!lexer_.Is(sign_or_name)) return false;
  lexer_.Advance();
  return true;
}

absl::Status Parser::Expect(std::string_view sign_or_name) {
  if (Accept(sign_or_name)) return absl::OkStatus();
  const TextToken& found = lexer_.current();
  return lexer_.Error(
      absl::StrCat("expected \"", std::string(sign_or_name), "\", found ",
                   found.kind == TokenKind::kEnd
                       ? "the end"
                       : absl::StrCat("\"", std::string(found.text.substr(0, 40)), "\"")));
}

absl::StatusOr<std::string> Parser::TakeName(std::string_view what) {
  if (lexer_.current().kind != TokenKind::kName) {
    return lexer_.Error(absl::StrCat("expected ", std::string(what)));
  }
  std::string name(lexer_.current().text);
  lexer_.Advance();
  return name;
}

absl::StatusOr<std::string> Parser::TakeString(std::string_view what) {
  if (lexer_.current().kind != TokenKind::kString) {
    return lexer_.Error(absl::StrCat("expected ", std::string(what), " in quotes"));
  }
  const std::string_view raw = lexer_.current().text;
  std::string text;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      text += raw[i];
      continue;
    }
    const char escape = i + 1 < raw.size() ? raw[i + 1] : '\0';
    if (escape == '"' || escape == '\\') {
      text += escape;
      ++i;
      continue;
    }
    const int high = i + 3 < raw.size() && escape == 'x' ? HexDigit(raw[i + 2]) : -1;
    const int low = high >= 0 ? HexDigit(raw[i + 3]) : -1;
    if (low < 0) return lexer_.Error("unknown escape in a string; known: \\\", \\\\, \\xHH");
    text += static_cast<char>(high * 16 + low);
    i += 3;
  }
  lexer_.Advance();
  return text;
}

absl::StatusOr<int64_t> Parser::TakeInteger(std::string_view what) {
  const bool negative = Accept("-");
  const std::string_view text = lexer_.current().text;
  if (lexer_.current().kind != TokenKind::kInteger) {
    return lexer_.Error(absl::StrCat("expected ", std::string(what), " (an integer)"));
  }
  uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude);
  const uint64_t limit = (uint64_t{1} << 63) - (negative ? 0 : 1);
  if (error != std::errc() || end != text.data() + text.size() || magnitude > limit) {
    return lexer_.Error(absl::StrCat(std::string(what), " does not fit 64 bits"));
  }
  lexer_.Advance();
  return static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude);
}

absl::StatusOr<Type> Parser::TakeType() {
  if (lexer_.current().kind != TokenKind::kName) return lexer_.Error("expected a type");
  const auto type = ParseType(lexer_.current().text);
  if (!type.ok()) {
    return lexer_.Error(
        std::string(type.status().message().data(), type.status().message().size()));
  }
  lexer_.Advance();
  return *type;
}

absl::StatusOr<int> Parser::TakeLanes() {
  constexpr int kMaxLanes = 4096;
  TESSERA_ASSIGN_OR_RETURN(const int64_t lanes, TakeInteger("a number of lanes"));
  if (lanes < 2 || lanes > kMaxLanes) {
    return lexer_.Error(absl::StrCat(lanes, " lanes are outside 2..", kMaxLanes));
  }
  return static_cast<int>(lanes);
}

absl::Status Parser::EnterNesting() {
  if (++nesting_ <= kMaxNesting) return absl::OkStatus();
  return lexer_.Error(absl::StrCat("nesting is deeper than ", kMaxNesting));
}

}  // namespace tessera::ir
