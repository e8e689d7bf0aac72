#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/sandbox/execute.h"
#include "worker/sandbox/sandbox.h"

// Children that are programs of their own, for what can't live in the zygote's confinement: a
// driver of a GPU needs files, devices, processes and memory that nobody can tell beforehand.

namespace tessera::sandbox {

// The program's descriptors: its channel, the task's library (/dev/null where it has none), then
// the task's own, in order. Its first message is the task's argument.
inline constexpr int kChannelDescriptor = kFirstDescriptor;
inline constexpr int kLibraryDescriptor = kChannelDescriptor + 1;
inline constexpr int kTaskDescriptor = kLibraryDescriptor + 1;

// Executes `command` for each child, in a process group of its own that ends with it. Of a task's
// limits the processor's time counts; `entry` is the program's own.
class ProgramSpawner final : public Spawner {
 public:
  explicit ProgramSpawner(std::vector<std::string> command) : command_(std::move(command)) {}
  absl::StatusOr<std::unique_ptr<Child>> Spawn(const ChildTask& task) override;

 private:
  const std::vector<std::string> command_;
};

// What such a program does first: no network, no new privileges, no core dumps. Returns what the
// system does not grant; empty: all.
std::string ConfineProgram();
// What ConfineProgram would return, found out by a child. Forks: call it before threads start.
std::string ProbeProgram();

}  // namespace tessera::sandbox
