#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/child_process.h"
#include "cli/client.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kStartPatience = absl::Seconds(30);
constexpr absl::Duration kEndPatience = absl::Seconds(1);
constexpr absl::Duration kPoll = absl::Milliseconds(100);

std::string CommandOf(const UpOptions& options) {
  const UpOptions defaults;
  std::string command = absl::StrCat("tessera up --data ", options.data);
  if (options.listen != defaults.listen) absl::StrAppend(&command, " --listen ", options.listen);
  if (!options.isa.empty()) absl::StrAppend(&command, " --isa ", options.isa);
  if (options.cores > 0) absl::StrAppend(&command, " --cores ", options.cores);
  if (!options.allow.empty()) absl::StrAppend(&command, " --allow ", options.allow);
  if (!options.worker) command += " --no-worker";
  return command;
}

// How a child that should run has ended. With exit codes 1 and 2 it has said why, in its own line.
absl::Status EndOf(ChildProcess& child, std::string_view name) {
  const absl::Time deadline = absl::Now() + kEndPatience;
  while (!child.HasEnded() && absl::Now() < deadline) absl::SleepFor(kPoll);
  const int code = child.Stop();
  if (code == 1) return absl::UnavailableError("");
  if (code == 2) return absl::InvalidArgumentError("");
  return absl::UnavailableError(
      absl::StrCat("the ", AbslView(name), " has ended with exit code ", code));
}

// Empty when interrupted.
absl::StatusOr<std::string> WaitForAddress(ChildProcess& server,
                                           const std::atomic<bool>& interrupted) {
  const absl::Time deadline = absl::Now() + kStartPatience;
  while (!interrupted) {
    const absl::StatusOr<std::string> line = server.ReadLine(kPoll);
    if (line.ok()) {
      absl::string_view address(*line);
      if (absl::ConsumePrefix(&address, "listening on ")) return std::string(address);
    } else if (!absl::IsDeadlineExceeded(line.status())) {
      return EndOf(server, "server");
    } else if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the server does not listen after ", absl::FormatDuration(kStartPatience)));
    }
  }
  return "";
}

absl::Status WaitForDevice(const std::string& address, ChildProcess& worker,
                           const std::atomic<bool>& interrupted) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(address));
  const absl::Time deadline = absl::Now() + kStartPatience;
  while (absl::Now() < deadline && !interrupted) {
    if (worker.HasEnded()) return EndOf(worker, "worker");
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client->ListDevices());
    for (const db::Device& device : devices) {
      if (device.state == "online") return absl::OkStatus();
    }
    absl::SleepFor(kPoll);
  }
  return interrupted ? absl::OkStatus()
                     : absl::DeadlineExceededError("the worker has not registered in time");
}

// What the worker would refuse, before a server is started for it.
absl::Status CheckCores(int cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return absl::OkStatus();  // the worker will see
  if (cores <= CPU_COUNT(&set)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--cores: ", cores, " are more than the ",
                                                 CPU_COUNT(&set), " that this process may use"));
}

}  // namespace

absl::Status RunUp(const UpOptions& options) {
  TESSERA_RETURN_IF_ERROR(CheckCores(options.cores));
  BlockInterrupts();
  std::atomic<bool> interrupted = false;
  const InterruptHandler handler([&] { interrupted = true; });
  TESSERA_ASSIGN_OR_RETURN(
      ChildProcess server,
      ChildProcess::Start("tessera-server", {"--listen", options.listen, "--data", options.data}));
  TESSERA_ASSIGN_OR_RETURN(const std::string address, WaitForAddress(server, interrupted));
  std::vector<ChildProcess> workers;
  if (options.worker && !interrupted) {
    std::vector<std::string> arguments{"--server", address, "--cache",
                                       absl::StrCat(options.data, "/worker-cache")};
    if (!options.isa.empty()) arguments.insert(arguments.end(), {"--isa", options.isa});
    if (!options.allow.empty()) arguments.insert(arguments.end(), {"--allow", options.allow});
    if (options.cores > 0) {
      arguments.insert(arguments.end(), {"--cores", absl::StrCat(options.cores)});
    }
    TESSERA_ASSIGN_OR_RETURN(ChildProcess worker, ChildProcess::Start("tessera-worker", arguments));
    workers.push_back(std::move(worker));
    TESSERA_RETURN_IF_ERROR(WaitForDevice(address, workers[0], interrupted));
  }
  if (!interrupted) {
    std::printf("ready %s\n", address.c_str());
    std::fflush(stdout);
  }
  while (!interrupted) {
    if (server.HasEnded()) return EndOf(server, "server");
    for (ChildProcess& worker : workers) {
      if (worker.HasEnded()) return EndOf(worker, "worker");
    }
    absl::SleepFor(kPoll);
  }
  for (ChildProcess& worker : workers) worker.Stop();
  server.Stop();
  std::fprintf(stderr, "stopped; `%s` goes on with what is unfinished\n",
               CommandOf(options).c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
