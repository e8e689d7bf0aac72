#include "codesign/for_each.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/status.h"

namespace tessera::codesign {

absl::Status ForEach(size_t count, int threads, const std::function<absl::Status(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> has_failed = false;
  std::vector<absl::Status> statuses(count);
  const auto run = [&] {
    for (size_t i = next++; i < count && !has_failed; i = next++) {
      statuses[i] = work(i);
      if (!statuses[i].ok()) has_failed = true;
    }
  };
  std::vector<std::thread> others;
  const size_t workers = std::min(static_cast<size_t>(std::max(threads, 1)), count);
  for (size_t t = 1; t < workers; ++t) others.emplace_back(run);
  run();
  for (std::thread& thread : others) thread.join();
  for (const absl::Status& status : statuses) TESSERA_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace tessera::codesign
