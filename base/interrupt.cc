#include "base/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

namespace tessera {
namespace {

// Ends a handler's thread: never sent by anyone else.
constexpr int kEndSignal = SIGUSR2;

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, kEndSignal}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

void BlockInterrupts() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void ExitInterrupted() { _exit(130); }

InterruptHandler::InterruptHandler(std::function<void()> handle)
    : thread_([handle = std::move(handle)] {
        const sigset_t signals = Signals();
        for (bool first = true;; first = false) {
          int signal = 0;
          sigwait(&signals, &signal);
          if (signal == kEndSignal) return;
          if (!first) ExitInterrupted();
          handle();
        }
      }) {}

InterruptHandler::~InterruptHandler() {
  pthread_kill(thread_.native_handle(), kEndSignal);
  thread_.join();
}

}  // namespace tessera
