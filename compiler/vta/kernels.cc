#include "compiler/vta/kernels.h"

#include <algorithm>

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

absl::StatusOr<std::map<std::string_view, std::string_view>> SplitKernels(std::string_view source) {
  std::map<std::string_view, std::string_view> kernels;
  std::string_view rest = source;
  while (rest.starts_with(kWord)) {
    const size_t title_end = std::min(rest.find('\n'), rest.size());
    const size_t begin = std::min(title_end + 1, rest.size());
    const size_t end = std::min(rest.find(kNext, title_end), rest.size() - 1) + 1;
    const std::string_view name = rest.substr(kWord.size(), title_end - kWord.size());
    if (!kernels.emplace(name, rest.substr(begin, end - begin)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("VTA: there are two kernels ", AbslView(name)));
    }
    rest.remove_prefix(end);
  }
  if (rest.empty()) return kernels;
  return absl::InvalidArgumentError(
      absl::StrCat("VTA: \"", AbslView(rest.substr(0, std::min<size_t>(rest.find('\n'), 40))),
                   "\" stands where a line \"kernel NAME\" should"));
}

}  // namespace tessera::vta
