#include "compiler/vta/words.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace tessera::vta {

Words::Words(std::string_view line)
    : words_(absl::StrSplit(AbslView(line), absl::ByAnyChar(" \t\r"), absl::SkipEmpty())) {}

bool Words::Accept(std::string_view word) {
  if (next_ >= words_.size() || words_[next_] != word) return false;
  ++next_;
  return true;
}

absl::Status Words::Expect(std::string_view word) {
  return Accept(word) ? absl::OkStatus() : Refuse(absl::StrCat("\"", AbslView(word), "\""));
}

absl::StatusOr<std::string> Words::Any(std::string_view what) {
  if (next_ >= words_.size()) return Refuse(what);
  return words_[next_++];
}

absl::Status Words::Numbers(std::initializer_list<int64_t*> values) {
  for (int64_t* value : values) {
    if (next_ >= words_.size() || !absl::SimpleAtoi(words_[next_], value)) {
      return Refuse("a number");
    }
    ++next_;
  }
  return absl::OkStatus();
}

absl::Status Words::Named(std::string_view name, int64_t& value) {
  TESSERA_RETURN_IF_ERROR(Expect(name));
  return Numbers({&value});
}

absl::Status Words::AtEnd() const {
  return next_ == words_.size() ? absl::OkStatus() : Refuse("the end");
}

absl::Status Words::Refuse(std::string_view expected) const {
  const std::string found = next_ < words_.size()
                                ? absl::StrCat("\"", words_[next_].substr(0, 40), "\"")
                                : "the line's end";
  return absl::InvalidArgumentError(absl::StrCat(AbslView(expected), " is expected, not ", found));
}

}  // namespace tessera::vta
