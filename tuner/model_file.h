#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "db/record/record.h"

// A trained model as a file (NAME.tsm): lines of what it is, an empty line, and its bytes, which
// are those of costmodel/model_format.h.

namespace tessera::tuner {

constexpr int kModelFileFormat = 1;

struct ModelFile {
  db::ModelInfo info;
  std::string bytes;
};

// Line ends in what is for people become spaces.
std::string Print(const ModelFile& file);

// What Print made: DataLoss for what it can't have made or other bytes of the model;
// FailedPrecondition for another format. Whether this build can use the model is ReadModel's to
// tell (trained_model.h).
absl::StatusOr<ModelFile> ParseModelFile(std::string_view text);

// Errors name the path: NotFound or PermissionDenied; InvalidArgument for what is no model's size.
absl::StatusOr<ModelFile> ReadModelFile(const std::string& path);

}  // namespace tessera::tuner
