#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

// Tokens of the textual form; internal to this folder.

namespace tessera::ir {

enum class TokenKind { kEnd, kName, kInteger, kFloat, kString, kSign, kBad };

struct TextToken {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;  // of a string: what stands between the quotes, escapes included
  size_t offset = 0;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { Advance(); }

  const TextToken& current() const { return current_; }
  void Advance();
  bool Is(std::string_view sign_or_name) const {
    return (current_.kind == TokenKind::kSign || current_.kind == TokenKind::kName) &&
           current_.text == sign_or_name;
  }

  // InvalidArgument "line L, column C: WHY" at the current token.
  absl::Status Error(std::string_view why) const;

 private:
  void SkipSpace();
  void TakeNumber();
  void TakeString();

  std::string_view text_;
  size_t at_ = 0;
  TextToken current_;
};

}  // namespace tessera::ir
