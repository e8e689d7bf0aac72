#pragma once

#include <string>

#include "absl/types/span.h"
#include "base/third_party.h"
#include "compiler/library/library.h"

// Files beside a library by which build systems find it. All of them mean the folder that they lie
// in, which may be moved as a whole. `needed`: libraries of others that kernels call.

namespace tessera::library {

// tessera_<name>Config.cmake: find_package(tessera_<name> CONFIG) makes the target tessera::<name>,
// and tessera::<name>_static where there is a static library.
LibraryFile CMakePackage(const LibrarySpec& spec, absl::Span<const ThirdParty> needed);

// tessera_<name>.pc for pkg-config, PKG_CONFIG_PATH being the folder. `version`: "tessera 1.2.3".
LibraryFile PkgConfigFile(const LibrarySpec& spec, const std::string& version,
                          absl::Span<const ThirdParty> needed);

// sbom.json: what is in the library, as CycloneDX 1.5, with digests of `files`, of the runtime and
// of a model's constants. No time and no serial number, so that it is the same for the same
// library.
LibraryFile BillOfMaterials(const LibrarySpec& spec, const std::string& version,
                            absl::Span<const LibraryFile> files, const std::string& runtime_sha256,
                            absl::Span<const ThirdParty> needed);

}  // namespace tessera::library
