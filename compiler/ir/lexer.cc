#include "compiler/ir/lexer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::ir {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

constexpr std::string_view kLongSigns[] = {"==", "!=", "<=", "&&", "||"};
constexpr std::string_view kSigns = "()[]{},;:=<!+-*/%";

}  // namespace

void Lexer::SkipSpace() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
    ++at_;
  }
}

void Lexer::TakeNumber() {
  const auto digits = [this] {
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
  };
  current_.kind = TokenKind::kInteger;
  digits();
  if (at_ < text_.size() && text_[at_] == '.') {
    current_.kind = TokenKind::kFloat;
    ++at_;
    digits();
  }
  if (at_ < text_.size() && text_[at_] == 'e') {
    current_.kind = TokenKind::kFloat;
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
}

void Lexer::TakeString() {
  const size_t begin = ++at_;
  while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
    at_ += text_[at_] == '\\' ? 2 : 1;
  }
  if (at_ >= text_.size() || text_[at_] != '"') {
    at_ = std::min(at_, text_.size());
    current_.kind = TokenKind::kBad;
    current_.text = "a string without end";
    return;
  }
  current_.kind = TokenKind::kString;
  current_.text = text_.substr(begin, at_ - begin);
  ++at_;
}

void Lexer::Advance() {
  SkipSpace();
  const size_t begin = at_;
  current_ = {TokenKind::kEnd, {}, begin};
  if (at_ >= text_.size()) return;
  const char c = text_[at_];
  if (c == '"') return TakeString();
  if (IsDigit(c)) {
    TakeNumber();
  } else if (IsLetter(c)) {
    current_.kind = TokenKind::kName;
    while (at_ < text_.size() &&
           (IsLetter(text_[at_]) || IsDigit(text_[at_]) || text_[at_] == '.')) {
      ++at_;
    }
  } else {
    const std::string_view rest = text_.substr(at_);
    const auto is_long =
        std::any_of(std::begin(kLongSigns), std::end(kLongSigns),
                    [&](std::string_view sign) { return rest.substr(0, 2) == sign; });
    const bool known = is_long || kSigns.find(c) != std::string_view::npos;
    current_.kind = known ? TokenKind::kSign : TokenKind::kBad;
    at_ += is_long ? 2 : 1;
  }
  current_.text = text_.substr(begin, at_ - begin);
}

absl::Status Lexer::Error(std::string_view why) const {
  const std::string_view before = text_.substr(0, current_.offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return absl::InvalidArgumentError(
      absl::StrCat("line ", line, ", column ", column, ": ", std::string(why)));
}

}  // namespace tessera::ir
