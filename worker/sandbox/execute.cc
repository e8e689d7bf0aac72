#include "worker/sandbox/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

extern char** environ;

namespace tessera::sandbox {
namespace {

constexpr int kFirstPlainDescriptor = 32;  // above every number that a program is given

// Above the program's descriptors, so that arranging those overwrites nothing.
absl::StatusOr<UniqueFd> Lifted(int fd) {
  const int lifted = fcntl(fd, F_DUPFD_CLOEXEC, kFirstPlainDescriptor);
  if (lifted >= 0) return UniqueFd(lifted);
  return absl::ResourceExhaustedError(absl::StrCat("descriptors: ", strerror(errno)));
}

}  // namespace

absl::StatusOr<pid_t> Execute(std::vector<std::string> command, int output,
                              absl::Span<const int> descriptors) {
  std::vector<UniqueFd> lifted;
  for (const int fd : descriptors) {
    TESSERA_ASSIGN_OR_RETURN(lifted.emplace_back(), Lifted(fd));
  }
  UniqueFd words;
  if (output >= 0) {
    TESSERA_ASSIGN_OR_RETURN(words, Lifted(output));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  for (const int standard : {1, 2}) {
    if (output >= 0) {
      posix_spawn_file_actions_adddup2(&actions, words.get(), standard);
    } else {
      posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_WRONLY, 0);
    }
  }
  int place = kFirstDescriptor;
  for (const UniqueFd& fd : lifted) posix_spawn_file_actions_adddup2(&actions, fd.get(), place++);
  posix_spawn_file_actions_addclosefrom_np(&actions, place);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t set;
  sigemptyset(&set);
  posix_spawnattr_setsigmask(&attributes, &set);
  sigfillset(&set);
  posix_spawnattr_setsigdefault(&attributes, &set);
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = -1;
  const int error =
      posix_spawn(&process, command[0].c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return process;
  return absl::UnavailableError(absl::StrCat(command[0], " can't be executed: ", strerror(error)));
}

}  // namespace tessera::sandbox
