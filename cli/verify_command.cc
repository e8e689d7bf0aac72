#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/hash.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/path_status.h"
#include "cli/text.h"
#include "cli/verifiable_library.h"

namespace tessera::cli {
namespace {

// Nothing where the file can't be read; errno says why.
std::optional<std::string> Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return std::nullopt;
  return bytes;
}

struct FileResult {
  std::string name;
  const char* status;  // "ok", "differs", "missing"
};

const char* Name(RunResult::Kind kind) {
  switch (kind) {
    case RunResult::Kind::kRight:
      return "ok";
    case RunResult::Kind::kSkipped:
      return "skipped";
    case RunResult::Kind::kWrong:
      break;
  }
  return "differs";
}

void PrintJson(const std::vector<FileResult>& files, const RunResult& run, bool is_right) {
  nlohmann::json list = nlohmann::json::array();
  for (const FileResult& file : files) {
    list.push_back({{"name", file.name}, {"status", file.status}});
  }
  const nlohmann::json report = {{"ok", is_right},
                                 {"files", list},
                                 {"run", {{"status", Name(run.kind)}, {"detail", run.detail}}}};
  std::printf("%s\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

// All runs until one is wrong; skipped where any is.
absl::StatusOr<RunResult> RunAll(const VerifiableLibrary& library, std::string_view shared_object,
                                 absl::Duration limit) {
  RunResult all{RunResult::Kind::kRight, ""};
  for (const ReferenceRun& run : library.runs) {
    TESSERA_ASSIGN_OR_RETURN(const RunResult result, RunHere(library, run, shared_object, limit));
    if (result.kind != RunResult::Kind::kRight) all.kind = result.kind;
    absl::StrAppend(&all.detail, all.detail.empty() ? "" : "; ",
                    library.runs.size() > 1 ? run.model + ": " : "", result.detail);
    if (all.kind == RunResult::Kind::kWrong) break;
  }
  return all;
}

}  // namespace

absl::Status RunVerify(const VerifyOptions& options) {
  const std::string path = options.folder + "/manifest.json";
  const std::optional<std::string> manifest = Read(path);
  if (!manifest) return PathStatus(errno, "cannot read", path);
  const absl::StatusOr<VerifiableLibrary> library = ReadVerifiableLibrary(*manifest);
  if (!library.ok()) return Annotate(library.status(), path);
  std::vector<FileResult> files;
  std::string shared_object;
  bool is_right = true;
  for (const ListedFile& listed : library->files) {
    std::optional<std::string> bytes = Read(options.folder + "/" + listed.name);
    const bool is_same = bytes && Sha256Hex(*bytes) == listed.sha256;
    files.push_back({listed.name, is_same ? "ok" : bytes ? "differs" : "missing"});
    is_right = is_right && is_same;
    if (files.size() == 1 && is_same) shared_object = *std::move(bytes);
  }
  RunResult run{RunResult::Kind::kSkipped, ""};
  if (!is_right) {
    run.detail = "files are not those of the manifest";
  } else {
    TESSERA_ASSIGN_OR_RETURN(run,
                             RunAll(*library, shared_object, absl::Seconds(options.max_seconds)));
    if (!library->too_large.empty()) {
      absl::StrAppend(&run.detail, "; not run, being too much for the interpreter: ",
                      absl::StrJoin(library->too_large, ", "));
    }
  }
  is_right = is_right && run.kind != RunResult::Kind::kWrong;
  run.detail = OneLine(run.detail);
  if (options.json) {
    PrintJson(files, run, is_right);
  } else {
    for (const FileResult& file : files) {
      std::printf("%-8s %s\n", file.status, OneLine(file.name).c_str());
    }
    std::printf("%-8s run: %s\n", Name(run.kind), run.detail.c_str());
  }
  if (is_right) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(options.folder, " is not what its manifest says; build it again"));
}

}  // namespace tessera::cli
