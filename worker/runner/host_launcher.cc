#include "worker/runner/host_launcher.h"

#include <algorithm>
#include <atomic>

#include "compiler/runtime/thread_pool.h"
#include "worker/runner/cores.h"

namespace tessera::runner {
namespace {

// Threads that take part in a loop of as many iterations.
int CountThreads(tessera_launcher* launcher) {
  std::atomic<int> taking_part = 0;
  launcher->parallel_for(
      launcher, launcher->threads,
      [](int64_t, int64_t, int32_t, void* context) {
        static_cast<std::atomic<int>*>(context)->fetch_add(1);
      },
      &taking_part);
  return taking_part;
}

}  // namespace

tessera_launcher* MakeHostLauncher(int threads, absl::Span<const int32_t> cores) {
  if (!cores.empty() && !PinThisThread(cores)) return nullptr;
  tessera_launcher* launcher = tessera_serial_launcher();
  if (threads > 1) {
    // Worker i takes the i-th of the cores just allowed; the first is this thread's.
    tessera_pool_options options = {};
    options.threads = threads;
    options.spin_microseconds = -1;
    options.pin = cores.empty() ? 0 : 1;
    tessera_pool* pool = tessera_pool_create(&options);
    if (pool == nullptr) return nullptr;
    launcher = tessera_pool_launcher(pool);
    // A pool makes do with the threads that it gets; a measurement must not.
    if (CountThreads(launcher) != threads) return nullptr;
  }
  if (!cores.empty() && !PinThisThread(*std::min_element(cores.begin(), cores.end())))
    return nullptr;
  return launcher;
}

}  // namespace tessera::runner
