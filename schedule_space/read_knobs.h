#pragma once

#include <memory>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/thread_kernel.h"

namespace tessera::space {

// A knob for each input that the target can read by another path than plainly (ir::ReadPath),
// "read.X", which is for all kernels of a group: constant memory where the threads of each wave
// read one element at a time, or an image. Immutable.
class ReadKnobs : KnobReader {
 public:
  // Adds to `knobs`, those of the group.
  ReadKnobs(const schedule::Schedule& base, const ir::Target& target, std::vector<Knob>& knobs);

  // Once the kernels' knobs are canonical. Of constants that don't fit together the largest is read
  // plainly.
  void Canonicalize(absl::Span<int> choices,
                    absl::Span<const std::unique_ptr<ThreadKernel>> kernels) const;
  void Decide(absl::Span<const int> choices, Decisions& decisions) const;

 private:
  struct Input {
    ir::Buffer buffer;
    int knob;
  };
  ir::ReadPath PathOf(absl::Span<const int> choices, const Input& input) const {
    return static_cast<ir::ReadPath>(Chosen(choices, input.knob)[0]);
  }

  int64_t constant_bytes_;
  std::vector<Input> inputs_;
};

}  // namespace tessera::space
