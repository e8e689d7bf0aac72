#include "costmodel/boosting.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/status.h"
#include "costmodel/metrics.h"
#include "costmodel/split.h"

namespace tessera::costmodel {
namespace {

// Labels become integer grades: pairwise ranking only compares them.
constexpr float kGrades = 1000;
// Of the logarithm of the throughput: programs 32 times slower than the best, and failures, are
// equally bad.
constexpr float kWorstLog = -5;
// Thresholds tried a feature. The library's 256 take twice the time for 2,000 rows and rank
// held-out programs no better.
constexpr int kBins = 64;
// Trees without a better figure after which no better one is expected, AutoTVM's and ours.
constexpr int kAutoTvmPatience = 20, kPatience = 25;
// Fewer held-out rows can't tell how many trees are best, and to ask them doubles a fit.
constexpr size_t kMinToDecide = 25;
// AutoTVM's batch: its recall is that of so many.
constexpr size_t kRecalled = 64;

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

  absl::Status Set(const char* field, absl::Span<const float> values) {
    return Check(XGDMatrixSetFloatInfo(handle_, field, values.data(), values.size()), field);
  }
  absl::Status SetGroups(absl::Span<const int> sizes) {
    const std::vector<unsigned> groups(sizes.begin(), sizes.end());
    return Check(XGDMatrixSetUIntInfo(handle_, "group", groups.data(), groups.size()), "group");
  }

