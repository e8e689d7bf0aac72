#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/job_file.h"
#include "cli/model_source.h"
#include "compiler/graph/layouts.h"
#include "compiler/ir/target.h"

// Layouts of a model's values by what a server's log knows (docs/decisions/0036).

namespace tessera::cli {

// What kernels are measured on, and with what.
struct KernelPlace {
  ir::Target target;
  std::string device_class;  // empty: of any, whose times don't compare
  int threads = 1;
  std::string allowed;  // as of JobOptions::allow
};

// Has the operators of a file that is a model be those of a place, in layouts that are chosen by
// the fastest records of its class there (graph::ChooseLayouts); by estimate where the file names
// another target's, so that they are the same of all classes. Errors: the client's, and those of
// PlanFor.
absl::StatusOr<ModelLayouts> PlanByLog(Client& client, JobFile& file, const KernelPlace& place,
                                       graph::Unmeasured unmeasured);

// "layouts: 17 of 20 values in blocks of channels, as estimated"; empty where none can be.
std::string LayoutsText(const ModelLayouts& layouts);

// Whether tasks compute the same for a model, as often, but for names and how values are stored,
// and for what only moves them, of which layouts need more or less; in blocks of one size.
// DataLoss: no text of a workload.
absl::StatusOr<bool> AreSameButForLayouts(const std::vector<db::Task>& some,
                                          const std::vector<db::Task>& others);

// What of a budget goes to rivals of a model's layouts.
struct RivalTrials {
  std::vector<JobOperator> operators;  // kernels in both forms, each once; none: it is too small
  int rivals = 0;                      // choices that they decide between
  int trials = 0;                      // of each kernel
  int64_t budget_left = 0;             // for the kernels as they are chosen then
};
// Those that the log of the place doesn't decide yet, between what PlanByLog chooses to be tuned,
// which `file` is planned as, and others; none where the file names a target's layouts. Kernels in
// a rival's form get at most a tenth of `budget`; there are none where the model's kernels get no
// more trials than these. Errors: as of PlanByLog.
absl::StatusOr<RivalTrials> SpendOnRivals(Client& client, const JobFile& file,
                                          const KernelPlace& place, int64_t budget);

}  // namespace tessera::cli
