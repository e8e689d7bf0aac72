// tessera-server: reads its options, opens the store and serves until interrupted.

#include <grpc/support/log.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "db/sqlite/sqlite_store.h"
#include "server/server.h"
#include "server/shipped_models.h"
#include "tuner/config_search_space.h"
#include "tuner/cost_model_learner.h"

namespace {

using namespace tessera;  // NOLINT: this file is the program

constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Options {
  std::string listen = "127.0.0.1:7654";
  std::string data = "tessera-data";
  std::string models;
  std::string log_level = "info";
  int64_t artifact_mebibytes = 4096;
};

absl::StatusOr<std::unique_ptr<server::Server>> Start(const Options& options) {
  TESSERA_RETURN_IF_ERROR(server::CheckLoopback(options.listen));
  std::error_code error;
  std::filesystem::create_directories(options.data, error);
  std::error_code unseen;  // said by `error` already
  // Something else of that name is there, or on the way: no folder can be.
  const bool names_none =
      !std::filesystem::is_directory(options.data, unseen) &&
      (!error || error == std::errc::not_a_directory || error == std::errc::file_exists ||
       error == std::errc::filename_too_long || error == std::errc::too_many_symbolic_link_levels);
  if (error || names_none) {
    const std::string text = absl::StrCat("--data: cannot make folder ", options.data, ": ",
                                          error ? error.message() : "something else is there");
    return names_none ? absl::InvalidArgumentError(text) : absl::PermissionDeniedError(text);
  }
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<db::SqliteStore> store,
      db::SqliteStore::Open(absl::StrCat(options.data, "/tessera.db"), Clock::Real()));
  server::ServerOptions server_options;
  server_options.listen = options.listen;
  server_options.data_directory = options.data;
  server_options.artifact_bytes = options.artifact_mebibytes << 20;
  server_options.models_folder = options.models;
  return server::Server::Start(std::move(server_options), std::move(store), Clock::Real(),
                               {.space = tuner::MakeSearchSpace, .learner = tuner::MakeLearner});
}

int Serve(const Options& options) {
  auto server = Start(options);
  if (!server.ok()) {
    std::fprintf(stderr, "tessera-server: %s\n", std::string(server.status().message()).c_str());
    return absl::IsInvalidArgument(server.status()) ? kUsage : kFailed;
  }
  absl::Notification stop;
  const InterruptHandler handler([&] { stop.Notify(); });
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  std::printf("listening on %s:%d\n", host.c_str(), (*server)->port());
  std::fflush(stdout);
  stop.WaitForNotification();
  LogInfo("stopping; unfinished jobs go on at the next start");
  (*server)->Shutdown();
  return 0;
}

// Training and searching allocate much for a short time, on several threads. By default the heap
// keeps that for each of them, and its own thresholds rise until nothing goes back to the system.
void KeepHeapSmall() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  BlockInterrupts();
  KeepHeapSmall();
  // What gRPC has to say about a failed call comes back as its status.
  gpr_set_log_function([](gpr_log_func_args* args) {
    if (args->severity == GPR_LOG_SEVERITY_ERROR) LogDebug(args->message);
  });
  Options options;
  std::error_code unseen;  // then there are none
  options.models =
      server::ShippedModelsFolder(std::filesystem::read_symlink("/proc/self/exe", unseen).string());
  CLI::App app{"The Tessera server: keeps the log, runs jobs and leases trials to workers."};
  app.set_version_flag("--version", absl::StrCat("tessera-server ", std::string(Version())));
  app.add_option("--listen", options.listen, "loopback address; port 0 picks a free one")
      ->capture_default_str();
  app.add_option("--data", options.data, "folder of the database and the artifacts")
      ->capture_default_str();
  app.add_option("--models", options.models,
                 "folder of model files, stored where the database has none of their name")
      ->capture_default_str();
  app.add_option("--artifact-mib", options.artifact_mebibytes,
                 "artifacts kept at most; the least recently used go")
      ->check(CLI::Range(64, 1 << 24))
      ->capture_default_str();
  app.add_option("--log-level", options.log_level, "what is said on standard error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.footer("Exit codes: 0 stopped, 1 failed, 2 bad options.");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return absl::StrCat("tessera-server: ", error.what(), "; --help lists what there is\n");
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  SetLogLevel(options.log_level);
  return Serve(options);
}
