// tessera-worker: finds out what this machine is, makes its roles and serves a server.

#include <grpc/support/log.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/names.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/version.h"
#include "base/view.h"
#include "proto/checks.h"
#include "worker/agent/agent.h"
#include "worker/agent/host.h"
#include "worker/device_kinds.h"
#include "worker/local_runner.h"
#include "worker/runner/cores.h"
#include "worker/runner/device_host.h"
#include "worker/runner/kernel_runner.h"
#include "worker/runner/peak.h"
#include "worker/runner/program_cache.h"
#include "worker/sandbox/program_spawner.h"
#include "worker/sandbox/sandbox.h"
#ifdef TESSERA_WITH_BUILDER
#include "worker/builder/builder.h"
#endif

namespace {

using namespace tessera;  // NOLINT: this file is the program

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr size_t kMaxConfigBytes = 64 << 10;
#ifdef TESSERA_WITH_BUILDER
constexpr bool kWithBuilder = true;
#else
constexpr bool kWithBuilder = false;
#endif

struct Options {
  std::string server = "127.0.0.1:7654";
  std::string name;
  std::vector<std::string> roles;
  std::string runner = "cpu";
  std::string device;  // of kinds that are configured: the configuration
  std::string config;
  std::string isa;
  std::string cache;
  std::string allow;
  std::string log_level = "info";
  int cores = 0;

  bool Has(std::string_view role) const {
    return std::find(roles.begin(), roles.end(), role) != roles.end();
  }
  // What the runner measures on; null: the processor.
  const DeviceKind* kind() const { return FindDeviceKind(runner); }
};

// The machine's name; "worker" where it has none that a worker may have.
std::string DefaultName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "worker";
  return proto::CheckWorkerName("", name.data()).ok() ? name.data() : "worker";
}

std::string DefaultCache(const std::string& name) {
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) {
    return absl::StrCat(cache, "/tessera/", name);
  }
  if (const char* home = std::getenv("HOME")) return absl::StrCat(home, "/.cache/tessera/", name);
  return absl::StrCat("/tmp/tessera-", getuid(), "/", name);
}

absl::StatusOr<std::vector<int>> ChooseCores(int count) {
  std::vector<int> cores = runner::AllowedCores();
  if (cores.empty()) return absl::UnavailableError("this process may use no core");
  if (count > static_cast<int>(cores.size())) {
    return absl::InvalidArgumentError(absl::StrCat("--cores: ", count, " are more than the ",
                                                   cores.size(), " that this process may use"));
  }
  if (count > 0) cores.resize(count);
  return cores;
}

std::vector<std::string> RunnerNames() {
  std::vector<std::string> names = {"cpu"};
  for (const DeviceKind& kind : DeviceKinds()) names.emplace_back(kind.name);
  return names;
}

// The text of the file that configures the device, which then stands for its name.
absl::StatusOr<std::string> ReadConfig(const Options& options) {
  std::ifstream file(options.config);
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() || text.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--config: ", options.config,
        text.empty() ? " can't be read, or is empty" : " is no configuration: it has over 64 KiB"));
  }
  TESSERA_RETURN_IF_ERROR(
      Annotate(options.kind()->check_config(text), absl::StrCat("--config ", options.config)));
  return text;
}

// InvalidArgument: the command line is wrong; else this machine is.
absl::Status CheckOptions(const Options& options) {
  TESSERA_RETURN_IF_ERROR(proto::CheckAddress("--server", options.server, 1));
  TESSERA_RETURN_IF_ERROR(proto::CheckWorkerName("--name", options.name));
  for (const std::string& role : options.roles) {
    if (role != "builder" && role != "runner") {
      return absl::InvalidArgumentError(
          absl::StrCat("--roles: \"", role, "\" is neither builder nor runner"));
    }
  }
  if (options.Has("builder") && !kWithBuilder) {
    return absl::InvalidArgumentError(
        "--roles: this worker was built without the builder; choose runner");
  }
  const bool is_configured = options.kind() != nullptr && options.kind()->check_config != nullptr;
  if (!options.device.empty() && (options.kind() == nullptr || is_configured)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device: --runner ", options.runner, " has none to choose among"));
  }
  if (!options.config.empty() && !is_configured) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config: --runner ", options.runner, " takes none"));
  }
  if (!options.allow.empty() && (options.kind() != nullptr || !options.Has("runner"))) {
    return absl::InvalidArgumentError("--allow: is of --runner cpu, which loads libraries");
  }
  if (options.kind() != nullptr && !options.isa.empty()) {
    return absl::InvalidArgumentError("--isa: is of --runner cpu");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<int> cores, ChooseCores(options.cores));
  if (options.kind() != nullptr) return absl::OkStatus();
  return agent::DescribeHost(cores, options.isa).status();
}

