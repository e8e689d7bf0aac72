#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/thread_kernel.h"

namespace tessera::space {

// Sums with few results, or whose terms are each read once: the threads of a block are shared out
// among a tile of the results and, for each of them, along up to two axes of the reduction. The
// last axis's terms go round by threads, so that neighbours read neighbours. Partial results go
// through shared memory and are added up in steps of 32 at most, one for each rfactor.

// Whether the target's blocks have threads and memory for it, and the stage axes and terms.
bool HasThreadSum(const schedule::Schedule& base, const ThreadKernelSpec& spec,
                  const ir::Target& target);

// Requires HasThreadSum. `base`, `target` and `knobs` outlive it.
std::unique_ptr<ThreadKernel> MakeThreadSum(const schedule::Schedule& base,
                                            const ThreadKernelSpec& spec, const ir::Target& target,
                                            const std::string& prefix, std::vector<Knob>& knobs);

}  // namespace tessera::space