 private:
  Matrix() = default;
  DMatrixHandle handle_ = nullptr;
};

class Booster {
 public:
  // To be trained: `known` tell the number of columns, and what is predicted of them again and
  // again is kept.
  static absl::StatusOr<Booster> Make(std::vector<DMatrixHandle> known) {
    Booster booster;
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterCreate(known.data(), known.size(), &booster.handle_), "create"));
    return booster;
  }
  static absl::StatusOr<Booster> Load(std::string_view json) {
    TESSERA_ASSIGN_OR_RETURN(Booster booster, Make({}));
    const absl::Status status =
        Check(XGBoosterLoadModelFromBuffer(booster.handle_, json.data(), json.size()), "load");
    if (!status.ok()) return absl::DataLossError(std::string(status.message()));
    TESSERA_RETURN_IF_ERROR(booster.Set("nthread", "1"));
    return booster;
  }
  Booster(Booster&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Booster& operator=(Booster&&) = delete;
  ~Booster() {
    if (handle_ != nullptr) XGBoosterFree(handle_);
  }

  absl::Status Set(const char* name, const std::string& value) {
    return Check(XGBoosterSetParam(handle_, name, value.c_str()), name);
  }
  absl::Status AddTree(int round, const Matrix& data) {
    return Check(XGBoosterUpdateOneIter(handle_, round, data.handle()), "update");
  }
  // As XGBoosterPredictFromDMatrix numbers them.
  enum class Kind { kMargin = 1, kContributions = 2 };
  // `size` values, which live until the next call.
  absl::StatusOr<absl::Span<const float>> Predict(const Matrix& data, Kind kind,
                                                  size_t size) const {
    const std::string config = absl::StrCat(
        R"({"type": )", static_cast<int>(kind),
        R"(, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false})");
    const bst_ulong* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* result = nullptr;
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterPredictFromDMatrix(handle_, data.handle(), config.c_str(), &shape,
                                          &dimensions, &result),
              "predict"));
    return absl::MakeConstSpan(result, size);
  }
  // By column.
  absl::StatusOr<std::vector<double>> Gains(int columns) const {
    bst_ulong features = 0, dimensions = 0;
    const char** names = nullptr;
    const bst_ulong* shape = nullptr;
    const float* scores = nullptr;
    TESSERA_RETURN_IF_ERROR(
        Check(XGBoosterFeatureScore(handle_, R"({"importance_type": "total_gain"})", &features,
                                    &names, &dimensions, &shape, &scores),
              "importance"));
    std::vector<double> gains(columns, 0.0);
    for (bst_ulong i = 0; i < features; ++i) {
      int column = -1;  // "f12"
      if (!absl::SimpleAtoi(names[i] + 1, &column) || column < 0 || column >= columns) {
        return absl::InternalError(absl::StrCat("xgboost: importance of \"", names[i], "\""));
      }
      gains[column] = scores[i];
    }
    return gains;
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

// What the objective compares.
std::vector<float> LabelsOf(const TrainingData& data, Objective objective) {
  std::vector<float> labels;
  if (objective == Objective::kRanking) {
    for (const float label : data.labels) labels.push_back(std::round(label * kGrades));
    return labels;
  }
  for (const float label : data.labels) {
    labels.push_back(label > 0 ? std::max(std::log2(label), kWorstLog) : kWorstLog);
  }
  auto begin = labels.begin();
  for (const int size : GroupsOf(data)) {
    const float mean = std::accumulate(begin, begin + size, 0.0f) / static_cast<float>(size);
    for (const auto end = begin + size; begin != end; ++begin) *begin -= mean;
  }
  return labels;
}

absl::StatusOr<Matrix> MakeMatrix(const TrainingData& data, Objective objective) {
  TESSERA_ASSIGN_OR_RETURN(Matrix matrix, Matrix::Make(data.rows, data.columns));
  TESSERA_RETURN_IF_ERROR(matrix.Set("label", LabelsOf(data, objective)));
  if (objective == Objective::kRanking) {
    TESSERA_RETURN_IF_ERROR(matrix.SetGroups(GroupsOf(data)));
  }
  if (!data.margins.empty()) {
    TESSERA_RETURN_IF_ERROR(matrix.Set("base_margin", data.margins));
  }
  return matrix;
}

absl::StatusOr<Booster> MakeBooster(std::vector<DMatrixHandle> known,
                                    const BoostingOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(Booster booster, Booster::Make(std::move(known)));
  const std::pair<const char*, std::string> parameters[] = {
      {"objective",
       options.objective == Objective::kRanking ? "rank:pairwise" : "reg:squarederror"},
      {"base_score", "0"},
      {"nthread", "1"},
      {"seed", absl::StrCat(options.seed % 2147483647)},
      {"tree_method", "hist"},
      {"max_bin", absl::StrCat(kBins)},
      {"max_depth", absl::StrCat(options.max_depth)},
      {"eta", absl::StrCat(options.learning_rate)},
      {"colsample_bytree", absl::StrCat(options.column_share)},
      {"min_child_weight", "1"},
      {"gamma", "0.0001"},
      {"verbosity", "0"},
  };
  for (const auto& [name, value] : parameters) TESSERA_RETURN_IF_ERROR(booster.Set(name, value));
  if (options.objective == Objective::kRanking) {
    TESSERA_RETURN_IF_ERROR(booster.Set("num_pairsample", absl::StrCat(options.pairs)));
  }
  return booster;
}

// How many trees rank held-out rows best; `options.rounds` if none can be held out.
absl::StatusOr<int> RoundsByHeldOut(const TrainingData& data, const BoostingOptions& options) {
  if (options.max_rounds <= options.rounds) return options.rounds;
  const Split split = HoldOut(data, options.seed);
  const TrainingData& judged = split.held_out;
  if (judged.labels.size() < kMinToDecide) return options.rounds;
  TESSERA_ASSIGN_OR_RETURN(const Matrix kept, MakeMatrix(split.kept, options.objective));
  TESSERA_ASSIGN_OR_RETURN(const Matrix held, MakeMatrix(judged, options.objective));
  TESSERA_ASSIGN_OR_RETURN(Booster booster, MakeBooster({kept.handle(), held.handle()}, options));
  double best = -1;
  int best_rounds = 0;
  for (int rounds = 1; rounds <= options.max_rounds && rounds <= best_rounds + kPatience;
       ++rounds) {
    TESSERA_RETURN_IF_ERROR(booster.AddTree(rounds - 1, kept));
    TESSERA_ASSIGN_OR_RETURN(const absl::Span<const float> scores,
                             booster.Predict(held, Booster::Kind::kMargin, judged.labels.size()));
    const double accuracy = PairwiseAccuracy(scores, judged.labels, judged.groups);
    if (accuracy > best) {
      best = accuracy;
      best_rounds = rounds;
    }
  }
  return std::max(best_rounds, options.rounds);
}

// AutoTVM's measure of a fit: the mean over n < kRecalled of how many of the n programs with the
// highest scores are among the n + 1 fastest, ÷ (n + 1).
double AverageRecall(absl::Span<const float> scores, absl::Span<const float> labels) {
  const auto order_by = [](absl::Span<const float> values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return values[a] > values[b]; });
    return order;
  };
  const std::vector<size_t> fastest = order_by(labels), predicted = order_by(scores);
  std::vector<size_t> rank(labels.size());
  for (size_t i = 0; i < fastest.size(); ++i) rank[fastest[i]] = i;
  double sum = 0;
  for (size_t n = 0; n < std::min(kRecalled, predicted.size()); ++n) {
    const auto hits = std::count_if(predicted.begin(), predicted.begin() + static_cast<long>(n),
                                    [&](size_t i) { return rank[i] <= n; });
    sum += static_cast<double>(hits) / static_cast<double>(n + 1);
  }
  return sum / kRecalled;
}

}  // namespace

