#include "compiler/codegen/static_library.h"

#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/llvm_headers.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Object/ELFObjectFile.h"

namespace tessera::codegen {
namespace {

absl::Status Failed(llvm::Error error) {
  return absl::InternalError(absl::StrCat("static library: ", llvm::toString(std::move(error))));
}

using ObjectRef = std::unique_ptr<llvm::object::ObjectFile>;

absl::StatusOr<ObjectRef> Read(const std::string& object) {
  auto file = llvm::object::ObjectFile::createELFObjectFile(
      llvm::MemoryBufferRef(llvm::StringRef(object), "object.o"));
  if (!file) return Failed(file.takeError());
  return std::move(*file);
}

// Names that the object defines for others.
absl::Status AddDefined(const std::string& object, std::set<std::string>& names) {
  TESSERA_ASSIGN_OR_RETURN(const ObjectRef file, Read(object));
  for (const llvm::object::SymbolRef& symbol : file->symbols()) {
    auto flags = symbol.getFlags();
    if (!flags) return Failed(flags.takeError());
    if ((*flags & llvm::object::SymbolRef::SF_Global) == 0) continue;
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) != 0) continue;
    auto name = symbol.getName();
    if (!name) return Failed(name.takeError());
    names.insert(name->str());
  }
  return absl::OkStatus();
}

// With the names hidden, and changed to what the map says.
absl::StatusOr<std::string> Renamed(const std::string& object,
                                    const llvm::StringMap<llvm::StringRef>& names) {
  TESSERA_ASSIGN_OR_RETURN(const ObjectRef file, Read(object));
  llvm::objcopy::ConfigManager config;
  config.Common.SymbolsToRename = names;
  llvm::objcopy::NameMatcher hidden;
  for (const auto& entry : names) {
    llvm::Error error = hidden.addMatcher(
        llvm::objcopy::NameOrPattern::create(entry.getKey(), llvm::objcopy::MatchStyle::Literal,
                                             [](llvm::Error failure) { return failure; }));
    if (error) return Failed(std::move(error));
  }
  config.ELF.SymbolsToSetVisibility.emplace_back(std::move(hidden), llvm::ELF::STV_HIDDEN);
  llvm::SmallVector<char, 0> output;
  llvm::raw_svector_ostream stream(output);
  if (llvm::Error error = llvm::objcopy::executeObjcopyOnBinary(config, *file, stream)) {
    return Failed(std::move(error));
  }
  return std::string(output.begin(), output.end());
}

}  // namespace

absl::StatusOr<std::string> MakeStaticLibrary(absl::Span<const std::string> objects,
                                              const StaticLibraryOptions& options) {
  std::set<std::string> internal;
  for (const std::string& object : objects) {
    TESSERA_RETURN_IF_ERROR(AddDefined(object, internal));
  }
  for (const std::string& name : options.exported) internal.erase(name);
  std::vector<std::string> kept;  // what the map refers to
  kept.reserve(internal.size());
  llvm::StringMap<llvm::StringRef> names;
  for (const std::string& name : internal) {
    names[name] = kept.emplace_back(absl::StrCat(options.prefix, name));
  }
  std::vector<std::string> renamed, member_names;
  renamed.reserve(objects.size());
  member_names.reserve(objects.size());
  std::vector<llvm::NewArchiveMember> members;
  for (size_t i = 0; i < objects.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(renamed.emplace_back(), Renamed(objects[i], names));
    member_names.push_back(absl::StrCat(i, ".o"));
    members.emplace_back(llvm::MemoryBufferRef(renamed.back(), member_names.back()));
  }
  auto archive = llvm::writeArchiveToBuffer(members, llvm::SymtabWritingMode::NormalSymtab,
                                            llvm::object::Archive::K_GNU, /*Deterministic=*/true,
                                            /*Thin=*/false);
  if (!archive) return Failed(archive.takeError());
  return (*archive)->getBuffer().str();
}

}  // namespace tessera::codegen
