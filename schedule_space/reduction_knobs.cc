#include "schedule_space/reduction_knobs.h"

#include <algorithm>

#include "compiler/schedule/divisors.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kSmallAxis = 8;  // kernel windows: a loop or unrolled as a whole
constexpr int64_t kMinChunk = 16;  // shorter ones reload accumulators too often
constexpr int64_t kMaxInner = 64;
constexpr int64_t kMaxUnroll = 16;

std::vector<int64_t> Unrolls(int64_t extent) {
  if (extent == 1) return {1};
  if (extent <= kSmallAxis) return {1, extent};
  std::vector<int64_t> unrolls;
  for (int64_t u : schedule::Divisors(extent)) {
    if (u <= kMaxUnroll) unrolls.push_back(u);
  }
  return unrolls;
}

void Extend(const ReductionProblem& problem, Option option, std::vector<Option>& options) {
  const size_t axis = option.size() - kReduceUnroll;
  if (axis == problem.extents.size()) {
    const int main = MainAxis(problem);
    const int64_t chunk = option[kReduceChunk], unroll = option[kReduceUnroll + main];
    if (chunk % unroll != 0) return;
    const int64_t steps = chunk / unroll;
    const bool alone = std::count_if(problem.extents.begin(), problem.extents.end(),
                                     [](int64_t extent) { return extent > 1; }) < 2;
    for (int64_t inner : schedule::Divisors(steps)) {
      // One step is the undivided loop; all of them are it again, at the other place.
      if (inner > 1 && (alone || inner == steps || inner * unroll > kMaxInner)) continue;
      option[kReduceInner] = inner * unroll;
      options.push_back(option);
    }
    return;
  }
  for (int64_t unroll : Unrolls(problem.extents[axis])) {
    Option next = option;
    next.push_back(unroll);
    Extend(problem, std::move(next), options);
  }
}

}  // namespace

int MainAxis(const ReductionProblem& problem) {
  const auto longest = std::max_element(problem.extents.begin(), problem.extents.end());
  return static_cast<int>(longest - problem.extents.begin());
}

std::vector<Option> ReductionOptions(const ReductionProblem& problem) {
  std::vector<Option> options;
  const int64_t whole = problem.extents[MainAxis(problem)];
  for (int64_t chunk : schedule::Divisors(whole)) {
    if (problem.chunked ? (chunk == whole || chunk < kMinChunk) : chunk != whole) continue;
    Extend(problem, Option{chunk, 1}, options);
  }
  return options;
}

int64_t UnrolledCopies(const Option& option) {
  int64_t copies = 1;
  for (size_t i = kReduceUnroll; i < option.size(); ++i) copies *= option[i];
  return copies;
}

}  // namespace tessera::space
