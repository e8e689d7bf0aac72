#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "llvm/Object/ELFObjectFile.h"

// What a shared object's tables say.

namespace tessera::library {

template <typename Elf>
std::vector<std::string> NeededBy(const Elf& elf) {
  std::vector<std::string> names;
  const auto entries = llvm::cantFail(elf.dynamicEntries());
  uint64_t strings = 0;
  for (const auto& entry : entries) {
    if (entry.getTag() == llvm::ELF::DT_STRTAB) strings = entry.getPtr();
  }
  const auto* table = reinterpret_cast<const char*>(llvm::cantFail(elf.toMappedAddr(strings)));
  for (const auto& entry : entries) {
    if (entry.getTag() == llvm::ELF::DT_NEEDED) names.push_back(table + entry.getVal());
  }
  return names;
}

// The libraries that it says it needs.
inline std::vector<std::string> Needed(const std::string& library) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(llvm::StringRef(library), "ops"));
  REQUIRE(!!file);
  if (const auto* narrow = llvm::dyn_cast<llvm::object::ELF32LEObjectFile>(file->get())) {
    return NeededBy(narrow->getELFFile());
  }
  return NeededBy(llvm::cast<llvm::object::ELF64LEObjectFile>(**file).getELFFile());
}

// Sorted names of the symbols that it defines for others.
inline std::vector<std::string> Exported(const std::string& library) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(llvm::StringRef(library), "ops"));
  REQUIRE(!!file);
  std::vector<std::string> names;
  for (const auto& symbol :
       llvm::cast<llvm::object::ELFObjectFileBase>(**file).getDynamicSymbolIterators()) {
    const uint32_t flags = llvm::cantFail(symbol.getFlags());
    if ((flags & llvm::object::SymbolRef::SF_Undefined) != 0) continue;
    names.push_back(llvm::cantFail(symbol.getName()).str());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace tessera::library
