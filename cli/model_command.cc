#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/model_training.h"
#include "tuner/model_file.h"
#include "tuner/trained_model.h"

namespace tessera::cli {
namespace {

absl::StatusOr<db::ModelInfo> FindModel(Client& client, const std::string& name) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::ModelInfo> models, client.ListModels());
  const auto found = std::ranges::find(models, name, &db::ModelInfo::name);
  if (found != models.end()) return std::move(*found);
  return absl::NotFoundError(
      absl::StrCat("no model is named \"", name, "\"; `tessera model list` shows those that are"));
}

}  // namespace

absl::Status RunModelTrain(const ModelTrainOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const ModelTraining training,
                           TrainModel(*client, options, [](std::string_view step) {
                             std::fprintf(stderr, "%s\n", std::string(step).c_str());
                           }));
  TESSERA_RETURN_IF_ERROR(client->PutModel(training.file));
  std::fputs((options.json ? ToJson(training) : ToTable(training)).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status RunModelList(const ModelOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::ModelInfo> models, client->ListModels());
  std::fputs((options.json ? ModelsJson(models) : ModelsTable(models)).c_str(), stdout);
  if (models.empty()) {
    std::fputs("no model yet; `tessera model train` makes one of the log\n", stderr);
  }
  return absl::OkStatus();
}

absl::Status RunModelShow(const ModelOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const db::ModelInfo model, FindModel(*client, options.name));
  std::fputs((options.json ? ModelJson(model) : ModelText(model)).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status RunModelExport(const ModelOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const tuner::ModelFile file, client->GetModel(options.name));
  const std::string path = options.file.empty() ? absl::StrCat(options.name, ".tsm") : options.file;
  TESSERA_RETURN_IF_ERROR(WriteFileDurably(path, absl::StrCat(path, ".part"), tuner::Print(file),
                                           /*sync=*/false));
  std::printf("%s: model %s, %zu bytes\n", path.c_str(), file.info.name.c_str(), file.bytes.size());
  return absl::OkStatus();
}

absl::Status RunModelImport(const ModelOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(tuner::ModelFile file, tuner::ReadModelFile(options.file));
  if (!options.name.empty()) file.info.name = options.name;
  if (const auto model = tuner::ReadModel(file.info, file.bytes); !model.ok()) {
    return Annotate(model.status(), options.file);
  }
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_RETURN_IF_ERROR(client->PutModel(file));
  std::printf("model %s is stored\n", file.info.name.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
