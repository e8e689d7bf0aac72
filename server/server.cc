#include "server/server.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/content_store.h"
#include "base/durable_file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/limits.h"
#include "server/artifact_service.h"
#include "server/client_services.h"
#include "server/shipped_models.h"
#include "server/worker_stream.h"

namespace tessera::server {
namespace {

constexpr int kMaxServerThreads = 256;
constexpr int kFenceBitsOfOneStart = 40;

// Counts the server's starts on disk, so that no fence is ever given twice, whatever the clock
// says.
absl::StatusOr<uint64_t> NextEpoch(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/epoch");
  uint64_t epoch = 0;
  if (std::ifstream file(path); file) {
    std::string text;
    file >> text;
    if (!absl::SimpleAtoi(text, &epoch) || epoch >= (uint64_t{1} << 22)) {
      return absl::DataLossError(
          absl::StrCat(path, ": \"", text.substr(0, 20), "\" is not a count of starts"));
    }
  }
  ++epoch;
  TESSERA_RETURN_IF_ERROR(
      WriteFileDurably(path, absl::StrCat(path, ".writing"), absl::StrCat(epoch, "\n")));
  return epoch;
}

class ServerImpl final : public Server {
 public:
  ServerImpl(ServerOptions options, std::unique_ptr<db::Store> store,
             std::unique_ptr<ContentStore> artifacts, std::unique_ptr<DeviceRegistry> devices,
             Clock& clock, SearchFactory factory)
      : options_(std::move(options)),
        store_(std::move(store)),
        artifacts_(std::move(artifacts)),
        devices_(std::move(devices)),
        dispatcher_(*store_, *artifacts_, *devices_, clock, options_.dispatcher),
        jobs_(*store_, dispatcher_, clock, std::move(factory)),
        calibrator_(*store_, dispatcher_, *devices_, clock, options_.calibration),
        model_times_({*store_, *artifacts_, dispatcher_}, jobs_, clock, options_.model_times),
        worker_service_(dispatcher_),
        artifact_service_(*artifacts_),
        job_service_(jobs_, model_times_, *store_, clock),
        log_service_(*store_),
        library_service_(*store_, dispatcher_, *artifacts_, clock),
        device_service_(*devices_, dispatcher_, *store_, clock) {
    dispatcher_.OnCapacity([this] { jobs_.Wake(); });
  }

  ~ServerImpl() override { Shutdown(); }

  absl::Status Listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port_);
    // Without this two servers could share a port, each with half of the calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(proto::kMaxMessageBytes);
    builder.SetMaxSendMessageSize(proto::kMaxMessageBytes);
    grpc::ResourceQuota quota("tessera-server");
    quota.SetMaxThreads(kMaxServerThreads);
    builder.SetResourceQuota(quota);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &worker_service_, &artifact_service_, &job_service_, &log_service_, &library_service_,
             &device_service_}) {
      builder.RegisterService(service);
    }
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return absl::UnavailableError(absl::StrCat(
          "cannot listen on ", options_.listen,
          ": is the port in use? Choose another one with --listen; port 0 picks a free one"));
    }
    return absl::OkStatus();
  }

  absl::Status Begin() {
    TESSERA_RETURN_IF_ERROR(Listen());
    TESSERA_RETURN_IF_ERROR(jobs_.ResumeUnfinished());
    const absl::Duration period =
        std::max(options_.dispatcher.lease_timeout / 8, absl::Milliseconds(20));
    ticker_ = std::thread([this, period] {
      while (!stopping_) {
        dispatcher_.Tick();
        absl::SleepFor(std::min(period, absl::Milliseconds(250)));
      }
    });
    // By itself: it may wait for the store, and leases do not.
    job_keeper_ = std::thread([this] {
      while (!stopping_) {
        jobs_.Tend();
        calibrator_.Tend();
        absl::SleepFor(absl::Milliseconds(100));
      }
    });
    // By itself: it waits for builds and devices.
    model_watch_ = std::thread([this] {
      while (!stopping_) {
        model_times_.Tend([this] { return stopping_.load(); });
        absl::SleepFor(absl::Milliseconds(100));
      }
    });
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  Dispatcher& dispatcher() override { return dispatcher_; }

  void Shutdown() override {
    if (stopping_.exchange(true)) return;
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    if (ticker_.joinable()) ticker_.join();
    if (job_keeper_.joinable()) job_keeper_.join();
    if (model_watch_.joinable()) model_watch_.join();
  }

 private:
  const ServerOptions options_;
  // Destroyed from the last to the first: services, jobs, dispatcher, then what they stand on.
  const std::unique_ptr<db::Store> store_;
  const std::unique_ptr<ContentStore> artifacts_;
  const std::unique_ptr<DeviceRegistry> devices_;
  Dispatcher dispatcher_;
  JobManager jobs_;
  Calibrator calibrator_;
  ModelTimes model_times_;
  WorkerServiceImpl worker_service_;
  ArtifactServiceImpl artifact_service_;
  JobServiceImpl job_service_;
  LogServiceImpl log_service_;
  LibraryServiceImpl library_service_;
  DeviceServiceImpl device_service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread ticker_;
  std::thread job_keeper_;
  std::thread model_watch_;
};

}  // namespace

absl::Status CheckLoopback(std::string_view listen) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon == std::string_view::npos ||
      !absl::SimpleAtoi(AbslView(listen.substr(colon + 1)), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen: \"", AbslView(listen), "\" is not HOST:PORT with a port from 0 to 65535"));
  }
  const std::string_view host = listen.substr(0, colon);
  in_addr address;
  const bool ipv4 = inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
  const bool ipv4_loopback = ipv4 && ntohl(address.s_addr) >> 24 == 127;
  if (host == "localhost" || host == "[::1]" || ipv4_loopback) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--listen: \"", AbslView(host), "\" is not a loopback address; this release has no ",
      "authentication and serves 127.0.0.1 only (reach it from elsewhere through an SSH tunnel)"));
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options,
                                                      std::unique_ptr<db::Store> store,
                                                      Clock& clock, SearchFactory factory) {
  TESSERA_RETURN_IF_ERROR(CheckLoopback(options.listen));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<ContentStore> artifacts,
      ContentStore::Open({.directory = absl::StrCat(options.data_directory, "/artifacts"),
                          .max_bytes = options.artifact_bytes}));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<DeviceRegistry> devices,
                           DeviceRegistry::Load(*store, clock));
  if (!options.models_folder.empty()) {
    TESSERA_RETURN_IF_ERROR(ImportShippedModels(*store, options.models_folder));
  }
  TESSERA_ASSIGN_OR_RETURN(const uint64_t epoch, NextEpoch(options.data_directory));
  options.dispatcher.first_fence = epoch << kFenceBitsOfOneStart | 1;
  auto server =
      std::make_unique<ServerImpl>(std::move(options), std::move(store), std::move(artifacts),
                                   std::move(devices), clock, std::move(factory));
  TESSERA_RETURN_IF_ERROR(server->Begin());
  return server;
}

}  // namespace tessera::server
