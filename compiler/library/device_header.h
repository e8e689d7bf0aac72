#pragma once

#include <string>

#include "compiler/library/compiled_op.h"

// What the header of a library for a device has beside that of one for CPUs.

namespace tessera::library {

// How to use it, in comments.
std::string DeviceComment(const LibrarySpec& spec);
// The types of the device's interface, further results, the library's own functions.
std::string DeviceDeclarations(const LibrarySpec& spec);
// An operator's functions that take memory of the device.
std::string DeviceOpHeader(const CompiledOp& op, const LibrarySpec& spec);

}  // namespace tessera::library
