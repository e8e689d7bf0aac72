#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/dag.h"

// What the rules for all targets begin with. Internal to this folder.

namespace tessera::space {

// A schedule with the steps that made it.
struct Draft {
  schedule::Schedule schedule;
  schedule::Trace steps;

  absl::Status Do(schedule::Step step) {
    TESSERA_RETURN_IF_ERROR(schedule.Apply(step));
    steps.push_back(std::move(step));
    return absl::OkStatus();
  }
};

// Rule always-inline, for the stages of `dag` that `draft` still has. What would make a consumer's
// body too large stays a stage of its own.
Draft Inline(const te::Dag& dag, Draft draft, bool keep_padding);
Draft Inline(const te::Dag& dag, bool keep_padding);

// The stages that are not inlined, in topological order.
std::vector<int> Live(const schedule::Schedule& schedule);

int64_t Points(const te::Stage& stage);
// Reads of one element of the operand, on average.
int64_t Reuse(const te::Stage& stage, const ir::BufferNode& buffer);
// Whether a stage puts something around what it copies.
bool IsPadding(const schedule::StageState& state);

}  // namespace tessera::space
