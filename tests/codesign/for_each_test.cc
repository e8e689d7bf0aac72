#include "codesign/for_each.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tessera::codesign {
namespace {

TEST_CASE("each number is worked on once, by no more threads than numbers", "[codesign]") {
  for (const size_t count : {0u, 1u, 3u, 100u}) {
    for (const int threads : {1, 2, 1023}) {
      CAPTURE(count, threads);
      std::vector<std::atomic<int>> visits(count);
      std::mutex mutex;
      std::set<std::thread::id> ids;
      CHECK(ForEach(count, threads, [&](size_t i) {
              ++visits[i];
              const std::lock_guard lock(mutex);
              ids.insert(std::this_thread::get_id());
              return absl::OkStatus();
            }).ok());
      for (const std::atomic<int>& visit : visits) CHECK(visit == 1);
      CHECK(ids.size() <= std::min<size_t>(count, static_cast<size_t>(threads)));
    }
  }
}

TEST_CASE("the error of the smallest number that failed is told", "[codesign]") {
  for (const int threads : {1, 4}) {
    const absl::Status status = ForEach(8, threads, [&](size_t i) -> absl::Status {
      if (i < 3) return absl::OkStatus();
      // The smallest one fails last.
      std::this_thread::sleep_for(std::chrono::milliseconds(i == 3 ? 30 : 5));
      return absl::InternalError(absl::StrCat("number ", i));
    });
    CHECK(status.message() == "number 3");
  }
}

}  // namespace
}  // namespace tessera::codesign
