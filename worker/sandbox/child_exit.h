#pragma once

#include <cstdint>
#include <string>

namespace tessera::sandbox {

// What a child's signal handlers tell about its end, in memory shared with the parent. It comes
// from untrusted code: it may refine the words of a failure, never turn one into a success.
struct Diagnosis {
  int32_t signal;
  int32_t code;              // si_code
  int32_t system_call;       // for SIGSYS
  int32_t stack_overflow;    // the fault lies next to the stack pointer
  int32_t memory_exhausted;  // a small allocation failed when the signal came
  int32_t reserved;
  uint64_t fault_address;
  char setup_error[208];  // why the child could not be confined; then nothing untrusted ran
};

enum class ExitKind : uint8_t {
  kExited,       // returned or called exit
  kCrashed,      // a signal
  kOutOfMemory,  // a crash with its memory limit reached, or killed by the system for memory
  kTimeout,      // killed by the parent at its deadline, or CPU time used up
  kForbidden,    // a system call outside the allow list
  kKilled,       // by the parent, for another reason than time
  kSandbox       // could not be confined, or the zygote is gone: not the code's fault
};

struct ChildExit {
  ExitKind kind = ExitKind::kSandbox;
  int exit_code = 0;  // for kExited
  int signal = 0;     // for kCrashed, kForbidden, kOutOfMemory; 0 = none
  int64_t peak_memory_bytes = -1;
  std::string reason;  // a sentence: "SIGSEGV at address 0x0 (null pointer)"
};

enum class KillReason : uint8_t { kNone, kTimeout, kNotNeeded };

// Turns a wait status and what is known besides into words. `memory_limit_bytes` is what the child
// was allowed to allocate, `peak_memory_bytes` its largest resident size.
ChildExit ExplainExit(int wait_status, const Diagnosis& diagnosis, KillReason killed,
                      int64_t peak_memory_bytes, int64_t memory_limit_bytes);

// "SIGSEGV"; "signal 42" for the rest.
std::string SignalName(int signal);
// "connect (42)"; "system call 999" for those without a well-known name.
std::string SystemCallName(int number);

}  // namespace tessera::sandbox
