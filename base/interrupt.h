#pragma once

#include <functional>
#include <thread>

namespace tessera {

// Blocks SIGINT and SIGTERM for the calling thread and those that it starts later. Call it first
// in main; InterruptHandler then receives them.
void BlockInterrupts();

// Ends the process at once with exit code 130, without destructors and handlers of exits.
[[noreturn]] void ExitInterrupted();

// While it lives, the first SIGINT or SIGTERM calls `handle` once, in a thread of its own; a second
// one is ExitInterrupted.
class InterruptHandler {
 public:
  explicit InterruptHandler(std::function<void()> handle);
  ~InterruptHandler();
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;

 private:
  std::thread thread_;
};

}  // namespace tessera
