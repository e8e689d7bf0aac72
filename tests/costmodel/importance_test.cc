#include "costmodel/importance.h"

#include <catch2/catch.hpp>

#include "tests/costmodel/synthetic.h"

namespace tessera::costmodel {
namespace {

TEST_CASE("importance finds the columns that matter, and tells how well held-out rows are ranked",
          "[costmodel]") {
  std::vector<std::string> names;
  for (int i = 0; i < kColumns; ++i) names.push_back("column" + std::to_string(i));
  const Explanation explanation = *Explain(Synthetic(6, 400), names, 1);
  REQUIRE(explanation.features.size() >= 3);
  CHECK(explanation.features[0].feature == "column5");
  CHECK(explanation.features[1].feature == "column2");
  CHECK(explanation.features[0].mean_shap > explanation.features[2].mean_shap);
  double gain = 0;
  for (const FeatureImportance& feature : explanation.features) gain += feature.gain;
  CHECK(gain == Approx(1));
  REQUIRE(explanation.held_out);
  CHECK(explanation.held_out->programs > 50);
  CHECK(explanation.held_out->pairwise > 0.8);
  CHECK(explanation.held_out->top1 <= explanation.held_out->top5);
  CHECK(explanation.held_out->top5 > 0.9);
  CHECK_FALSE(Explain(Synthetic(6, 20), names, 1)->held_out);
}

}  // namespace
}  // namespace tessera::costmodel
