#include "server/shipped_models.h"

#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "tuner/model_file.h"
#include "tuner/trained_model.h"

namespace tessera::server {
namespace {

constexpr char kExtension[] = ".tsm";

// In the order of their names.
std::set<std::string> ModelFilesOf(const std::string& folder) {
  std::set<std::string> paths;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (entry.path().extension() == kExtension) paths.insert(entry.path().string());
  }
  return paths;
}

}  // namespace

absl::Status ImportShippedModels(db::Store& store, const std::string& folder) {
  for (const std::string& path : ModelFilesOf(folder)) {
    const absl::StatusOr<tuner::ModelFile> file = tuner::ReadModelFile(path);
    if (!file.ok()) {
      LogWarning(absl::StrCat("a shipped model is passed over: ", file.status().message()));
      continue;
    }
    const absl::StatusOr<db::ModelInfo> stored = store.GetModelInfo(file->info.name);
    if (stored.ok()) continue;
    if (!absl::IsNotFound(stored.status())) return stored.status();
    if (const auto model = tuner::ReadModel(file->info, file->bytes); !model.ok()) {
      LogWarning(
          absl::StrCat("a shipped model is passed over: ", path, ": ", model.status().message()));
      continue;
    }
    TESSERA_RETURN_IF_ERROR(tuner::StoreModel(store, file->info, file->bytes));
    LogInfo(
        absl::StrCat("model ", file->info.name, " is shipped with this release and now stored"));
  }
  return absl::OkStatus();
}

std::string ShippedModelsFolder(const std::string& program) {
  const std::filesystem::path bin = std::filesystem::path(program).parent_path();
  return (bin.parent_path() / "share/tessera/models").string();
}

}  // namespace tessera::server
