#include "compiler/codegen/object_symbols.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/MemoryBuffer.h"

namespace tessera::codegen {

absl::StatusOr<std::vector<std::string>> UndefinedSymbols(const std::string& object) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(llvm::StringRef(object), "object"));
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an object file: ", llvm::toString(file.takeError())));
  }
  std::vector<std::string> names;
  for (const llvm::object::SymbolRef& symbol : (*file)->symbols()) {
    auto flags = symbol.getFlags();
    if (!flags) return absl::InvalidArgumentError(llvm::toString(flags.takeError()));
    const bool is_undefined = (*flags & llvm::object::SymbolRef::SF_Undefined) != 0;
    auto name = symbol.getName();
    if (!name) return absl::InvalidArgumentError(llvm::toString(name.takeError()));
    if (is_undefined && !name->empty()) names.push_back(name->str());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tessera::codegen
