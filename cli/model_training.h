#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "db/record/record.h"
#include "tuner/model_file.h"
#include "tuner/train.h"

namespace tessera::cli {

// A model of a server's log, not yet stored.
struct ModelTraining {
  tuner::ModelFile file;
  std::vector<tuner::ProgramGroup> groups;
  std::vector<tuner::GroupQuality> held_out;
  std::map<std::string, std::string> labels;  // of tasks, by key
  int64_t programs_left_out = 0;              // whose traces this build can't apply
  int tasks_left_out = 0;                     // that it can't read
};

// Reads the log and trains, in minutes where it is long; `say` hears how far it is. Errors:
// InvalidArgument for a name that can't be, without programs enough, or with those of devices of
// several kinds, NotFound for a device class
// or task that the log has not, AlreadyExists for a model of that name.
absl::StatusOr<ModelTraining> TrainModel(Client& client, const ModelTrainOptions& options,
                                         const std::function<void(std::string_view)>& say);

// How it ranks the programs of workloads that were held out, a row a task and device class.
std::string ToTable(const ModelTraining& training);
std::string ToJson(const ModelTraining& training);

// Trained models, a row each, and one of them in full.
std::string ModelsTable(absl::Span<const db::ModelInfo> models);
std::string ModelText(const db::ModelInfo& model);
std::string ModelsJson(absl::Span<const db::ModelInfo> models);
std::string ModelJson(const db::ModelInfo& model);

}  // namespace tessera::cli
