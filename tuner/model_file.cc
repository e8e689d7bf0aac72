#include "tuner/model_file.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/durable_file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/store.h"
#include "db/record/validate.h"

namespace tessera::tuner {
namespace {

constexpr std::string_view kMagic = "tessera model file ";
constexpr std::string_view kHeadEnd = "\n\n";
constexpr size_t kMaxHeadBytes = 1 << 20;

std::string OneLine(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(absl::StrCat("model file: damaged: ", AbslView(what)));
}

// The lines of a head, taken in order.
class Lines {
 public:
  explicit Lines(std::string_view head) : lines_(absl::StrSplit(AbslView(head), '\n')) {}

  bool HasNext(std::string_view key) const {
    return at_ < lines_.size() && absl::StartsWith(lines_[at_], absl::StrCat(AbslView(key), ": "));
  }
  absl::StatusOr<std::string> Text(std::string_view key) {
    if (!HasNext(key)) return Damaged(absl::StrCat("no ", AbslView(key)));
    return lines_[at_++].substr(key.size() + 2);
  }
  absl::StatusOr<int64_t> Integer(std::string_view key) {
    TESSERA_ASSIGN_OR_RETURN(const std::string text, Text(key));
    int64_t value = 0;
    if (absl::SimpleAtoi(text, &value)) return value;
    return Damaged(absl::StrCat(AbslView(key), " is \"", text, "\""));
  }
  absl::StatusOr<double> Number(std::string_view key) {
    TESSERA_ASSIGN_OR_RETURN(const std::string text, Text(key));
    double value = 0;
    if (absl::SimpleAtod(text, &value)) return value;
    return Damaged(absl::StrCat(AbslView(key), " is \"", text, "\""));
  }
  bool AtEnd() const { return at_ == lines_.size(); }

 private:
  const std::vector<std::string> lines_;
  size_t at_ = 0;
};

absl::StatusOr<db::ModelInfo> ParseHead(Lines& lines) {
  db::ModelInfo info;
  TESSERA_ASSIGN_OR_RETURN(info.name, lines.Text("name"));
  TESSERA_ASSIGN_OR_RETURN(info.digest, lines.Text("digest"));
  TESSERA_ASSIGN_OR_RETURN(info.cost_model, lines.Text("cost model"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t version, lines.Integer("features"));
  info.feature_version = static_cast<int>(version);
  while (lines.HasNext("device class")) {
    TESSERA_ASSIGN_OR_RETURN(std::string name, lines.Text("device class"));
    info.device_classes.push_back(std::move(name));
  }
  TESSERA_ASSIGN_OR_RETURN(info.tasks, lines.Integer("tasks"));
  TESSERA_ASSIGN_OR_RETURN(info.records, lines.Integer("records"));
  TESSERA_ASSIGN_OR_RETURN(info.origin, lines.Text("origin"));
  TESSERA_ASSIGN_OR_RETURN(info.pairwise_accuracy, lines.Number("pairwise accuracy"));
  TESSERA_ASSIGN_OR_RETURN(info.top1, lines.Number("top-1 score"));
  TESSERA_ASSIGN_OR_RETURN(info.top5, lines.Number("top-5 score"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t micros, lines.Integer("created"));
  info.created = absl::FromUnixMicros(micros);
  if (!lines.AtEnd()) return Damaged("more lines than a head has");
  if (const absl::Status valid = db::ValidateModel(info); !valid.ok()) {
    return Damaged(StdView(valid.message()));
  }
  return info;
}

}  // namespace

std::string Print(const ModelFile& file) {
  const db::ModelInfo& info = file.info;
  std::string text = absl::StrCat(AbslView(kMagic), kModelFileFormat, "\nname: ", info.name,
                                  "\ndigest: ", info.digest, "\ncost model: ", info.cost_model,
                                  "\nfeatures: ", info.feature_version, "\n");
  for (const std::string& name : info.device_classes) {
    absl::StrAppend(&text, "device class: ", OneLine(name), "\n");
  }
  absl::StrAppend(&text, "tasks: ", info.tasks, "\nrecords: ", info.records,
                  "\norigin: ", OneLine(info.origin), "\n");
  absl::StrAppendFormat(&text, "pairwise accuracy: %.17g\ntop-1 score: %.17g\ntop-5 score: %.17g\n",
                        info.pairwise_accuracy, info.top1, info.top5);
  absl::StrAppend(&text, "created: ", absl::ToUnixMicros(info.created));
  return absl::StrCat(text, AbslView(kHeadEnd), file.bytes);
}

absl::StatusOr<ModelFile> ParseModelFile(std::string_view text) {
  const size_t first = text.find('\n'), end = text.substr(0, kMaxHeadBytes).find(kHeadEnd);
  if (!text.starts_with(kMagic) || end == std::string_view::npos) {
    return Damaged("it does not begin as one");
  }
  int format = 0;
  const std::string_view number = text.substr(kMagic.size(), first - kMagic.size());
  if (!absl::SimpleAtoi(AbslView(number), &format)) return Damaged("it does not begin as one");
  if (format != kModelFileFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("model file: of format ", format, "; this build reads ", kModelFileFormat));
  }
  Lines lines(text.substr(first + 1, end - first - 1));
  ModelFile file;
  TESSERA_ASSIGN_OR_RETURN(file.info, ParseHead(lines));
  file.bytes = std::string(text.substr(end + kHeadEnd.size()));
  if (Sha256Hex(file.bytes) != file.info.digest) return Damaged("its bytes have another digest");
  return file;
}

absl::StatusOr<ModelFile> ReadModelFile(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return ErrnoStatus(error.value(), "cannot read", path);
  if (size > static_cast<uintmax_t>(db::kMaxBlobBytes) + kMaxHeadBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", size, " bytes are more than a model has"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(size, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
    return ErrnoStatus(errno, "cannot read", path);
  }
  absl::StatusOr<ModelFile> file = ParseModelFile(text);
  if (!file.ok()) return Annotate(file.status(), path);
  return file;
}

}  // namespace tessera::tuner
