#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tessera::cli {

// A program of ours running beside the command line. Ends with it: the child gets SIGTERM when this
// process dies.
class ChildProcess {
 public:
  // Starts `program` (found beside this executable) with its standard output in a pipe.
  // FailedPrecondition when it isn't there.
  static absl::StatusOr<ChildProcess> Start(const std::string& program,
                                            const std::vector<std::string>& arguments);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  // Stops the child if it runs.
  ~ChildProcess();

  // The next line of its standard output. Unavailable when the child has ended, DeadlineExceeded
  // after `timeout`.
  absl::StatusOr<std::string> ReadLine(absl::Duration timeout);
  // SIGTERM, then SIGKILL after five seconds. Returns the exit code; 128 + signal when killed.
  int Stop();
  // Whether it has ended by itself.
  bool HasEnded();
  pid_t pid() const { return pid_; }

 private:
  ChildProcess(pid_t pid, int output) : pid_(pid), output_(output) {}

  pid_t pid_ = -1;
  int output_ = -1;
  int exit_code_ = -1;  // -1: not known to have ended
  std::string buffered_;
};

// The path of a program that is installed beside this one.
std::string SiblingProgram(const std::string& name);

}  // namespace tessera::cli
