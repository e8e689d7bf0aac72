#include "costmodel/draft.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "costmodel/features.h"
#include "costmodel/importance.h"
#include "costmodel/metrics.h"
#include "costmodel/model_format.h"
#include "costmodel/prior_model.h"
#include "costmodel/split.h"
#include "costmodel/xgboost_model.h"
#include "tests/costmodel/synthetic.h"
#include "tests/support/workloads.h"

namespace tessera::costmodel {
namespace {

float& At(std::vector<float>& row, std::string_view name) {
  for (int i = 0; i < FeatureCount(ir::TargetKind::kX86); ++i) {
    if (FeatureColumns(ir::TargetKind::kX86)[i].name == name) return row[i];
  }
  FAIL("no column " << name);
  return row[0];
}

// Of `count` samples of an operator's space on a target.
std::vector<float> SampledRows(const te::OpSpec& spec, const std::string& target, int threads,
                               int count, uint64_t seed) {
  const te::Workload workload = *te::MakeWorkload(spec);
  const absl::StatusOr<space::ConfigSpace> space =
      space::BuildSpace(workload, *ir::ParseTarget(target), threads);
  REQUIRE(space.ok());
  Rng rng(seed);
  std::vector<space::Config> configs;
  for (int i = 0; i < count; ++i) configs.push_back(space->Sample(rng));
  return *ConfigFeatures(*space, threads, configs);
}

TEST_CASE("every operator has a finite draft on every target", "[costmodel]") {
  constexpr const char* kTargets[] = {"x86/sse4.2 l1=32768 l2=1048576 threads=1",
                                      "x86/avx2 l1=32768 l2=1048576 threads=2",
                                      "x86/avx512,vnni,bf16 l1=49152 l2=1048576 threads=2",
                                      "aarch64/neon,dotprod,fp16 l1=65536 l2=524288 threads=2",
                                      "arm/neon l1=32768 l2=524288 threads=2"};
  const auto columns = static_cast<size_t>(FeatureCount(ir::TargetKind::kX86));
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    for (const char* target : kTargets) {
      CAPTURE(spec.name, target);
      const std::vector<float> rows = SampledRows(spec, target, 1, 2, 11);
      for (size_t at = 0; at < rows.size(); at += columns) {
        const double seconds = DraftSeconds(absl::MakeConstSpan(rows).subspan(at, columns));
        CHECK(std::isfinite(seconds));
        CHECK(seconds > 0);
        CHECK(seconds < 1);  // they are small
      }
    }
  }
}

TEST_CASE("more work of any kind takes longer, more threads less", "[costmodel]") {
  const std::vector<float> row =
      SampledRows({"p", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}},
                  "x86/avx512 l1=32768 l2=1048576 threads=2", 1, 1, 5);
  const double seconds = DraftSeconds(row);
  for (const char* more : {"stages.vectors", "stages.loads", "stages.bodies", "stages.l1_traffic",
                           "stages.l2_traffic", "stages.l3_traffic"}) {
    CAPTURE(more);
    std::vector<float> changed = row;
    At(changed, more) += 4;  // 16 times
    CHECK(DraftSeconds(changed) > 1.01 * seconds);
  }
  std::vector<float> fits = row;
  At(fits, "accumulators_per_register") = 1;
  std::vector<float> spills = row;
  At(spills, "accumulators_per_register") = 2;
  CHECK(DraftSeconds(fits) <= seconds);
  CHECK(DraftSeconds(spills) > 1.1 * DraftSeconds(fits));
  // What is read element by element costs by elements: with lanes side by side it was a load.
  std::vector<float> gathered = row;
  At(gathered, "buffer1.gathered") = 1;
  const double apart = DraftSeconds(gathered);
  CHECK(apart > 1.01 * seconds);
  At(gathered, "buffer1.body_elements") += 1;
  CHECK(DraftSeconds(gathered) > 1.01 * apart);
  // Three iterations for two threads: one works twice as long as the other.
  std::vector<float> shared = row;
  At(shared, "target.threads") = std::log2(3.0F);
  At(shared, "parallel.extent") = std::log2(4.0F);
  At(shared, "parallel.balance") = 0.75F;
  CHECK(DraftSeconds(shared) == Approx(seconds / 1.5).epsilon(0.01));
}