// Of what no option names: main takes NotFound for a device that --device does not find.
absl::Status OfMachine(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::FailedPreconditionError(status.message()) : status;
}

// The folder is there to be made: that it can't be is no bad input.
absl::Status CacheFailed(const absl::Status& status) {
  return absl::FailedPreconditionError(absl::StrCat("--cache: ", status.message()));
}

// Null where the driver takes no binaries, or there is none: DescribeDevice says more of that.
absl::StatusOr<std::unique_ptr<runner::ProgramCache>> OpenPrograms(const Options& options) {
  if (options.kind()->compiler == nullptr) return nullptr;
  absl::StatusOr<std::string> compiler = options.kind()->compiler(options.device);
  if (!compiler.ok()) return nullptr;
  auto opened = runner::ProgramCache::Open(
      {.directory = options.cache + "/programs", .compiler = *std::move(compiler)});
  if (!opened.ok()) return CacheFailed(opened.status());
  return opened;
}

// The roles with all that they stand on.
struct Roles {
  std::unique_ptr<sandbox::Spawner> spawner;
  std::unique_ptr<runner::ProgramCache> programs;
  std::unique_ptr<runner::KernelRunner> kernel_runner;
  std::unique_ptr<LocalRunner> runner;
  std::unique_ptr<agent::BuilderRole> builder;
};

// Forks: call it before any thread runs.
absl::StatusOr<Roles> MakeRoles(const Options& options, int core_count) {
  Roles roles;
  if (options.Has("runner")) {
    runner::KernelRunner::Options runner_options;
    runner_options.kind = options.runner;
    if (options.kind() != nullptr) {
      roles.spawner = std::make_unique<sandbox::ProgramSpawner>(std::vector<std::string>{
          "/proc/self/exe", runner::kDeviceHostArgument, options.runner, options.device});
      runner_options.time_source = options.kind()->time_source;
      if (const std::string missing = sandbox::ProbeProgram(); !missing.empty()) {
        LogWarning(absl::StrCat("drivers: the system does not grant: ", missing));
      }
      TESSERA_ASSIGN_OR_RETURN(roles.programs, OpenPrograms(options));
      runner_options.programs = roles.programs.get();
    } else {
      TESSERA_ASSIGN_OR_RETURN(
          roles.spawner, sandbox::Sandbox::Create({.real_time = true, .allow = options.allow}));
    }
    roles.kernel_runner =
        std::make_unique<runner::KernelRunner>(*roles.spawner, std::move(runner_options));
    // Models run on CPUs.
    roles.runner = std::make_unique<LocalRunner>(
        *roles.kernel_runner, options.kind() == nullptr ? roles.spawner.get() : nullptr);
  }
#ifdef TESSERA_WITH_BUILDER
  if (options.Has("builder")) {
    // One core stays with the runner, if there is more than one.
    builder::BuilderOptions builder_options;
    builder_options.slots = std::max(1, options.Has("runner") ? core_count - 1 : core_count);
    TESSERA_ASSIGN_OR_RETURN(roles.builder, builder::Builder::Create(builder_options));
  }
#else
  static_cast<void>(core_count);
#endif
  return roles;
}

absl::StatusOr<db::Device> DescribeDevice(const Options& options, const std::vector<int>& cores) {
  const DeviceKind* kind = options.kind();
  TESSERA_ASSIGN_OR_RETURN(agent::Host host, kind != nullptr
                                                 ? kind->describe(options.device)
                                                 : agent::DescribeHost(cores, options.isa));
  db::Device device;
  device.id = absl::StrCat(options.name, "/", options.runner);
  device.worker = options.name;
  device.device_class = std::move(host.device_class);
  device.target = std::move(host.target);
  device.runs = options.Has("runner");
  device.builds = options.Has("builder");
  device.cores = static_cast<int>(cores.size());
  device.tessera_version = std::string(Version());
  device.peak_gflops_per_core = device.runs ? host.peak_gops : 0;
  device.exact_times = kind != nullptr && kind->time_source == runner::TimeSource::kSimulator;
  if (device.runs && kind == nullptr) {
    TESSERA_ASSIGN_OR_RETURN(const runner::PeakFlops peak,
                             runner::MeasurePeakFlops(1, {cores.back()}));
    device.peak_gflops_per_core = peak.gflops;
  }
  return device;
}

