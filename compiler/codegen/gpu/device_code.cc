#include "compiler/codegen/gpu/device_code.h"

namespace tessera::codegen::gpu {

Launch LaunchOf(const KernelNest& nest) {
  Launch launch;
  launch.kernel = nest.name;
  for (size_t i = 0; i < 3; ++i) {
    launch.blocks[i] = nest.blocks[i].extent;
    launch.block_threads[i] = nest.threads[i].extent;
  }
  for (const int param : nest.params) launch.arguments.push_back({param});
  if (nest.uses_workspace) launch.arguments.push_back({kWorkspaceArgument});
  launch.shared_bytes = nest.shared_bytes;
  return launch;
}

}  // namespace tessera::codegen::gpu
