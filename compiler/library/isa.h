#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/library/library.h"

namespace tessera::library {

// The bits of compiler/runtime/cpu.h that code for the target needs. InvalidArgument for what is no
// CPU, Unimplemented for features without a bit.
absl::StatusOr<int64_t> CpuNeeds(const ir::Target& target);

// The target's features as TESSERA_ISA names them: "avx512,vnni".
std::string IsaText(const ir::Target& target);

// The spec with its versions, and those of each operator, in the order in which a library prefers
// them: each before those whose features are a part of its own. InvalidArgument where there is no
// version, where kinds differ or features don't, where an operator's schedules are not as many, or
// where what is named as a device is none; errors of CpuNeeds.
absl::StatusOr<LibrarySpec> SortVersions(LibrarySpec spec);

}  // namespace tessera::library
