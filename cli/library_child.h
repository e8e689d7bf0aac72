#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace tessera::cli {

// A process in which a library is loaded that nobody vouches for. It writes no files, leaves no
// core, ends with the thread that started it, and beside that has the rights of this process. The
// two talk in messages of up to 100 KiB. Other threads must not hold locks that the child needs: it
// allocates and loads, for which glibc provides.
class LibraryChild {
 public:
  // What the child does: with the path that the library is loaded from, and its end of the channel.
  // The child ends when it returns.
  using Body = std::function<void(const std::string& path, int channel)>;

  // Starts it with a copy of the library in memory, whatever becomes of the file.
  // ResourceExhausted and the like where none can be started.
  static absl::StatusOr<LibraryChild> Start(std::string_view shared_object, const Body& body);
  LibraryChild(LibraryChild&& other) noexcept;
  LibraryChild& operator=(LibraryChild&&) = delete;
  ~LibraryChild();  // kills it

  // Nothing of it is told where the child has ended: Receive does.
  void Send(std::string_view message);
  // The child's next message. DeadlineExceeded where none comes in time, and Aborted, saying how it
  // ended, where none will come; there is no child any more then.
  absl::StatusOr<std::string> Receive(absl::Time deadline);

 private:
  LibraryChild(pid_t pid, UniqueFd channel) : pid_(pid), channel_(std::move(channel)) {}
  int End();  // kills it; its wait status

  pid_t pid_;  // -1: none
  UniqueFd channel_;
};

// For the child's end. What is received is empty when nobody is there any more.
void SendMessage(int channel, std::string_view message);
std::string ReceiveMessage(int channel);

}  // namespace tessera::cli
