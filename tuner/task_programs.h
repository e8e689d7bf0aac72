#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"
#include "costmodel/cost_model.h"
#include "db/record/record.h"

// From the records of a log to what a cost model of many tasks is trained on.

namespace tessera::tuner {

// The distinct programs of one task that were measured, by device class. A program that was
// measured several times has its least time, and of several traces the first in alphabetic order.
// Of more than `max_programs` a device class, a sample by a hash is kept. A function of the set of
// records and the seed, whatever their order.
class TaskPrograms {
 public:
  // InvalidArgument, with the task's name, where this build can't read its workload or target.
  static absl::StatusOr<TaskPrograms> Make(const db::Task& task, int max_programs, uint64_t seed);

  // Of this task. Passes over what teaches nothing: stale records, failures that were not the
  // program's. Returns whether it was taken.
  bool Add(const db::Record& record);

 private:
  friend class ProgramSet;
  struct Program {
    std::string trace;
    double cost_seconds = 0;  // infinity: it failed
  };

  TaskPrograms(const db::Task& task, te::Workload workload, ir::Target target, int max_programs,
               uint64_t seed);

  db::Task task_;
  te::Workload workload_;
  ir::Target target_;
  size_t max_programs_;
  uint64_t seed_;
  // By device class and a hash of the program and the seed: the smallest hashes are the sample.
  std::map<std::string, std::map<uint64_t, Program>> classes_;
};

// Programs of one task on one device class, which may be compared with each other.
struct ProgramGroup {
  std::string task_name;
  std::string task_key;
  std::string workload_hash;
  std::string device_class;
  int programs = 0;
};

// Groups of programs as training data: features of their traces, throughput relative to the best of
// the group.
class ProgramSet {
 public:
  // Fewer programs of a task on a class, or none that ran, have nothing to teach.
  static constexpr int kMinPrograms = 8;

  // InvalidArgument for programs that have other features than those before: of a GPU and a CPU.
  absl::Status Add(const TaskPrograms& task);

  const std::vector<ProgramGroup>& groups() const { return groups_; }
  const costmodel::TrainingData& data() const { return data_; }  // groups as above
  // Programs whose traces this build can't apply.
  int64_t left_out() const { return left_out_; }

 private:
  std::vector<ProgramGroup> groups_;
  costmodel::TrainingData data_;
  int64_t left_out_ = 0;
};

}  // namespace tessera::tuner
