#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "base/hash.h"
#include "base/rng.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "costmodel/model_format.h"
#include "tuner/model_file.h"

namespace tessera::test {

// A model of 40 programs that are the faster the larger their first feature is. Seeds make
// different ones.
inline tuner::ModelFile SmallModel(const std::string& name, uint64_t seed = 1) {
  Rng rng(seed);
  costmodel::TrainingData data;
  data.columns = costmodel::FeatureCount(ir::TargetKind::kX86);
  for (int i = 0; i < 40; ++i) {
    for (int c = 0; c < data.columns; ++c) data.rows.push_back(static_cast<float>(rng.Uniform()));
    data.labels.push_back(data.rows[static_cast<size_t>(i) * data.columns]);
  }
  tuner::ModelFile file;
  const auto fitted = costmodel::MakeCostModel("regression", 1).value();
  REQUIRE(fitted->Fit(data).ok());
  file.bytes = fitted->Save().value();
  file.info.name = name;
  file.info.digest = Sha256Hex(file.bytes);
  file.info.cost_model = "regression";
  file.info.feature_version = costmodel::kCpuFeatureVersion;
  file.info.device_classes = {"x86/fake"};
  file.info.tasks = 1;
  file.info.records = 40;
  file.info.origin = "a test";
  file.info.pairwise_accuracy = 1.0 / 3;
  file.info.top1 = 0.5;
  return file;
}

// Of the kind of SmallModel: no tree, and what its head states of the columns.
inline std::string ModelOfNoTrees(int columns, int32_t columns_used) {
  // The draft's weight (0), trees, depth, columns, base score.
  const int32_t head[] = {0, 0, 0, columns_used, 0};
  return costmodel::ModelHead("regression", columns) +
         std::string(reinterpret_cast<const char*>(head), sizeof(head));
}

}  // namespace tessera::test
