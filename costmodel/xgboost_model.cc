#include "costmodel/xgboost_model.h"

#include <xgboost/c_api.h>

#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/status.h"
#include "base/view.h"
#include "costmodel/features.h"

namespace tessera::costmodel {
namespace {

constexpr std::string_view kHeader = "tessera xgboost model 2\n";
// Labels become integer grades: pairwise ranking only compares them.
constexpr float kGrades = 1000;
// Thresholds tried a feature. The library's 256 take twice the time for 2,000 rows and rank
// held-out programs no better.
constexpr int kBins = 64;

absl::Status Check(int result, std::string_view what) {
  if (result == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("xgboost: ", std::string(what), ": ", XGBGetLastError()));
}

class Matrix {
 public:
  static absl::StatusOr<Matrix> Make(absl::Span<const float> rows, int columns) {
    Matrix matrix;
    TESSERA_RETURN_IF_ERROR(Check(XGDMatrixCreateFromMat(rows.data(), rows.size() / columns,
                                                         columns, std::nanf(""), &matrix.handle_),
                                  "rows"));
    return matrix;
  }
  Matrix(Matrix&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Matrix& operator=(Matrix&&) = delete;
  ~Matrix() {
    if (handle_ != nullptr) XGDMatrixFree(handle_);
  }
  DMatrixHandle handle() const { return handle_; }

 private:
  Matrix() = default;
  DMatrixHandle handle_ = nullptr;
};

class Booster {
 public:
  // `trained_on` tells the number of columns; a booster to be loaded has it already.
  static absl::StatusOr<Booster> Make(const Matrix* trained_on = nullptr) {
    Booster booster;
    const DMatrixHandle data = trained_on == nullptr ? nullptr : trained_on->handle();
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterCreate(&data, trained_on == nullptr ? 0 : 1, &booster.handle_), "create"));
    return booster;
  }
  Booster(Booster&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Booster& operator=(Booster&&) = delete;
  ~Booster() {
    if (handle_ != nullptr) XGBoosterFree(handle_);
  }
  BoosterHandle handle() const { return handle_; }

  absl::Status Set(const char* name, const std::string& value) {
    return Check(XGBoosterSetParam(handle_, name, value.c_str()), name);
  }
  absl::Status LoadJson(std::string_view json) {
    absl::Status status =
        Check(XGBoosterLoadModelFromBuffer(handle_, json.data(), json.size()), "load");
    return status.ok() ? status : absl::DataLossError(std::string(status.message()));
  }
  absl::StatusOr<std::string> ToJson() const {
    bst_ulong size = 0;
    const char* bytes = nullptr;
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterSaveModelToBuffer(handle_, R"({"format": "json"})", &size, &bytes), "save"));
    return std::string(bytes, size);
  }

 private:
  Booster() = default;
  BoosterHandle handle_ = nullptr;
};

}  // namespace

absl::Status XgboostModel::Fit(const TrainingData& data) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  TESSERA_ASSIGN_OR_RETURN(Matrix matrix, Matrix::Make(data.rows, data.columns));
  std::vector<float> grades;
  for (float label : data.labels) grades.push_back(std::round(label * kGrades));
  TESSERA_RETURN_IF_ERROR(Check(
      XGDMatrixSetFloatInfo(matrix.handle(), "label", grades.data(), grades.size()), "labels"));
  std::vector<unsigned> groups(data.groups.begin(), data.groups.end());
  if (groups.empty()) groups.push_back(static_cast<unsigned>(data.labels.size()));
  TESSERA_RETURN_IF_ERROR(Check(
      XGDMatrixSetUIntInfo(matrix.handle(), "group", groups.data(), groups.size()), "groups"));

  TESSERA_ASSIGN_OR_RETURN(Booster booster, Booster::Make(&matrix));
  TESSERA_RETURN_IF_ERROR(booster.Set("objective", "rank:pairwise"));
  TESSERA_RETURN_IF_ERROR(booster.Set("nthread", "1"));
  TESSERA_RETURN_IF_ERROR(booster.Set("seed", absl::StrCat(options_.seed % 2147483647)));
  TESSERA_RETURN_IF_ERROR(booster.Set("tree_method", "hist"));
  TESSERA_RETURN_IF_ERROR(booster.Set("max_bin", absl::StrCat(kBins)));
  TESSERA_RETURN_IF_ERROR(booster.Set("max_depth", absl::StrCat(options_.max_depth)));
  TESSERA_RETURN_IF_ERROR(booster.Set("eta", absl::StrCat(options_.learning_rate)));
  TESSERA_RETURN_IF_ERROR(booster.Set("min_child_weight", "1"));
  TESSERA_RETURN_IF_ERROR(booster.Set("gamma", "0.0001"));
  TESSERA_RETURN_IF_ERROR(booster.Set("verbosity", "0"));
  for (int i = 0; i < options_.rounds; ++i) {
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterUpdateOneIter(booster.handle(), i, matrix.handle()), "update"));
  }
  TESSERA_ASSIGN_OR_RETURN(std::string json, booster.ToJson());
  TESSERA_ASSIGN_OR_RETURN(TreeEnsemble trees, TreeEnsemble::FromBoosterJson(json));
  booster_ = std::move(json);
  columns_ = data.columns;
  trees_ = std::move(trees);
  return absl::OkStatus();
}

