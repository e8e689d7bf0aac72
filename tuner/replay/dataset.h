#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"

namespace tessera::replay {

enum class DatasetKind : uint8_t {
  kSampled,    // some programs of a space
  kEnumerated  // every program of a part of a space
};
std::string_view ToString(DatasetKind kind);  // "sampled", "enumerated"
absl::StatusOr<DatasetKind> ParseDatasetKind(std::string_view text);

// One measured program.
struct Row {
  std::string config;                      // named knobs as JSON
  uint64_t loop_hash = 0;                  // of the program that the config stood for
  db::Outcome outcome = db::Outcome::kOk;  // or a failure of the candidate
  double seconds = 0;                      // above zero; 0 unless ok
  bool operator==(const Row&) const = default;
};

// What was measured of one task on one device class, and how it came about. Unknown texts are
// empty.
struct Dataset {
  db::Task task;  // of weight 1
  DatasetKind kind = DatasetKind::kSampled;
  std::string device_class;
  std::string cpu;         // what the device class is, for people
  std::string version;     // of the Tessera that measured
  std::string commit;      // of its sources
  std::string command;     // that made the data set
  absl::Time first, last;  // when the rows were measured, in whole seconds
  std::string remark;      // on how it was measured, for people
  std::string space;       // digest of the space (SpaceDigest) that the configs are of
  std::string pins;        // of the part of it (schedule_space/pins.h) that they are of; empty: all
  int feature_version = 0;  // of the build that made the data set
  std::vector<Row> rows;    // of distinct loop hashes
  bool operator==(const Dataset&) const = default;
};

// docs/replay.md describes the format: lines of text, "# key: value" first, then one row each.
// Seconds are kept to six digits.
std::string Print(const Dataset& dataset);
// The same; InvalidArgument for what ParseDataset would refuse.
absl::StatusOr<std::string> PrintReadable(const Dataset& dataset);

// Believes nothing: InvalidArgument, naming the line and what is wrong with it, for what is not of
// the format, larger than the limits below or cut short; FailedPrecondition for a newer format.
absl::StatusOr<Dataset> ParseDataset(std::string_view text);
inline constexpr size_t kMaxDatasetBytes = size_t{256} << 20;
inline constexpr size_t kMaxHeaderBytes = size_t{2} << 20;
inline constexpr size_t kMaxRows = 500'000;
inline constexpr size_t kMaxConfigBytes = size_t{16} << 10;

// Of a file. Errors name the path, too; NotFound where there is no such file.
absl::StatusOr<Dataset> ReadDataset(const std::string& path);

}  // namespace tessera::replay
