#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"
#include "tuner/replay/dataset.h"
#include "tuner/search_space.h"

namespace tessera::replay {

// 16 hexadecimal digits that differ where sketches, knobs, their options or domains do. Errors are
// those of the task's texts and of space::BuildSpace.
absl::StatusOr<std::string> SpaceDigest(const db::Task& task);

// Collects the rows of a data set from a log. A program that was measured several times counts with
// the median of its times (of an even number the lower of both), or as failed if it never did.
class DatasetMaker {
 public:
  // `space` is the task's within the data set's pins, and outlives the maker.
  explicit DatasetMaker(const tuner::SearchSpace& space) : space_(space) {}

  // Ignores what taught nothing (lost devices) and stale records; the default schedule unless a
  // config stands for it, too. Counts, and leaves out, configs that are not of this space or stand
  // for other programs than when they were measured.
  void Add(const db::Record& record);

  int left_out() const { return left_out_; }
  // Fills in the rows, in the order of their points, when and by which version they were measured,
  // the space's digest and the version of features. NotFound when none succeeded. Of kind
  // kEnumerated, FailedPrecondition when not every program of the space has a row, with their
  // number and the config of the first, or when there are too many to go through. Other errors are
  // those of SpaceDigest and space::Pin.
  absl::StatusOr<Dataset> Finish(Dataset header) &&;

 private:
  struct Program {
    tuner::Point point;
    db::Outcome failure = db::Outcome::kOk;  // the last
    std::vector<double> seconds;
  };
  using Programs = absl::flat_hash_map<uint64_t, Program>;  // by loop hash
  absl::Status AddMissing(const Dataset& header);

  const tuner::SearchSpace& space_;
  Programs programs_;
  Programs defaults_;  // without a point
  std::set<std::string> versions_;
  absl::Time first_ = absl::InfiniteFuture(), last_ = absl::InfinitePast();
  int left_out_ = 0;
};

}  // namespace tessera::replay
