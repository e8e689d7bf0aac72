#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/unique_fd.h"

namespace tessera::sandbox {

// What the system granted to the zygote; all children share it. Containers often refuse
// namespaces; what is missing is stated, and system call filter, limits and Landlock remain.
struct Isolation {
  bool private_root = false;  // an empty root file system of its own
  bool user_namespace = false;
  bool process_namespace = false;
  bool landlock = false;             // used when there is no private root
  bool filter = false;               // seccomp
  bool real_time = false;            // TakeRealTimePriority was asked for and succeeded
  std::vector<std::string> missing;  // "network namespace: Operation not permitted"
};

// Step 0, where children are to be timed: this process and its children run before everything that
// isn't real-time (SCHED_RR), until they drop that. PermissionDenied where the system doesn't grant
// it, for long enough.
absl::Status TakeRealTimePriority();
void DropRealTimePriority();

// Step 1, in the process that will fork the zygote: leaves the user's namespaces, unless they are
// not wanted. A process namespace takes effect for children forked afterwards.
Isolation LeaveNamespaces(bool wanted);

// Step 2, in the zygote: replaces the root by an empty one where a mount namespace was granted, and
// gives up root's identity (to the user "nobody", 65534) and every capability.
void EnterEmptyRoot(Isolation& isolation);
void DropPrivileges(Isolation& isolation);

// Denies this process every file that it hasn't open already. Needs no_new_privs.
absl::Status DenyFiles();

}  // namespace tessera::sandbox
