#include "tuner/prior.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::tuner {
namespace {

constexpr absl::string_view kHead = "tessera job prior ";
// Format 1 named no devices.
constexpr int kFormat = 2;
constexpr char kFailed[] = "failed";

absl::StatusOr<KnownProgram> ParseKnown(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, absl::MaxSplits(' ', 2));
  const absl::Status damaged = absl::DataLossError("no known program");
  if (words.size() != 3 || words[2].empty()) return damaged;
  KnownProgram known;
  TESSERA_ASSIGN_OR_RETURN(known.loop_hash, HashFromHex(StdView(words[0])));
  if (words[1] == kFailed) {
    known.cost_seconds = std::numeric_limits<double>::infinity();
  } else if (!absl::SimpleAtod(words[1], &known.cost_seconds) ||
             !std::isfinite(known.cost_seconds) || known.cost_seconds <= 0) {
    return damaged;
  }
  known.config = std::string(words[2]);
  return known;
}

}  // namespace

bool Prior::IsEmpty() const {
  return model.empty() && std::ranges::all_of(tasks, [](const TaskPrior& task) {
           return task.first_configs.empty() && task.known.empty();
         });
}

std::string Print(const Prior& prior) {
  std::string text = absl::StrCat(kHead, kFormat, "\n");
  if (!prior.model.empty()) {
    absl::StrAppend(&text, "model ", prior.cost_model, " ", prior.model, "\n");
  }
  for (const TaskPrior& task : prior.tasks) {
    text += "task\n";
    std::string_view device;
    for (const std::string& config : task.first_configs) {
      absl::StrAppend(&text, "first ", config, "\n");
    }
    for (const KnownProgram& known : task.known) {
      if (known.device != device) absl::StrAppend(&text, "device ", known.device, "\n");
      device = known.device;
      absl::StrAppend(&text, "known ", HashToHex(known.loop_hash), " ");
      if (std::isfinite(known.cost_seconds)) {
        absl::StrAppendFormat(&text, "%.17g", known.cost_seconds);
      } else {
        text += kFailed;
      }
      absl::StrAppend(&text, " ", known.config, "\n");
    }
  }
  return text;
}

absl::StatusOr<Prior> ParsePrior(std::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(AbslView(text), '\n');
  int format = 0;
  if (lines.size() < 2 || !lines.back().empty() || !absl::ConsumePrefix(&lines[0], kHead) ||
      !absl::SimpleAtoi(lines[0], &format)) {
    return absl::DataLossError("prior: the bytes are none, or damaged");
  }
  if (format < 1 || format > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("prior: of format ", format, "; this build reads up to ", kFormat));
  }
  Prior prior;
  std::string device;  // of the programs that follow
  for (size_t i = 1; i + 1 < lines.size(); ++i) {
    const absl::Status damaged =
        absl::DataLossError(absl::StrCat("prior: line ", i + 1, " is damaged"));
    absl::string_view line = lines[i];
    if (line == "task") {
      prior.tasks.emplace_back();
      device.clear();
    } else if (absl::ConsumePrefix(&line, "model ")) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() != 2 || words[0].empty() || words[1].empty() || !prior.model.empty()) {
        return damaged;
      }
      prior.cost_model = words[0];
      prior.model = words[1];
    } else if (prior.tasks.empty()) {
      return damaged;
    } else if (absl::ConsumePrefix(&line, "first ")) {
      prior.tasks.back().first_configs.emplace_back(line);
    } else if (absl::ConsumePrefix(&line, "device ")) {
      device = std::string(line);
    } else if (absl::ConsumePrefix(&line, "known ")) {
      absl::StatusOr<KnownProgram> known = ParseKnown(line);
      if (!known.ok()) return damaged;
      known->device = device;
      prior.tasks.back().known.push_back(*std::move(known));
    } else {
      return damaged;
    }
  }
  return prior;
}

}  // namespace tessera::tuner
