#pragma once

#include <cstdint>
#include <vector>

#include "costmodel/cost_model.h"

namespace tessera::costmodel {

// Training data in two parts, each in the order of the whole.
struct Split {
  TrainingData kept;
  TrainingData held_out;  // without rows: the data is too small to be split
};

// Of at least kTasksToHoldOut tasks (groups), about one in five is held out whole, so that what is
// judged is what carries over to another task; of fewer, about one row in five of each task. By a
// hash of the rows and the seed: equal rows stay together, and a row stays on its side while others
// are added. Nothing is held out where that would leave fewer than kMinHeldOut rows to judge by.
// Requires CheckTrainingData(data).
constexpr int kTasksToHoldOut = 10;
constexpr int kMinHeldOut = 12;
Split HoldOut(const TrainingData& data, uint64_t seed);

}  // namespace tessera::costmodel
