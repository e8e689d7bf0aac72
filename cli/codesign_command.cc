#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

#include "absl/strings/str_format.h"
#include "base/durable_file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/codesign_report.h"
#include "cli/commands.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "codesign/explore.h"
#include "codesign/report.h"

namespace tessera::cli {
namespace {

// One line that is written over; where that can't be seen, a line now and then.
class ProgressLine {
 public:
  void Show(const codesign::Progress& progress) {
    using Phase = codesign::Progress::Phase;
    const auto now = std::chrono::steady_clock::now();
    const bool is_last = progress.done == progress.all;
    const auto pause = is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
    if (!is_last && now - shown_ < pause) return;
    shown_ = now;
    std::string text;
    switch (progress.phase) {
      case Phase::kScreened:
        text = absl::StrFormat("%d variants screened, %d could be", progress.screening->screened,
                               progress.screening->possible());
        break;
      case Phase::kEstimating:
        text = absl::StrFormat("%d of %d configurations estimated", progress.done, progress.all);
        break;
      case Phase::kTuning:
        text = absl::StrFormat("round %d of %d: %d of %d variants tuned", progress.round,
                               progress.rounds, progress.done, progress.all);
        if (progress.best_seconds) {
          absl::StrAppendFormat(&text, ", the fastest %.2f ms", 1e3 * *progress.best_seconds);
        }
        break;
    }
    std::fprintf(stderr, "%s%s%s", is_terminal_ ? "\r\x1b[K" : "", text.c_str(),
                 is_terminal_ && !is_last ? "" : "\n");
    std::fflush(stderr);
  }

 private:
  const bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point shown_;
};

// The file that opening the path would find or make. Errors are left to that.
std::filesystem::path Resolved(const std::string& path) {
  constexpr int kMaxLinks = 40;
  std::error_code error;
  std::filesystem::path file = std::filesystem::absolute(path, error);
  // What the last link points to need not be there yet.
  for (int links = 0; links < kMaxLinks && std::filesystem::is_symlink(file, error); ++links) {
    file = file.parent_path() / std::filesystem::read_symlink(file, error);
  }
  const std::filesystem::path canonical = std::filesystem::weakly_canonical(file, error);
  return error ? file : canonical;
}

// Options name files that one would replace with what the other needs.
absl::Status CheckDistinct(const CodesignOptions& options) {
  std::map<std::filesystem::path, const char*> known;
  for (const auto& [option, path] :
       {std::pair("FILE", options.source.file), std::pair("--resume", options.resume),
        std::pair("--csv", options.csv), std::pair("--svg", options.svg)}) {
    if (path.empty()) continue;
    const auto [first, is_new] = known.emplace(Resolved(path), option);
    if (is_new) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        first->second, " and ", option, " name the same file, ", path, "; give each its own"));
  }
  return absl::OkStatus();
}

absl::Status WriteTo(const std::string& path, const std::string& text) {
  return path.empty() ? absl::OkStatus() : WriteFileDurably(path, path + ".part", text, true);
}

absl::StatusOr<std::unique_ptr<codesign::MeasurementLog>> OpenLog(const std::string& path) {
  if (path.empty()) return std::make_unique<codesign::MeasurementLog>();
  return codesign::MeasurementLog::Open(path, Version());
}

}  // namespace

absl::Status RunCodesign(const CodesignOptions& options) {
  BlockInterrupts();
  SetLogLevel("warning");  // jobs of variants have nothing to say of their own
  TESSERA_ASSIGN_OR_RETURN(const codesign::Device device, codesign::FindDevice(options.device));
  TESSERA_RETURN_IF_ERROR(CheckDistinct(options));
  TESSERA_RETURN_IF_ERROR(CheckWritable("--csv", options.csv));
  TESSERA_RETURN_IF_ERROR(CheckWritable("--svg", options.svg));
  TESSERA_ASSIGN_OR_RETURN(const JobFile file, ReadSourceInterruptibly(options.source));
  std::vector<te::OpSpec> operators;
  std::vector<double> counts;
  for (const JobOperator& op : file.operators) {
    if (op.spec.op.empty()) {
      return absl::UnimplementedError(
          absl::StrCat(options.source.file,
                       ": variants differ in layouts, which a model's kernels don't leave "
                       "open; write the operators into a job file"));
    }
    operators.push_back(op.spec);
    counts.push_back(op.weight);
  }
  TESSERA_ASSIGN_OR_RETURN(const codesign::Network network,
                           codesign::MakeNetwork(file.name, operators, counts));
  TESSERA_ASSIGN_OR_RETURN(const auto log, OpenLog(options.resume));
  if (log->size() > 0) {
    std::fprintf(stderr, "going on from %zu measurements of %s\n", log->size(),
                 options.resume.c_str());
  }
  codesign::ExploreOptions explore;
  explore.variants = options.variants;
  explore.trials = options.trials;
  explore.seed = options.seed;
  explore.transfer = options.transfer;
  explore.threads = options.threads > 0
                        ? options.threads
                        : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::atomic<bool> interrupted = false;
  ProgressLine line;
  absl::StatusOr<codesign::Exploration> found;
  {
    const InterruptHandler handler([&] { interrupted = true; });
    found = codesign::Explore(network, device, explore, *log, interrupted,
                              [&](const codesign::Progress& progress) { line.Show(progress); });
  }
  if (absl::IsCancelled(found.status())) {
    return absl::CancelledError(
        options.resume.empty()
            ? "interrupted; with --resume FILE what was measured would have been kept"
            : absl::StrCat("interrupted; the same command goes on from ", log->size(),
                           " measurements of ", options.resume));
  }
  TESSERA_RETURN_IF_ERROR(found.status());
  TESSERA_RETURN_IF_ERROR(WriteTo(options.csv, codesign::ToCsv(*found)));
  TESSERA_RETURN_IF_ERROR(WriteTo(options.svg, codesign::ToSvg(*found, network)));
  if (options.json) {
    std::fputs(codesign::ToJson(*found, network, explore).c_str(), stdout);
    return absl::OkStatus();
  }
  std::printf("%s\n%s\n%s", ScreeningText(*found).c_str(), CodesignTable(*found).c_str(),
              ComparisonText(*found).c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
