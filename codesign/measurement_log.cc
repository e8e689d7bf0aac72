#include "codesign/measurement_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::codesign {
namespace {

using Json = nlohmann::ordered_json;

// Raised when lines mean something else.
constexpr int kVersion = 1;

std::string HeaderOf(std::string_view version) {
  return Json{{"tessera_codesign", kVersion}, {"settings", version}}.dump();
}

std::string LineOf(uint64_t key, const Measured& measured) {
  Json line = {{"key", HashToHex(key)}};
  if (!measured.failure.empty()) {
    line["failure"] = measured.failure;
    return line.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  const Activity& a = measured.activity;
  line["cycles"] = a.cycles;
  line["products"] = a.products;
  line["resets"] = a.resets;
  line["operations"] = a.operations;
  line["second_reads"] = a.second_reads;
  line["tiles_moved"] = a.tiles_moved;
  line["dram_bytes"] = a.dram_bytes;
  return line.dump();
}

std::optional<std::pair<uint64_t, Measured>> ParseLine(std::string_view text) {
  const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    const absl::StatusOr<uint64_t> key = HashFromHex(line.at("key").get<std::string>());
    if (!key.ok()) return std::nullopt;
    Measured measured;
    if (line.contains("failure")) {
      measured.failure = line.at("failure").get<std::string>();
      if (measured.failure.empty()) return std::nullopt;
      return std::pair(*key, measured);
    }
    Activity& a = measured.activity;
    a.cycles = line.at("cycles").get<double>();
    a.products = line.at("products").get<double>();
    a.resets = line.at("resets").get<double>();
    a.operations = line.at("operations").get<double>();
    a.second_reads = line.at("second_reads").get<double>();
    a.tiles_moved = line.at("tiles_moved").get<decltype(a.tiles_moved)>();
    a.dram_bytes = line.at("dram_bytes").get<double>();
    return std::pair(*key, measured);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

absl::StatusOr<std::string> ReadAll(int file, const std::string& path) {
  std::string text;
  char part[1 << 16];
  for (;;) {
    const ssize_t count = read(file, part, sizeof(part));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "cannot read", path);
    if (count == 0) return text;
    text.append(part, static_cast<size_t>(count));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<MeasurementLog>> MeasurementLog::Open(const std::string& path,
                                                                     std::string_view version) {
  auto log = std::make_unique<MeasurementLog>();
  log->path_ = path;
  log->file_.Reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!log->file_.valid()) return ErrnoStatus(errno, "cannot open", path);
  struct stat about;
  if (fstat(log->file_.get(), &about) != 0) return ErrnoStatus(errno, "cannot read", path);
  if (!S_ISREG(about.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is no file; name one for the log"));
  }
  absl::MutexLock file(&log->file_mutex_);
  // What is no log is refused before anything is made beside it.
  TESSERA_RETURN_IF_ERROR(log->ReadFile(version));
  TESSERA_ASSIGN_OR_RETURN(FileLock lock,
                           FileLock::Acquire(path + ".lock", absl::StrCat("the log ", path),
                                             "wait for it, or name another file"));
  log->lock_.emplace(std::move(lock));
  TESSERA_RETURN_IF_ERROR(log->ReadFile(version));  // others had it until now
  // Without the line that was cut off.
  if (ftruncate(log->file_.get(), log->bytes_) != 0 ||
      lseek(log->file_.get(), log->bytes_, SEEK_SET) < 0) {
    return ErrnoStatus(errno, "cannot write to", path);
  }
  if (log->bytes_ == 0) TESSERA_RETURN_IF_ERROR(log->Append(HeaderOf(version)));
  return log;
}

absl::Status MeasurementLog::ReadFile(std::string_view version) {
  if (lseek(file_.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "cannot read", path_);
  TESSERA_ASSIGN_OR_RETURN(const std::string text, ReadAll(file_.get(), path_));
  return Parse(text, version);
}

absl::Status MeasurementLog::Parse(std::string_view text, std::string_view version) {
  absl::MutexLock lock(&mutex_);
  measured_.clear();
  bytes_ = 0;
  for (int64_t number = 1;; ++number) {
    const size_t end = text.find('\n', static_cast<size_t>(bytes_));
    if (end == std::string_view::npos) break;
    const std::string_view line = text.substr(static_cast<size_t>(bytes_), end - bytes_);
    if (number == 1) {
      const Json header = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!header.is_object() || !header.contains("tessera_codesign")) {
        return absl::InvalidArgumentError(
            absl::StrCat(path_, ": is no log of codesign; name another file"));
      }
      if (line != HeaderOf(version)) {
        const Json other = header.value("settings", Json());
        return absl::InvalidArgumentError(absl::StrCat(
            path_, ": is the log of Tessera ", other.dump(), ", whose cycles may not be those of ",
            AbslView(version), "; name another file"));
      }
    } else {
      auto parsed = ParseLine(line);
      if (!parsed) {
        return absl::DataLossError(
            absl::StrCat(path_, ":", number, ": is no measurement; the file is damaged"));
      }
      measured_.insert(*std::move(parsed));
    }
    bytes_ = static_cast<int64_t>(end) + 1;
  }
  if (bytes_ == 0 && !text.empty() && !std::string_view(HeaderOf(version)).starts_with(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": is no log of codesign; name another file"));
  }
  return absl::OkStatus();
}

std::optional<Measured> MeasurementLog::Find(uint64_t key) const {
  absl::MutexLock lock(&mutex_);
  const auto found = measured_.find(key);
  if (found == measured_.end()) return std::nullopt;
  return found->second;
}

size_t MeasurementLog::size() const {
  absl::MutexLock lock(&mutex_);
  return measured_.size();
}

absl::Status MeasurementLog::Add(uint64_t key, const Measured& measured) {
  absl::MutexLock file(&file_mutex_);
  if (Find(key)) return absl::OkStatus();
  // Only what is on disk is known: who finds it may rely on it.
  if (file_.valid()) TESSERA_RETURN_IF_ERROR(Append(LineOf(key, measured)));
  absl::MutexLock lock(&mutex_);
  measured_.emplace(key, measured);
  return absl::OkStatus();
}

absl::Status MeasurementLog::Append(std::string_view line) {
  TESSERA_RETURN_IF_ERROR(broken_);
  const std::string text = absl::StrCat(AbslView(line), "\n");
  broken_ = Write(text);
  if (broken_.ok()) {
    bytes_ += std::ssize(text);
  } else if (ftruncate(file_.get(), bytes_) != 0) {
    // Nothing comes behind the part of a line that stays, so that opening drops it.
  }
  return broken_;
}

absl::Status MeasurementLog::Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file_.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "cannot write to", path_);
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (fdatasync(file_.get()) != 0) return ErrnoStatus(errno, "cannot write to", path_);
  return absl::OkStatus();
}

}  // namespace tessera::codesign
