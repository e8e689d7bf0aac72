#include "worker/sandbox/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"

namespace tessera::sandbox {
namespace {

constexpr uid_t kNobody = 65534;

bool WriteFile(const char* path, std::string_view text) {
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void Miss(Isolation& isolation, std::string_view what) {
  isolation.missing.push_back(absl::StrCat(std::string(what), ": ", strerror(errno)));
}

bool EnterUserNamespace() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER) != 0) return false;
  // Without a map the process is the overflow user inside, which suits as well.
  WriteFile("/proc/self/setgroups", "deny");
  WriteFile("/proc/self/gid_map", absl::StrCat(kNobody, " ", gid, " 1"));
  WriteFile("/proc/self/uid_map", absl::StrCat(kNobody, " ", uid, " 1"));
  return true;
}

}  // namespace

absl::Status TakeRealTimePriority() {
  constexpr rlim_t kLeast = 60'000'000;  // µs without a pause
  rlimit limit = {};
  getrlimit(RLIMIT_RTTIME, &limit);
  if (limit.rlim_max < kLeast) {
    return absl::PermissionDeniedError(
        absl::StrCat("real-time scheduling: limited to ", limit.rlim_max, " µs (RLIMIT_RTTIME)"));
  }
  sched_param priority = {};
  priority.sched_priority = sched_get_priority_min(SCHED_RR);
  if (sched_setscheduler(0, SCHED_RR, &priority) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("real-time scheduling: ", strerror(errno)));
}

void DropRealTimePriority() {
  const sched_param none = {};
  sched_setscheduler(0, SCHED_OTHER, &none);
}

Isolation LeaveNamespaces(bool wanted) {
  Isolation isolation;
  uint32_t trap = SECCOMP_RET_TRAP;
  isolation.filter = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) == 0;
  if (!isolation.filter) Miss(isolation, "seccomp filter");
  isolation.landlock =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
  if (!wanted) {
    isolation.missing.push_back("namespaces: not wanted");
    return isolation;
  }
  // Root may do it directly, which works where user namespaces are switched off.
  if (unshare(CLONE_NEWNS) != 0) {
    isolation.user_namespace = EnterUserNamespace();
    if (!isolation.user_namespace) Miss(isolation, "user namespace");
  }
  struct {
    int flag;
    const char* name;
  } const parts[] = {{CLONE_NEWNS, "mount namespace"},
                     {CLONE_NEWPID, "process namespace"},
                     {CLONE_NEWNET, "network namespace"},
                     {CLONE_NEWIPC, "IPC namespace"},
                     {CLONE_NEWUTS, "host name namespace"}};
  for (const auto& [flag, name] : parts) {
    if (unshare(flag) != 0) {
      Miss(isolation, name);
    } else if (flag == CLONE_NEWNS) {
      isolation.private_root = true;
    } else if (flag == CLONE_NEWPID) {
      isolation.process_namespace = true;
    }
  }
  return isolation;
}

void EnterEmptyRoot(Isolation& isolation) {
  if (!isolation.private_root) return;
  isolation.private_root =
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
      // Room for libraries of models, which hold up to 1 GiB of weights.
      mount("tessera", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=3g,mode=01777") == 0 &&
      chdir("/tmp") == 0 &&
      (syscall(SYS_pivot_root, ".", ".") == 0 ? umount2(".", MNT_DETACH) == 0 : chroot(".") == 0) &&
      chdir("/") == 0;
  if (!isolation.private_root) {
    Miss(isolation, "private root");
  }
}

void DropPrivileges(Isolation& isolation) {
  if (!isolation.user_namespace && geteuid() == 0) {
    if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
        setresuid(kNobody, kNobody, kNobody) != 0) {
      Miss(isolation, "change of user to nobody");
    } else {
      // So that process limits count the children alone.
      isolation.user_namespace = unshare(CLONE_NEWUSER) == 0;
    }
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) Miss(isolation, "dropping capabilities");
  // Undone by the change of user; without it the own /proc entries belong to root.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

absl::Status DenyFiles() {
  landlock_ruleset_attr attributes = {};
  attributes.handled_access_fs = (1u << 13) - 1;  // every right of the first version
  const int ruleset = static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0));
  if (ruleset < 0) return absl::UnimplementedError(absl::StrCat("Landlock: ", strerror(errno)));
  UniqueFd owner(ruleset);
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
    return absl::UnimplementedError(absl::StrCat("Landlock: ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace tessera::sandbox