TEST_CASE("the draft ranks by its seconds, whatever it is fitted to", "[costmodel]") {
  TrainingData data;
  data.columns = FeatureCount(ir::TargetKind::kX86);
  data.rows = SampledRows({"p", "matmul", {{"m", "48"}, {"n", "96"}, {"k", "64"}}},
                          "x86/avx2 l1=32768 l2=1048576 threads=1", 1, 64, 3);
  for (int i = 0; i < 64; ++i) {
    const double seconds =
        DraftSeconds(absl::MakeConstSpan(data.rows).subspan(i * data.columns, data.columns));
    data.labels.push_back(static_cast<float>(1e-9 / seconds));
  }
  const auto model = *MakeCostModel("draft", 1);
  const std::vector<float> scores = model->Predict(data.rows, data.columns);
  CHECK(PairwiseAccuracy(scores, data.labels) > 0.999);
  REQUIRE(model->Fit(data).ok());
  CHECK(model->Predict(data.rows, data.columns) == scores);

  const std::string bytes = *model->Save();
  CHECK((*MakeCostModel("draft", 2))->Load(bytes).ok());
  CHECK(model->Load(bytes + "x").code() == absl::StatusCode::kDataLoss);
  CHECK(model->Load("").code() == absl::StatusCode::kDataLoss);
  CHECK((*MakeCostModel("xgboost", 1))->Load(bytes).code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(std::string(model->Fit(Synthetic(1, 10)).message()) ==
        absl::StrCat("draft: rows of 12 columns; those of programs have ", ProgramColumns()));
}

TEST_CASE("xgboost corrects the draft", "[costmodel]") {
  TrainingData data;
  data.columns = FeatureCount(ir::TargetKind::kX86);
  data.rows = SampledRows({"p", "matmul", {{"m", "48"}, {"n", "96"}, {"k", "64"}}},
                          "x86/avx2 l1=32768 l2=1048576 threads=1", 1, 64, 4);
  const std::vector<float> drafts = DraftModel().Predict(data.rows, data.columns);
  const std::unique_ptr<CostModel> model = *MakeCostModel("xgboost", 1);
  // Where nothing contradicts it.
  data.labels.assign(64, 0.5F);
  REQUIRE(model->Fit(data).ok());
  std::vector<float> scores = model->Predict(data.rows, data.columns);
  for (size_t i = 0; i < scores.size(); ++i) CHECK(scores[i] == Approx(2 * drafts[i]).margin(1e-3));
  // Where everything does.
  const float best = *std::max_element(drafts.begin(), drafts.end());
  for (size_t i = 0; i < drafts.size(); ++i) data.labels[i] = 1 - std::exp2(drafts[i] - best);
  REQUIRE(model->Fit(data).ok());
  scores = model->Predict(data.rows, data.columns);
  CHECK(PairwiseAccuracy(scores, data.labels) > 0.9);
  const std::unique_ptr<CostModel> again = *MakeCostModel("xgboost", 1);
  REQUIRE(again->Load(*model->Save()).ok());
  CHECK(again->Predict(data.rows, data.columns) == scores);
}

TEST_CASE("trees can begin with the draft", "[costmodel]") {
  TrainingData data;
  data.columns = FeatureCount(ir::TargetKind::kX86);
  data.rows = SampledRows({"p", "matmul", {{"m", "48"}, {"n", "96"}, {"k", "64"}}},
                          "x86/avx2 l1=32768 l2=1048576 threads=1", 1, 128, 4);
  const std::vector<float> scores = DraftModel().Predict(data.rows, data.columns);
  const float best = *std::max_element(scores.begin(), scores.end());
  for (const float score : scores) data.labels.push_back(std::exp2(score - best));
  // Of a machine that is as the draft says, it tells more than a few measurements.
  TrainingData few = data;
  few.rows.resize(size_t{12} * data.columns);
  few.labels.resize(12);
  const auto with = *PriorModel::Make(std::make_shared<DraftModel>(), 1);
  REQUIRE(with->Fit(few).ok());
  XgboostModel without("trees", RankingOptions(1));
  REQUIRE(without.Fit(few).ok());
  const double drafted = PairwiseAccuracy(with->Predict(data.rows, data.columns), data.labels);
  const double alone = PairwiseAccuracy(without.Predict(data.rows, data.columns), data.labels);
  CAPTURE(drafted, alone);
  CHECK(drafted > alone + 0.05);
  // It counts once: where nothing contradicts it, its standard scores remain.
  few.labels.assign(12, 0.5F);
  REQUIRE(with->Fit(few).ok());
  const std::vector<float> said = with->Predict(few.rows, few.columns);
  double sum = 0, squares = 0;
  for (const float score : said) sum += score, squares += score * score;
  CHECK(sum == Approx(0).margin(1e-3));
  CHECK(squares / 12 == Approx(1).epsilon(1e-3));
}

TEST_CASE("importance is of what the trees correct, quality of the whole model", "[costmodel]") {
  TrainingData data;
  data.columns = FeatureCount(ir::TargetKind::kX86);
  data.rows = SampledRows({"p", "matmul", {{"m", "48"}, {"n", "96"}, {"k", "64"}}},
                          "x86/avx2 l1=32768 l2=1048576 threads=1", 1, 200, 6);
  const std::vector<float> drafts = DraftScores(data.rows, data.columns);
  const float best = *std::max_element(drafts.begin(), drafts.end());
  for (const float draft : drafts) data.labels.push_back(std::exp2(draft - best));
  std::vector<std::string> names;
  for (const FeatureColumn& column : FeatureColumns(ir::TargetKind::kX86))
    names.push_back(column.name);
  const Explanation explanation = *Explain(data, names, 1);
  const Split split = HoldOut(data, 1);
  const auto whole = *MakeCostModel("xgboost", 1);
  REQUIRE(whole->Fit(split.kept).ok());
  XgboostModel trees("trees", RankingOptions(1));
  REQUIRE(trees.Fit(split.kept).ok());
  const auto quality = [&](const CostModel& model) {
    return PairwiseAccuracy(model.Predict(split.held_out.rows, data.columns),
                            split.held_out.labels);
  };
  REQUIRE(explanation.held_out);
  CHECK(explanation.held_out->pairwise == quality(*whole));
  CHECK(quality(*whole) >= quality(trees));
}

}  // namespace
}  // namespace tessera::costmodel