absl::Status Serve(const Options& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<int> cores, ChooseCores(options.cores));
  const absl::StatusOr<Roles> roles = MakeRoles(options, static_cast<int>(cores.size()));
  if (!roles.ok()) return OfMachine(roles.status());
  TESSERA_ASSIGN_OR_RETURN(const db::Device device, DescribeDevice(options, cores));
  agent::AgentOptions agent_options;
  agent_options.server = options.server;
  agent_options.name = options.name;
  agent_options.devices = {device};
  agent_options.cores = cores;
  agent_options.cache_directory = options.cache;
  auto agent =
      agent::Agent::Create(std::move(agent_options), roles->builder.get(), roles->runner.get());
  if (!agent.ok()) return CacheFailed(agent.status());
  LogInfo(absl::StrCat("device ", device.id, ": ", device.device_class.name, ", ",
                       device.device_class.description));
  const InterruptHandler handler([&] { (*agent)->Stop(); });
  return OfMachine((*agent)->Serve());
}

}  // namespace

int main(int argc, char** argv) {
#ifdef TESSERA_WITH_BUILDER
  if (argc > 1 && argv[1] == std::string_view(builder::kBuildChildArgument)) {
    return builder::BuildChildMain(builder::kBuildChildDescriptor);
  }
#endif
  if (argc > 3 && argv[1] == std::string_view(runner::kDeviceHostArgument)) {
    const DeviceKind* kind = FindDeviceKind(argv[2]);
    return kind == nullptr ? kUsage : runner::DeviceHostMain(*kind, argv[3]);
  }
  BlockInterrupts();
  // What gRPC has to say about a failed call comes back as its status.
  gpr_set_log_function([](gpr_log_func_args* args) {
    if (args->severity == GPR_LOG_SEVERITY_ERROR) LogDebug(args->message);
  });
  Options options;
  options.name = DefaultName();
  options.roles = {"runner"};
  if (kWithBuilder) options.roles.insert(options.roles.begin(), "builder");
  CLI::App app{
      "A Tessera worker: dials out to a server, builds candidates and measures them here."};
  app.set_version_flag("--version", absl::StrCat("tessera-worker ", std::string(Version())));
  app.add_option("--server", options.server, "address of the server")
      ->envname("TESSERA_SERVER")
      ->capture_default_str();
  app.add_option("--name", options.name, "unique on the server")->capture_default_str();
  app.add_option("--roles", options.roles, "builder, runner or both, with a comma")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--runner", options.runner,
                 "what is measured on: cpu, opencl, cuda, vta-sim or vta")
      ->check(CLI::IsMember(RunnerNames()))
      ->capture_default_str();
  app.add_option("--device", options.device,
                 "part of the name of a device; default: the first, GPUs before others");
  app.add_option("--config", options.config,
                 "JSON file of a vta-sim or vta; default: the Pynq board's configuration");
  app.add_option("--cores", options.cores, "cores to use; 0: all that this process may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--isa", options.isa, "instruction set ceiling; default: what the machine has")
      ->check(CLI::IsMember({"sse4.2", "avx2", "avx512", "neon"}));
  app.add_option("--allow", options.allow,
                 absl::StrCat("libraries of others that programs may call, with a comma: ",
                              NamesOf(ThirdParties()), "; default: none"));
  app.add_option("--cache", options.cache,
                 "folder for artifacts and binaries of devices; default: tessera/NAME in the "
                 "user's cache folder");
  app.add_option("--log-level", options.log_level, "what is said on standard error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.footer("Exit codes: 0 stopped, 1 failed, 2 bad options.");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return absl::StrCat("tessera-worker: ", error.what(), "; --help lists what there is\n");
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  SetLogLevel(options.log_level);
  if (options.cache.empty()) options.cache = DefaultCache(options.name);
  absl::StatusOr<std::string> allowed = ParseAllowed(options.allow);
  absl::Status checked = Annotate(allowed.status(), "--allow");
  if (allowed.ok()) {
    options.allow = *std::move(allowed);
    checked = CheckOptions(options);
  }
  if (checked.ok() && !options.config.empty()) {
    absl::StatusOr<std::string> config = ReadConfig(options);
    checked = config.status();
    if (config.ok()) options.device = *std::move(config);
  }
  const absl::Status status = checked.ok() ? Serve(options) : checked;
  if (status.ok()) return 0;
  std::fprintf(stderr, "tessera-worker: %s\n", std::string(status.message()).c_str());
  // Which devices there are only their driver knows: what none is called, as --device may name it,
  // is found out later.
  return absl::IsInvalidArgument(checked) || absl::IsNotFound(status) ? kUsage : kFailed;
}
