#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/library_reference.h"

namespace tessera::cli {

struct ListedFile {
  std::string name;
  std::string sha256;
};

// What a manifest.json says that can be checked (docs/library.md).
struct VerifiableLibrary {
  std::vector<ListedFile> files;  // the first is the shared object
  std::string cpu_kind;           // "x86"
  // One, or one for each bucket of a model. Without operators that run on a device, or whose values
  // the interpreter has not soon.
  std::vector<ReferenceRun> runs;
  std::vector<std::string> too_large;  // operators that are left out
};

// Of hostile text: names are without folders, tensors within the limits of graphs. DataLoss, saying
// where, for what is no manifest, and for one of a release that listed no files.
absl::StatusOr<VerifiableLibrary> ReadVerifiableLibrary(std::string_view manifest);

// Runs one of its runs as RunLibrary does; skipped where this machine is of another kind than the
// library, or there is nothing to compare the model with.
absl::StatusOr<RunResult> RunHere(const VerifiableLibrary& library, const ReferenceRun& run,
                                  std::string_view shared_object, absl::Duration limit);

}  // namespace tessera::cli
