#include "compiler/vta/kernels.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/vta/code_text.h"

namespace tessera::vta {
namespace {

constexpr std::string_view kNext = "\nkernel ";
constexpr std::string_view kWord = kNext.substr(1);

}  // namespace

std::string PrintKernels(absl::Span<const std::pair<std::string, Code>> kernels) {
  std::string text;
  for (const auto& [name, code] : kernels) {
    absl::StrAppend(&text, AbslView(kWord), name, "\n", Print(code));
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

absl::StatusOr<std::string_view> FindKernel(std::string_view source, std::string_view name) {
  std::optional<std::string_view> found;
  for (std::string_view rest = source; rest.starts_with(kWord);) {
    const size_t title_end = std::min(rest.find('\n'), rest.size());
    const size_t begin = std::min(title_end + 1, rest.size());
    const size_t end = std::min(rest.find(kNext, title_end), rest.size() - 1) + 1;
    if (rest.substr(kWord.size(), title_end - kWord.size()) == name) {
      if (found) {
        return absl::InvalidArgumentError(
            absl::StrCat("VTA: there are two kernels ", AbslView(name)));
      }
      found = rest.substr(begin, end - begin);
    }
    rest.remove_prefix(end);
  }
  if (found) return *found;
  return absl::InvalidArgumentError(absl::StrCat("VTA: there is no kernel ", AbslView(name)));
}

}  // namespace tessera::vta
