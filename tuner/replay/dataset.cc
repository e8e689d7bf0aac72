#include "tuner/replay/dataset.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <map>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/durable_file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::replay {
namespace {

constexpr int kFormat = 1;
constexpr int kMaxThreads = 1024;
constexpr char kFormatKey[] = "tessera-data";

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone());
}

// "# key: " before each line of the value; nothing for an empty one.
void PrintHeader(std::string& text, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  for (const absl::string_view line : absl::StrSplit(AbslView(value), '\n')) {
    absl::StrAppend(&text, "# ", AbslView(key), ": ", line, "\n");
  }
}

absl::Status At(int line, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", AbslView(why)));
}

// The lines of a text, one at a time, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  int number() const { return number_; }  // of the line that Next returned last, from 1
  char Peek() const { return text_.front(); }
  std::string_view Next() {
    const size_t end = text_.find('\n');
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    ++number_;
    return line;
  }

 private:
  std::string_view text_;
  int number_ = 0;
};

bool IsKey(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

bool HasControl(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

// The keys of a header with their values. Takes each key once.
class Header {
 public:
  static absl::StatusOr<Header> Parse(Lines& lines) {
    Header header;
    std::string_view previous;
    size_t bytes = 0;
    while (!lines.done() && lines.Peek() == '#') {
      const std::string_view line = lines.Next();
      bytes += line.size();
      if (bytes > kMaxHeaderBytes) {
        return At(lines.number(),
                  absl::StrCat("a header of more than ", kMaxHeaderBytes, " bytes"));
      }
      const size_t colon = line.find(": ");
      if (!line.starts_with("# ") || colon == std::string_view::npos || HasControl(line) ||
          !IsKey(line.substr(2, colon - 2))) {
        return At(lines.number(), "no \"# key: value\"");
      }
      const std::string_view key = line.substr(2, colon - 2), value = line.substr(colon + 2);
      auto [found, is_new] = header.values_.try_emplace(std::string(key), value);
      if (!is_new && key != previous) {
        return At(lines.number(),
                  absl::StrCat("key ", AbslView(key.substr(0, 60)), " comes again"));
      }
      if (!is_new) absl::StrAppend(&found->second, "\n", AbslView(value));
      previous = found->first;
    }
    return header;
  }

  // Empty where there is none.
  std::string Text(std::string_view key) {
    const auto found = values_.find(key);
    if (found == values_.end()) return "";
    std::string value = std::move(found->second);
    values_.erase(found);
    return value;
  }
  absl::StatusOr<int64_t> Number(std::string_view key, int64_t low, int64_t high) {
    const std::string text = Text(key);
    int64_t value = 0;
    if (absl::SimpleAtoi(text, &value) && value >= low && value <= high) return value;
    return absl::InvalidArgumentError(absl::StrCat("header: ", AbslView(key), " is \"",
                                                   text.substr(0, 60), "\", not a number from ",
                                                   low, " to ", high));
  }
  absl::StatusOr<absl::Time> Time(std::string_view key) {
    const std::string text = Text(key);
    absl::Time time;
    if (absl::ParseTime("%Y-%m-%d%ET%H:%M:%SZ", text, &time, nullptr)) return time;
    return absl::InvalidArgumentError(absl::StrCat("header: ", AbslView(key), " is \"",
                                                   text.substr(0, 60),
                                                   "\", not a time as 2026-11-21T18:52:00Z"));
  }
  // The first that nothing asked for.
  absl::Status CheckEmpty() const {
    if (values_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("header: key ", values_.begin()->first.substr(0, 60), " is not known"));
  }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

absl::StatusOr<Row> ParseRow(std::string_view line) {
  const std::vector<absl::string_view> cells = absl::StrSplit(AbslView(line), '\t');
  if (cells.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat(cells.size(), " columns; a row has loop hash, outcome, seconds and config"));
  }
  Row row;
  TESSERA_ASSIGN_OR_RETURN(row.loop_hash, HashFromHex(StdView(cells[0])));
  TESSERA_ASSIGN_OR_RETURN(row.outcome, db::ParseOutcome(StdView(cells[1])));
  if (row.outcome != db::Outcome::kOk && !db::IsCandidateFailure(row.outcome)) {
    return absl::InvalidArgumentError(
        absl::StrCat("outcome ", cells[1], " says nothing of a program"));
  }
  const bool is_ok = row.outcome == db::Outcome::kOk;
  if (is_ok ? !absl::SimpleAtod(cells[2], &row.seconds) || !std::isfinite(row.seconds) ||
                  row.seconds <= 0
            : !cells[2].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", cells[2].substr(0, 60), "\" is ",
        is_ok ? "not a number of seconds above 0" : "the time of a program that failed"));
  }
  if (cells[3].empty() || cells[3].size() > kMaxConfigBytes || HasControl(StdView(cells[3]))) {
    return absl::InvalidArgumentError(
        absl::StrCat("no config of 1 to ", kMaxConfigBytes, " bytes"));
  }
  row.config = std::string(cells[3]);
  return row;
}

