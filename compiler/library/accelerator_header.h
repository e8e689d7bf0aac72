#pragma once

#include <string>

#include "absl/types/span.h"
#include "compiler/library/compiled_op.h"

// What the header of a library for an accelerator (kVta) has beside that of one for CPUs.

namespace tessera::library {

bool IsForAccelerator(const LibrarySpec& spec);

// How to use it and what runs on the CPU, in comments.
std::string AcceleratorComment(absl::Span<const CompiledOp> ops, const LibrarySpec& spec);
// The driver's type, further results, the library's own functions.
std::string AcceleratorDeclarations(const LibrarySpec& spec);
// The functions that take addresses, of an operator that the accelerator runs.
std::string AcceleratorOpHeader(const CompiledOp& op, const LibrarySpec& spec);

}  // namespace tessera::library
