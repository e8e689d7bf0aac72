#include "compiler/vta/value_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::vta {
namespace {

// Reads the word from its front.
class Reader {
 public:
  explicit Reader(std::string_view word) : rest_(word) {}

  bool AtEnd() const { return rest_.empty(); }
  bool NextIs(char c) const { return !rest_.empty() && rest_[0] == c; }
  bool NextIsDigit() const {
    return !rest_.empty() && absl::ascii_isdigit(static_cast<unsigned char>(rest_[0]));
  }

  bool Accept(char c) {
    if (!NextIs(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  absl::Status Expect(char c) {
    return Accept(c) ? absl::OkStatus() : Refuse(absl::StrCat("\"", std::string(1, c), "\""));
  }

  // Digits, negated behind a minus that was read before.
  absl::StatusOr<int64_t> Number(bool is_negative = false) {
    size_t count = 0;
    while (count < rest_.size() && absl::ascii_isdigit(static_cast<unsigned char>(rest_[count]))) {
      ++count;
    }
    int64_t number = 0;
    if (!absl::SimpleAtoi(absl::StrCat(is_negative ? "-" : "", AbslView(rest_.substr(0, count))),
                          &number)) {
      return Refuse("a number");
    }
    rest_.remove_prefix(count);
    return number;
  }

  // i1/4%7, or without a divisor of 1.
  absl::StatusOr<Term> Turn(int64_t coefficient) {
    Term term{.coefficient = coefficient};
    TESSERA_RETURN_IF_ERROR(Expect('i'));
    TESSERA_ASSIGN_OR_RETURN(const int64_t loop, Number());
    if (loop >= kMaxLoops) return Refuse(absl::StrCat("a loop below ", kMaxLoops));
    term.loop = static_cast<int>(loop);
    if (Accept('/')) {
      TESSERA_ASSIGN_OR_RETURN(term.divisor, Number());
    }
    TESSERA_RETURN_IF_ERROR(Expect('%'));
    TESSERA_ASSIGN_OR_RETURN(term.extent, Number());
    return term;
  }

  absl::StatusOr<Value> Sum() {
    Value value;
    for (bool is_first = true;; is_first = false) {
      const bool is_negative = Accept('-');
      if (!is_negative && !Accept('+') && !is_first) return value;
      int64_t number = is_negative ? -1 : 1;
      if (NextIsDigit()) {
        TESSERA_ASSIGN_OR_RETURN(number, Number(is_negative));
        if (!NextIs('*') && is_first) {
          value.constant = number;
          continue;
        }
        TESSERA_RETURN_IF_ERROR(Expect('*'));
      }
      if (value.terms.size() == kMaxTerms) return Refuse(absl::StrCat(kMaxTerms, " terms at most"));
      TESSERA_ASSIGN_OR_RETURN(value.terms.emplace_back(), Turn(number));
    }
  }

  absl::Status Refuse(std::string_view expected) const {
    const std::string found = AtEnd() ? std::string("the word's end")
                                      : absl::StrCat("\"", AbslView(rest_.substr(0, 40)), "\"");
    return absl::InvalidArgumentError(
        absl::StrCat(AbslView(expected), " is expected, not ", found));
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::string Print(const Value& value) {
  std::string text;
  if (value.constant != 0 || value.terms.empty()) absl::StrAppend(&text, value.constant);
  for (const Term& term : value.terms) {
    if (term.coefficient >= 0 && !text.empty()) text += "+";
    if (term.coefficient == -1) {
      text += "-";
    } else if (term.coefficient != 1) {
      absl::StrAppend(&text, term.coefficient, "*");
    }
    absl::StrAppend(&text, "i", term.loop);
    if (term.divisor != 1) absl::StrAppend(&text, "/", term.divisor);
    absl::StrAppend(&text, "%", term.extent);
  }
  return text;
}

std::string Print(const Place& place) {
  return absl::StrCat(place.allocation, "[", Print(place.copy), "]@", Print(place.offset));
}

absl::StatusOr<Value> ParseValue(std::string_view word) {
  Reader reader(word);
  TESSERA_ASSIGN_OR_RETURN(Value value, reader.Sum());
  if (!reader.AtEnd()) return reader.Refuse("the word's end");
  return value;
}

absl::StatusOr<Place> ParsePlace(std::string_view word) {
  Reader reader(word);
  Place place;
  TESSERA_ASSIGN_OR_RETURN(const int64_t allocation, reader.Number());
  if (allocation >= kMaxAllocations) {
    return reader.Refuse(absl::StrCat("an allocation below ", kMaxAllocations));
  }
  place.allocation = static_cast<int>(allocation);
  TESSERA_RETURN_IF_ERROR(reader.Expect('['));
  TESSERA_ASSIGN_OR_RETURN(place.copy, reader.Sum());
  TESSERA_RETURN_IF_ERROR(reader.Expect(']'));
  TESSERA_RETURN_IF_ERROR(reader.Expect('@'));
  TESSERA_ASSIGN_OR_RETURN(place.offset, reader.Sum());
  if (!reader.AtEnd()) return reader.Refuse("the word's end");
  return place;
}

}  // namespace tessera::vta
