#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace tessera::server {

// Bounds how many calls of a kind that wait for something, or work for long, hold a thread at once,
// so that the others of the server's threads (server.cc) are there for artifacts and short calls.
// Thread-safe.
class CallLimit {
 public:
  // `what` for people: "watches of jobs". Outlives its slots.
  CallLimit(std::string what, int limit) : what_(std::move(what)), limit_(limit) {}

  // Held while the call lasts.
  class Slot {
   public:
    explicit Slot(std::atomic<int>& taken) : taken_(&taken) {}
    Slot(Slot&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (taken_ != nullptr) --*taken_;
    }

   private:
    std::atomic<int>* taken_;
  };

  // ResourceExhausted when all are taken.
  absl::StatusOr<Slot> Enter() {
    const int before = taken_++;
    Slot slot(taken_);
    if (before < limit_) return slot;
    return absl::ResourceExhaustedError(absl::StrCat(
        what_, ": ", limit_, " are under way, which is the limit; try again when one has ended"));
  }

 private:
  const std::string what_;
  const int limit_;
  std::atomic<int> taken_ = 0;
};

}  // namespace tessera::server
