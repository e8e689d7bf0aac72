#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/thread_kernel.h"

namespace tessera::space {

// What a kernel of tiles has to choose (MakeThreadTile): threads, what each computes, chunks of the
// sum, copies that a block shares. References outlive it.
class ThreadTileKnobs : public KnobReader {
 public:
  // Adds to `knobs`, those of the group, with names that begin with `prefix`.
  ThreadTileKnobs(const schedule::Schedule& base, ThreadKernelSpec spec, const ir::Target& target,
                  const std::string& prefix, std::vector<Knob>& knobs);

 protected:
  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }
  const te::Stage& Store() const { return Stage(spec_.store); }
  const te::Stage& Reduce() const { return Stage(spec_.reduce); }
  // The axis along which a store's elements are neighbours.
  size_t VectorAxis() const { return extents_.size() - (spec_.has_parts ? 2 : 1); }

  const schedule::Schedule& base_;
  const ThreadKernelSpec spec_;
  const ir::Target& target_;
  std::vector<int64_t> extents_, sums_;
  // Places among the knobs; -1: there is none.
  int threads_ = -1, inner_ = -1, lanes_ = -1, virtual_ = -1, chunk_ = -1, unroll_ = -1,
      double_ = -1;
  std::vector<int> share_, vector_, order_, gap_;  // by copy

 private:
  void AddTileKnobs(const std::string& prefix);
  void RestrictToWaves(size_t axis, std::vector<int64_t>& threads, std::vector<int64_t>& inner,
                       std::vector<int64_t>& virtuals) const;
  double ThreadWeight(const Option& option) const;
  void AddReduceKnobs(const std::string& prefix);
  const std::string& SourceOf(int copy) const {
    return base_.stages()[copy].analysis->reads[0].buffer->name;
  }
  // Elements as they are, not behind tests of padding.
  bool IsCopy(int copy) const { return base_.stages()[copy].analysis->operations.select == 0; }
};

}  // namespace tessera::space
