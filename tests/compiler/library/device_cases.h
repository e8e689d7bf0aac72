#pragma once

// What libraries for devices of every kind are tested for. Tests of a kind give what differs: its
// target, its functions, its driver.

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/library/library.h"
#include "tests/compiler/library/loaded.h"

namespace tessera::library {

// The same operators with versions for that CPU alone.
LibrarySpec ForCpu(LibrarySpec spec, const std::string& target);

// Calls with host memory run on a device.
void CheckRunsOnDevice(const Library& library, const LibrarySpec& spec);

// For each value of TESSERA_DEVICE calls with host memory run on the CPU; the library says why, in
// words that contain what stands beside the value.
void CheckFallsBack(const LibrarySpec& spec,
                    const std::vector<std::pair<std::string, std::string>>& wanted_and_why);

// A library of TestSpec is the same bytes each time and needs libc alone. Its manifest has the
// device's part; its header declares what it exports, of the device by names with `kind` in them.
// Returns the files.
LibraryFiles CheckFiles(const LibrarySpec& spec, const std::string& kind);

// The header of a library of TestSpec compiles alone, and before and behind `driver`: what the
// driver's own header declares. `call` is a function that calls `conv` with both.
void CheckHeaderCompiles(const LibrarySpec& spec, const std::string& driver,
                         const std::string& call);

// A library for AArch64 links and needs libc alone.
void CheckLinksForAArch64(const LibrarySpec& spec);

// Libraries whose kernels the device can't run, each with the words that name the limit: `create`
// refuses them with these words, and calls with host memory run on the CPU.
void CheckRefused(
    const std::vector<std::pair<LibrarySpec, std::string>>& refused,
    absl::FunctionRef<int(const Library&, void** kernels, char* log, size_t log_bytes)> create);

}  // namespace tessera::library