absl::StatusOr<Dataset> FromHeader(Header& header) {
  Dataset dataset;
  dataset.task.name = header.Text("name");
  dataset.task.target = header.Text("target");
  dataset.task.workload = header.Text("workload");
  TESSERA_ASSIGN_OR_RETURN(const int64_t threads, header.Number("threads", 1, kMaxThreads));
  dataset.task.threads = static_cast<int>(threads);
  TESSERA_ASSIGN_OR_RETURN(dataset.task.cache_mode, db::ParseCacheMode(header.Text("cache")));
  TESSERA_ASSIGN_OR_RETURN(dataset.kind, ParseDatasetKind(header.Text("kind")));
  dataset.device_class = header.Text("class");
  dataset.cpu = header.Text("cpu");
  dataset.version = header.Text("version");
  dataset.commit = header.Text("commit");
  dataset.command = header.Text("command");
  dataset.remark = header.Text("remark");
  TESSERA_ASSIGN_OR_RETURN(dataset.first, header.Time("first"));
  TESSERA_ASSIGN_OR_RETURN(dataset.last, header.Time("last"));
  dataset.space = header.Text("space");
  dataset.pins = header.Text("pins");
  TESSERA_ASSIGN_OR_RETURN(const int64_t features, header.Number("features", 0, 1'000'000));
  dataset.feature_version = static_cast<int>(features);
  if (dataset.task.workload.empty() || dataset.task.target.empty()) {
    return absl::InvalidArgumentError("header: workload and target are needed");
  }
  return dataset;
}

}  // namespace

std::string_view ToString(DatasetKind kind) {
  return kind == DatasetKind::kSampled ? "sampled" : "enumerated";
}

absl::StatusOr<DatasetKind> ParseDatasetKind(std::string_view text) {
  for (const DatasetKind kind : {DatasetKind::kSampled, DatasetKind::kEnumerated}) {
    if (text == ToString(kind)) return kind;
  }
  return absl::InvalidArgumentError(absl::StrCat("kind is \"", AbslView(text.substr(0, 60)),
                                                 "\"; expected sampled or enumerated"));
}

std::string Print(const Dataset& dataset) {
  std::string text;
  PrintHeader(text, kFormatKey, absl::StrCat(kFormat));
  PrintHeader(text, "name", dataset.task.name);
  PrintHeader(text, "target", dataset.task.target);
  PrintHeader(text, "threads", absl::StrCat(dataset.task.threads));
  PrintHeader(text, "cache", db::ToString(dataset.task.cache_mode));
  PrintHeader(text, "class", dataset.device_class);
  PrintHeader(text, "cpu", dataset.cpu);
  PrintHeader(text, "version", dataset.version);
  PrintHeader(text, "commit", dataset.commit);
  PrintHeader(text, "command", dataset.command);
  PrintHeader(text, "remark", dataset.remark);
  PrintHeader(text, "first", TimeText(dataset.first));
  PrintHeader(text, "last", TimeText(dataset.last));
  PrintHeader(text, "kind", ToString(dataset.kind));
  PrintHeader(text, "space", dataset.space);
  PrintHeader(text, "pins", dataset.pins);
  PrintHeader(text, "features", absl::StrCat(dataset.feature_version));
  PrintHeader(text, "rows", absl::StrCat(dataset.rows.size()));
  PrintHeader(text, "workload", dataset.task.workload);
  for (const Row& row : dataset.rows) {
    absl::StrAppend(&text, HashToHex(row.loop_hash), "\t", AbslView(db::ToString(row.outcome)),
                    "\t");
    if (row.outcome == db::Outcome::kOk) absl::StrAppendFormat(&text, "%.6g", row.seconds);
    absl::StrAppend(&text, "\t", row.config, "\n");
  }
  return text;
}

absl::StatusOr<std::string> PrintReadable(const Dataset& dataset) {
  std::string text = Print(dataset);
  const absl::Status read = ParseDataset(text).status();
  if (!read.ok()) return Annotate(read, "nobody could read this data set");
  return text;
}

absl::StatusOr<Dataset> ParseDataset(std::string_view text) {
  if (text.size() > kMaxDatasetBytes) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxDatasetBytes, " bytes"));
  }
  Lines lines(text);
  TESSERA_ASSIGN_OR_RETURN(Header header, Header::Parse(lines));
  const std::string format = header.Text(kFormatKey);
  if (format != absl::StrCat(kFormat)) {
    int newer = 0;
    if (absl::SimpleAtoi(format, &newer) && newer > kFormat) {
      return absl::FailedPreconditionError(
          absl::StrCat("a data set of format ", newer, "; this version reads format ", kFormat));
    }
    return At(1, absl::StrCat("no data set: expected \"# ", kFormatKey, ": ", kFormat, "\""));
  }
  TESSERA_ASSIGN_OR_RETURN(const int64_t count, header.Number("rows", 1, kMaxRows));
  TESSERA_ASSIGN_OR_RETURN(Dataset dataset, FromHeader(header));
  TESSERA_RETURN_IF_ERROR(header.CheckEmpty());
  absl::flat_hash_set<uint64_t> hashes;
  while (!lines.done()) {
    const std::string_view line = lines.Next();
    absl::StatusOr<Row> row = ParseRow(line);
    if (!row.ok()) return At(lines.number(), StdView(row.status().message()));
    if (!hashes.insert(row->loop_hash).second) {
      return At(lines.number(),
                absl::StrCat("loop hash ", HashToHex(row->loop_hash), " comes again"));
    }
    if (static_cast<int64_t>(dataset.rows.size()) == count) break;
    dataset.rows.push_back(*std::move(row));
  }
  if (static_cast<int64_t>(hashes.size()) != count) {
    return At(lines.number(), absl::StrCat(hashes.size() > dataset.rows.size() ? "more than " : "",
                                           dataset.rows.size(), " rows; the header says ", count));
  }
  return dataset;
}

absl::StatusOr<Dataset> ReadDataset(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoStatus(errno, "cannot open", path);
  std::string text;
  std::string piece(1 << 20, '\0');
  // What the file says of its size may be wrong: a device.
  while (in && text.size() <= kMaxDatasetBytes) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece, 0, static_cast<size_t>(in.gcount()));
  }
  if (in.bad() || (text.empty() && !in.eof())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  }
  absl::StatusOr<Dataset> dataset = ParseDataset(text);
  if (!dataset.ok()) return Annotate(dataset.status(), path);
  return dataset;
}

}  // namespace tessera::replay
