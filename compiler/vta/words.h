#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera::vta {

// The words of a line of text, in order, and what is expected of them. Errors are InvalidArgument
// and name what was expected, and the word that was found.
class Words {
 public:
  explicit Words(std::string_view line);

  // Takes the next word, if it is this one.
  bool Accept(std::string_view word);
  absl::Status Expect(std::string_view word);
  // Takes any word.
  absl::StatusOr<std::string> Any(std::string_view what);
  // One of those that `name` gives for 0 to count - 1, as its place there.
  template <typename Name>
  absl::StatusOr<int> OneOf(int count, const Name& name, std::string_view what) {
    for (int i = 0; i < count; ++i) {
      if (Accept(name(i))) return i;
    }
    return Refuse(what);
  }
  absl::Status Numbers(std::initializer_list<int64_t*> values);
  // A number behind its name.
  absl::Status Named(std::string_view name, int64_t& value);
  absl::Status AtEnd() const;

  absl::Status Refuse(std::string_view expected) const;

 private:
  std::vector<std::string> words_;
  size_t next_ = 0;
};

}  // namespace tessera::vta
