#pragma once

#include <cmath>

#include "absl/types/span.h"
#include "base/rng.h"
#include "costmodel/cost_model.h"

namespace tessera::costmodel {

constexpr int kColumns = 12;

// Throughput that depends on three of the columns (2, 5 and 7), one of them not monotonically.
inline float Truth(absl::Span<const float> row) {
  return 0.5f * row[2] + 0.3f * (row[5] > 0.6f ? 1.0f : 0.0f) +
         0.2f * (1 - std::abs(row[7] - 0.4f));
}

// Rows of columns in [0, 1) and their truth.
inline TrainingData Synthetic(uint64_t seed, int count) {
  Rng rng(seed);
  TrainingData data;
  data.columns = kColumns;
  for (int i = 0; i < count * kColumns; ++i) {
    data.rows.push_back(static_cast<float>(rng.Uniform()));
  }
  for (int i = 0; i < count; ++i) {
    data.labels.push_back(Truth(absl::MakeConstSpan(data.rows).subspan(i * kColumns, kColumns)));
  }
  return data;
}

}  // namespace tessera::costmodel
