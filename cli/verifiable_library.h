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
  // Without a seed where there is no reference of a model, and without operators that run on a
  // device, or whose values the interpreter has not soon.
  ReferenceRun run;
  std::string why_no_reference;        // of a model
  std::vector<std::string> too_large;  // operators that `run` leaves out
};

// Of hostile text: names are without folders, tensors within the limits of graphs. DataLoss, saying
// where, for what is no manifest, and for one of a release that listed no files.
absl::StatusOr<VerifiableLibrary> ReadVerifiableLibrary(std::string_view manifest);

// As of RunLibrary; skipped where this machine is of another kind than the library.
absl::StatusOr<RunResult> RunHere(const VerifiableLibrary& library, std::string_view shared_object,
                                  absl::Duration limit);

}  // namespace tessera::cli