std::vector<float> XgboostModel::Predict(absl::Span<const float> rows, int columns) const {
  if (!trees_) return std::vector<float>(rows.size() / columns, 0.0f);
  TESSERA_CHECK(columns == columns_);
  return trees_->Predict(rows, columns);
}

absl::StatusOr<std::vector<float>> XgboostModel::LibraryPredict(absl::Span<const float> rows,
                                                                int columns) const {
  if (booster_.empty()) {
    return absl::FailedPreconditionError("xgboost: the model was not fitted here");
  }
  TESSERA_ASSIGN_OR_RETURN(Booster booster, Booster::Make());
  TESSERA_RETURN_IF_ERROR(booster.LoadJson(booster_));
  TESSERA_RETURN_IF_ERROR(booster.Set("nthread", "1"));
  TESSERA_ASSIGN_OR_RETURN(Matrix matrix, Matrix::Make(rows, columns));
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  TESSERA_RETURN_IF_ERROR(
      Check(XGBoosterPredictFromDMatrix(booster.handle(), matrix.handle(),
                                        R"({"type": 1, "training": false, "iteration_begin": 0,
                                      "iteration_end": 0, "strict_shape": false})",
                                        &shape, &dimensions, &result),
            "predict"));
  return std::vector<float>(result, result + rows.size() / columns);
}

// Header, feature version, columns, trees.
absl::StatusOr<std::string> XgboostModel::Save() const {
  if (!trees_) return absl::FailedPreconditionError("xgboost: the model is not fitted");
  return absl::StrCat(AbslView(kHeader), kFeatureVersion, " ", columns_, "\n", trees_->ToBytes());
}

absl::Status XgboostModel::Load(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("xgboost model: damaged");
  if (!bytes.starts_with("tessera xgboost model ")) return damaged;
  if (!bytes.starts_with(kHeader)) {
    return absl::FailedPreconditionError("xgboost model: another format version");
  }
  bytes.remove_prefix(kHeader.size());
  const size_t space = bytes.find(' '), line = bytes.find('\n');
  int version = 0, columns = 0;
  if (space == std::string_view::npos || line == std::string_view::npos || space > line ||
      !absl::SimpleAtoi(std::string(bytes.substr(0, space)), &version) ||
      !absl::SimpleAtoi(std::string(bytes.substr(space + 1, line - space - 1)), &columns)) {
    return damaged;
  }
  if (version != kFeatureVersion) {
    return absl::FailedPreconditionError(absl::StrCat("xgboost model: of feature version ", version,
                                                      "; this build has ", kFeatureVersion));
  }
  TESSERA_ASSIGN_OR_RETURN(TreeEnsemble trees, TreeEnsemble::FromBytes(bytes.substr(line + 1)));
  if (columns < trees.columns_used()) return damaged;
  booster_.clear();
  columns_ = columns;
  trees_ = std::move(trees);
  return absl::OkStatus();
}

}  // namespace tessera::costmodel
