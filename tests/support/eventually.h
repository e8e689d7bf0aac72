#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tessera::test {

// Waits for something that another thread brings about. Counts looks, not time: a process that was
// stopped meanwhile has as many left as before.
template <typename Predicate>
bool Eventually(Predicate predicate) {
  for (int i = 0; i < 1000; ++i) {
    if (predicate()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

}  // namespace tessera::test
