#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/quantized_model.h"
#include "compiler/graph/buckets.h"
#include "compiler/ir/target.h"
#include "compiler/te/operators.h"
#include "db/record/record.h"

namespace tessera::cli {

struct JobOperator {
  te::OpSpec spec;  // of a model's kernel its name alone
  te::Workload workload;
  double weight = 1;
};

// What a YAML job file asks for (examples/resnet18.yaml shows the form), or a model.
struct JobFile {
  std::string name;
  db::JobOptions options;
  std::string pins_place;  // "ops.yaml:3", where its pins stand; empty without pins
  db::CacheMode cache = db::CacheMode::kWarm;  // of the operators when they are timed
  std::vector<JobOperator> operators;
  // Of a model's file: its graphs, and as they are stored for the target of the operators.
  std::vector<graph::Bucket> model, stored;
  std::optional<ir::Target> layouts;          // of a model: stored as for this, whatever the target
  std::optional<CalibratedModel> calibrated;  // of a model in 8 bits: what it is made of
  bool has_unsigned_bytes = true;             // of a model in 8 bits: as of TakesUnsignedBytes
};

// Errors are InvalidArgument with path and line: unknown keys, wrong kinds, no operators, two
// operators of one name, names that a library can't export. NotFound when there is no such file.
// Attributes are checked by te::MakeWorkload.
absl::StatusOr<JobFile> ReadJobFile(const std::string& path);
absl::StatusOr<JobFile> ParseJobFile(const std::string& text, const std::string& path);

// A refusal of what `file` asks for, with the place in it where that is known: pins fit the spaces
// of operators or not, which are not known when the file is read.
absl::Status WithPlace(const absl::Status& refused, const JobFile& file);

// The tasks of `file` for a target (canonical text) and thread count.
absl::StatusOr<std::vector<db::Task>> MakeTasks(const JobFile& file, const std::string& target,
                                                int threads);

}  // namespace tessera::cli
