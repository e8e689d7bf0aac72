#pragma once

#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "compiler/ir/buffer.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/knob.h"

namespace tessera::space {

// The per-config part of a program, in the order in which it applies.
struct Decisions {
  std::vector<std::pair<ir::Buffer, std::vector<ir::LayoutDim>>> layouts;
  schedule::Trace steps;              // that change stages (rfactor), and how inputs are read
  std::vector<schedule::Nest> nests;  // of the stages that there are then, consumers first
};

// A part of a sketch: stages that are scheduled together, and the knobs of how. Immutable.
class Group {
 public:
  virtual ~Group() = default;
  virtual const std::vector<Knob>& knobs() const = 0;
  // The group of which this is a part; itself if it is none (schedule_space/pins.h).
  virtual const Group& whole() const { return *this; }
  // Of several choices that give the same program, the one that stands for them. Keeps validity.
  virtual void Canonicalize(absl::Span<int> choices) const = 0;
  virtual Decisions Decide(absl::Span<const int> choices) const = 0;
};

}  // namespace tessera::space
