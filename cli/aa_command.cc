#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/aa.h"
#include "cli/client.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

// One line that is written over; where that can't be seen, a line for the first pair and each
// tenth.
void ShowProgress(const AaCampaign& campaign, int pairs) {
  const bool is_terminal = isatty(STDERR_FILENO) != 0;
  const bool is_told = campaign.pairs() == 1 || campaign.pairs() % 10 == 0;
  if (!is_terminal && !is_told && campaign.pairs() != pairs) return;
  const AaSummary summary = campaign.Summary();
  std::fprintf(stderr, "%s%d of %d pairs, %d false winners, median ratio %.4f%s",
               is_terminal ? "\r" : "", summary.pairs, pairs, summary.false_winners,
               summary.median_ratio, is_terminal && summary.pairs < pairs ? "" : "\n");
  std::fflush(stderr);
}

}  // namespace

absl::Status RunAa(const AaOptions& options) {
  BlockInterrupts();
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(
      AaCampaign campaign,
      AaCampaign::Create(*client, options.task, options.device_class, options.after));
  std::atomic<bool> interrupted = false;
  absl::Status status;
  {
    const InterruptHandler handler([&] {
      interrupted = true;
      client->Interrupt();
    });
    status = campaign.Run(*client, options.pairs,
                          [&](const AaCampaign& so_far) { ShowProgress(so_far, options.pairs); });
  }
  for (const std::string& why : campaign.left_out()) {
    std::fprintf(stderr, "left out: %s\n", why.c_str());
  }
  if (campaign.pairs() > 0) {
    std::fputs((options.json ? campaign.Json() : campaign.Table()).c_str(), stdout);
  }
  if (status.ok()) return status;
  const std::string reached =
      absl::StrFormat("stopped after %d of %d pairs", campaign.pairs(), options.pairs);
  if (interrupted) return absl::CancelledError(reached + HowToGoOn(options, campaign));
  return absl::Status(status.code(),
                      absl::StrCat(reached, ": ", status.message(), HowToGoOn(options, campaign)));
}

}  // namespace tessera::cli
