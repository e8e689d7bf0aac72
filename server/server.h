#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "db/record/store.h"
#include "server/calibrator.h"
#include "server/dispatcher.h"
#include "server/jobs.h"
#include "server/model_times.h"

namespace tessera::server {

struct ServerOptions {
  std::string listen = "127.0.0.1:7654";      // port 0 picks a free one
  std::string data_directory;                 // for artifacts and the count of starts
  int64_t artifact_bytes = int64_t{4} << 30;  // kept at most
  std::string models_folder;                  // shipped_models.h; empty: none
  DispatcherOptions dispatcher;
  CalibrationOptions calibration;
  ModelTimesOptions model_times;
};

// A whole server: store, jobs, dispatcher and services behind one port. Unfinished jobs go on when
// it starts. Thread-safe.
class Server {
 public:
  // `clock` outlives the server. InvalidArgument: an address that is not loopback. Unavailable: the
  // port is in use. Others come from the data directory and the store.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options,
                                                       std::unique_ptr<db::Store> store,
                                                       Clock& clock, SearchFactory factory);
  virtual ~Server() = default;

  virtual int port() const = 0;
  virtual Dispatcher& dispatcher() = 0;
  // Ends all calls; jobs stay unfinished and go on at the next start.
  virtual void Shutdown() = 0;
};

// OK for "127.0.0.1:PORT", "localhost:PORT" and "[::1]:PORT"; else InvalidArgument.
absl::Status CheckLoopback(std::string_view listen);

}  // namespace tessera::server
