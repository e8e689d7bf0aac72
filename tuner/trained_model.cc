#include "tuner/trained_model.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "costmodel/features.h"
#include "costmodel/model_format.h"
#include "db/record/validate.h"

namespace tessera::tuner {

absl::StatusOr<std::unique_ptr<const costmodel::CostModel>> ReadModel(const db::ModelInfo& info,
                                                                      std::string_view bytes) {
  const std::string what = absl::StrCat("model \"", info.name, "\"");
  if (const std::string digest = Sha256Hex(bytes); digest != info.digest) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": its bytes have the digest ", digest, ", stated is ", info.digest));
  }
  if (std::ranges::count(costmodel::kRowKinds, info.feature_version,
                         &costmodel::RowKind::version) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": of feature version ", info.feature_version, "; this build has ",
                     costmodel::ProgramFeatures(), ", train it anew"));
  }
  // Its seed is of fits only.
  absl::StatusOr<std::unique_ptr<costmodel::CostModel>> model =
      costmodel::MakeCostModel(info.cost_model, 0);
  if (!model.ok()) return Annotate(model.status(), what);
  TESSERA_RETURN_IF_ERROR(
      Annotate(costmodel::LoadOfPrograms(**model, info.feature_version, bytes), what));
  return *std::move(model);
}

absl::Status StoreModel(db::Store& store, const db::ModelInfo& info, std::string_view bytes) {
  TESSERA_RETURN_IF_ERROR(db::ValidateModel(info));
  TESSERA_RETURN_IF_ERROR(ReadModel(info, bytes).status());
  // Before its bytes are kept: a name that is taken leaves nothing behind.
  const absl::StatusOr<db::ModelInfo> stored = store.GetModelInfo(info.name);
  if (stored.ok()) return db::CheckIsSameModel(*stored, info);
  if (!absl::IsNotFound(stored.status())) return stored.status();
  TESSERA_RETURN_IF_ERROR(store.PutBlob(bytes).status());
  return store.PutModel(info);
}

}  // namespace tessera::tuner
