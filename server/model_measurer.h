#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/record.h"
#include "server/libraries.h"
#include "server/model_facts.h"

namespace tessera::server {

// What a run of a model took that was built in one way, all buckets together.
struct Timed {
  double seconds = HUGE_VAL;                 // infinite: it could not be built or run
  std::map<std::string, double> op_seconds;  // of all steps of an operator in a run
  bool is_wrong = false;                     // it computes something else
};

// Has models built in several ways and timed on one device, the first that takes them.
class ModelMeasurer {
 public:
  // All outlive this. `doing` is told what is being done, and what fails.
  ModelMeasurer(LibraryRoom room, const std::function<void(std::string_view)>& doing,
                const std::function<bool()>& is_cancelled)
      : room_(room), doing_(doing), is_cancelled_(is_cancelled) {}

  // One a way, in order. The ways differ in their records alone. FailedPrecondition: no builder or
  // device is there for them, the first can't be built, fewer than two can be, or none be run.
  // Aborted: a worker was lost; Cancelled. Blocks.
  absl::StatusOr<std::vector<Timed>> Measure(absl::Span<const db::Selection> ways);

  const std::string& device() const { return device_; }
  // Of a way that has no time, the last.
  const std::string& failure() const { return failure_; }

 private:
  struct Built {
    size_t way = 0;
    std::vector<db::LibraryFile> files;
  };
  absl::Status CheckIsPossible(const db::Selection& way);
  absl::StatusOr<std::vector<Built>> Build(absl::Span<const db::Selection> ways);
  absl::StatusOr<std::vector<ModelFacts>> FactsOf(const std::vector<db::LibraryFile>& files);
  absl::StatusOr<proto::ModelResult> Run(const proto::ModelPlan& plan,
                                         const db::SelectionItem& item);
  void AddTimes(const proto::ModelResult& result, const ModelFacts& bucket,
                const std::vector<Built>& built, std::vector<Timed>& times);

  const LibraryRoom room_;
  const std::function<void(std::string_view)>& doing_;
  const std::function<bool()>& is_cancelled_;
  std::string device_;
  std::string failure_;
};

}  // namespace tessera::server
