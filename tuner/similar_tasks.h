#pragma once

#include <string>

#include "db/record/record.h"

namespace tessera::tuner {

// By what tasks are known to be alike.
struct TaskKind {
  // Target, threads, state of the caches, and form of the reductions without their extents; empty
  // of a workload that can't be read.
  std::string form;
  double operations = 0;  // executed arithmetic of the definition
};

TaskKind KindOf(const db::Task& task);

// Whether programs of both may be expected to compute about as much a second: the same form, and at
// most eight times the operations.
bool AreSimilar(const TaskKind& a, const TaskKind& b);

}  // namespace tessera::tuner
