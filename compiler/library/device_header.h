#pragma once

#include <string>
#include <vector>

#include "compiler/library/compiled_op.h"

// What the header of a library for a device has beside that of one for CPUs.

namespace tessera::library {

// "int name(\n    one, two);", so that lines stay short.
std::string Function(const std::string& name, const std::vector<std::string>& parameters);
// The text with the names of the library's own functions for $CREATE, $DESTROY, $KERNELS, $DEVICE
// and $FALLBACK.
std::string Named(const std::string& text, const LibrarySpec& spec);
// The results that libraries for devices have beside those of others, once for all headers.
std::string DeviceResults();

// How to use it, in comments.
std::string DeviceComment(const LibrarySpec& spec);
// The types of the device's interface, further results, the library's own functions.
std::string DeviceDeclarations(const LibrarySpec& spec);
// An operator's functions that take memory of the device.
std::string DeviceOpHeader(const CompiledOp& op, const LibrarySpec& spec);

}  // namespace tessera::library