absl::StatusOr<Boosted> Boost(const TrainingData& data, const BoostingOptions& options) {
  const bool on_training = options.stopping == Stopping::kTrainingRecall;
  int rounds = options.max_rounds;
  if (!on_training) {
    TESSERA_ASSIGN_OR_RETURN(rounds, RoundsByHeldOut(data, options));
  }
  TESSERA_ASSIGN_OR_RETURN(const Matrix matrix, MakeMatrix(data, options.objective));
  TESSERA_ASSIGN_OR_RETURN(Booster booster, MakeBooster({matrix.handle()}, options));
  double best = -1;
  int best_round = 0;
  for (int round = 0; round < rounds; ++round) {
    TESSERA_RETURN_IF_ERROR(booster.AddTree(round, matrix));
    if (!on_training) continue;
    TESSERA_ASSIGN_OR_RETURN(const absl::Span<const float> scores,
                             booster.Predict(matrix, Booster::Kind::kMargin, data.labels.size()));
    if (const double recall = AverageRecall(scores, data.labels); recall > best) {
      best = recall;
      best_round = round;
    }
    if (round - best_round >= kAutoTvmPatience) break;
  }
  TESSERA_ASSIGN_OR_RETURN(std::string json, booster.ToJson());
  TESSERA_ASSIGN_OR_RETURN(TreeEnsemble trees, TreeEnsemble::FromBoosterJson(json));
  return Boosted{std::move(trees), std::move(json)};
}

namespace {

absl::StatusOr<std::vector<float>> PredictByLibrary(std::string_view json,
                                                    absl::Span<const float> rows, int columns,
                                                    Booster::Kind kind, size_t size) {
  TESSERA_ASSIGN_OR_RETURN(const Booster booster, Booster::Load(json));
  TESSERA_ASSIGN_OR_RETURN(const Matrix matrix, Matrix::Make(rows, columns));
  TESSERA_ASSIGN_OR_RETURN(const absl::Span<const float> values,
                           booster.Predict(matrix, kind, size));
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace

absl::StatusOr<std::vector<float>> LibraryPredict(std::string_view json,
                                                  absl::Span<const float> rows, int columns) {
  return PredictByLibrary(json, rows, columns, Booster::Kind::kMargin, rows.size() / columns);
}

absl::StatusOr<std::vector<float>> LibraryContributions(std::string_view json,
                                                        absl::Span<const float> rows, int columns) {
  return PredictByLibrary(json, rows, columns, Booster::Kind::kContributions,
                          rows.size() / columns * (columns + 1));
}

absl::StatusOr<std::vector<double>> LibraryGains(std::string_view json, int columns) {
  TESSERA_ASSIGN_OR_RETURN(const Booster booster, Booster::Load(json));
  return booster.Gains(columns);
}

}  // namespace tessera::costmodel
