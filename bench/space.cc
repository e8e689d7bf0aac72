// Config spaces: size, distinctness of samples, and candidates from config to score a second on
// one core (medians of nine rounds). Writes build/bench/space.json (or the path given).

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/rng.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"
#include "costmodel/xgboost_model.h"
#include "schedule_space/config_space.h"

namespace {

using tessera::Rng;
namespace space = tessera::space;
namespace schedule = tessera::schedule;
namespace costmodel = tessera::costmodel;

constexpr int kSamples = 10'000;
constexpr int kRounds = 9;
constexpr uint64_t kSeed = 1;

template <typename Work>
double SecondsOf(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

nlohmann::ordered_json Measure(const tessera::te::OpSpec& spec) {
  const auto workload = tessera::te::MakeWorkload(spec).value();
  const auto target = tessera::ir::X86Target("avx512").value();
  const auto configs = space::BuildSpace(workload, target, 1).value();
  const space::SpaceSize size = configs.Size();

  Rng rng(kSeed);
  std::vector<space::Config> samples;
  const double sampling = SecondsOf([&] {
    for (int i = 0; i < kSamples; ++i) samples.push_back(configs.Sample(rng));
  });
  std::set<uint64_t> hashes;
  double applying = 0, bounding = 0;
  for (const space::Config& config : samples) {
    std::vector<schedule::Schedule> made;
    applying += SecondsOf([&] { made.push_back(configs.ToSchedule(config).value()); });
    schedule::LoopStructure loops;
    bounding += SecondsOf([&] { loops = schedule::InferBounds(made[0]).value(); });
    hashes.insert(schedule::LoopHash(made[0], loops));
  }
  const int columns = costmodel::FeatureCount(configs.target().kind);
  const std::vector<float> rows = costmodel::ConfigFeatures(configs, 1, samples).value();

  // A model of full size; what it learns doesn't matter here.
  costmodel::TrainingData data;
  data.columns = columns;
  const int trained = 2000;
  data.rows.assign(rows.begin(), rows.begin() + int64_t{trained} * columns);
  for (int i = 0; i < trained; ++i) {
    data.labels.push_back(static_cast<float>(rng.Uniform()) * data.rows[int64_t{i} * columns] / 64);
  }
  costmodel::XgboostModel model("xgboost", costmodel::RankingOptions(kSeed),
                                costmodel::kDraftWeight);
  costmodel::XgboostModel trees("trees", costmodel::RankingOptions(kSeed));
  absl::Status fitted;
  const double fitting = SecondsOf([&] { fitted = model.Fit(data); });
  fitted.Update(trees.Fit(data));
  if (!fitted.ok()) {
    std::cerr << "bench_space: " << fitted << '\n';
    std::exit(1);
  }
  double checksum = 0;
  std::vector<double> feature_rounds, predict_rounds;
  for (int round = 0; round < kRounds; ++round) {
    feature_rounds.push_back(
        SecondsOf([&] { costmodel::ConfigFeatures(configs, 1, samples).IgnoreError(); }));
    predict_rounds.push_back(SecondsOf([&] { model.Predict(rows, columns); }));
  }
  const double featuring = Median(feature_rounds), predicting = Median(predict_rounds);
  for (float score : trees.Predict(rows, columns)) checksum += score;
  const double library = SecondsOf([&] {
    const std::vector<float> scores =
        costmodel::LibraryPredict(trees.json(), rows, columns).value();
    for (float score : scores) checksum -= score;
  });
  return {{"workload", spec.name},
          {"configs", size.configs},
          {"standard_error", size.standard_error},
          {"counted_exactly", size.exact},
          {"samples", kSamples},
          {"distinct_loop_hashes", hashes.size()},
          {"features", columns},
          {"config_to_score_per_second", kSamples / (featuring + predicting)},
          {"sample_us", sampling / kSamples * 1e6},
          {"apply_us", applying / kSamples * 1e6},
          {"bounds_us", bounding / kSamples * 1e6},
          {"config_to_features_us", featuring / kSamples * 1e6},
          {"predict_us", predicting / kSamples * 1e6},
          {"xgboost_predict_us", library / kSamples * 1e6},
          {"fit_2000_rows_seconds", fitting},
          {"prediction_difference", checksum}};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "build/bench/space.json";
  using Attributes = std::map<std::string, std::string>;
  const auto conv = [](std::string name, const char* size, const char* ic, const char* oc,
                       const char* k, const char* stride, const char* pad) {
    return tessera::te::OpSpec{std::move(name), "conv2d",
                               Attributes{{"size", size},
                                          {"ic", ic},
                                          {"oc", oc},
                                          {"k", k},
                                          {"stride", stride},
                                          {"pad", pad},
                                          {"bias", "true"},
                                          {"relu", "true"},
                                          {"layout", "any"}}};
  };
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const tessera::te::OpSpec& spec :
       {conv("C2", "56", "64", "64", "3", "1", "1"), conv("C9", "14", "256", "256", "3", "1", "1"),
        conv("C3", "56", "64", "64", "1", "1", "0"),
        tessera::te::OpSpec{"512^3", "matmul",
                            Attributes{{"m", "512"}, {"n", "512"}, {"k", "512"}}}}) {
    all.push_back(Measure(spec));
    std::cout << all.back().dump(2) << std::endl;
  }
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << all.dump(2) << '\n';
}
