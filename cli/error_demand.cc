#include "cli/error_demand.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "cli/exit_code.h"
#include "cli/text.h"
#include "cli/verifiable_library.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(10);  // of all buckets

}  // namespace

absl::Status CheckError(absl::Span<const BuiltFile> files, absl::Span<const SampleRun> samples,
                        double limit, Clock& clock) {
  TESSERA_ASSIGN_OR_RETURN(const BuiltFile* manifest, FindFile(files, "manifest.json"));
  absl::StatusOr<VerifiableLibrary> library = ReadVerifiableLibrary(manifest->bytes);
  TESSERA_RETURN_IF_ERROR(Annotate(library.status(), "manifest.json"));
  TESSERA_ASSIGN_OR_RETURN(const BuiltFile* shared_object, FindFile(files, library->files[0].name));
  const std::string demand = absl::StrFormat("--max-error %g", limit);
  const auto unknown = [&](const std::string& why) {
    return NotMet(absl::StrCat(demand, " can't be judged: ", OneLine(why)));
  };
  const absl::Time deadline = clock.Now() + kLimit;
  double worst = -1;
  std::string found;
  for (ReferenceRun& run : library->runs) {
    const absl::Duration left = deadline - clock.Now();
    if (left <= absl::ZeroDuration()) {
      return unknown(absl::StrCat("its buckets did not all run within ",
                                  absl::FormatDuration(kLimit), ", the most that they may take"));
    }
    run.samples.assign(samples.begin(), samples.end());
    TESSERA_ASSIGN_OR_RETURN(const RunResult result, RunHere(*library, run, shared_object->bytes,
                                                             absl::Ceil(left, absl::Seconds(1))));
    if (result.errors.empty()) return unknown(result.detail);
    const auto largest = std::ranges::max_element(result.errors);
    if (!(*largest > worst)) continue;
    worst = *largest;
    const auto output = static_cast<size_t>(largest - result.errors.begin());
    found = absl::StrFormat("output %s%s is off from %s by %.3g of its largest value",
                            run.outputs[output].buffer.name,
                            library->runs.size() > 1 ? " of " + run.model : "",
                            samples.empty() ? "the reference" : "the model of floats", worst);
  }
  if (!(worst <= limit)) {
    return NotMet(absl::StrCat(demand, " is not met: ", found,
                               samples.empty() ? "; demand less, or see `tessera verify`"
                                               : "; keep products of floats (--float), give other "
                                                 "samples or --ranges, or demand less"));
  }
  std::fprintf(stderr, "%s is met: %s\n", demand.c_str(), OneLine(found).c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
