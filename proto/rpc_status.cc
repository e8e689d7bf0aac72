#include "proto/rpc_status.h"

#include <string>

#include "base/view.h"
#include "proto/checks.h"
#include "proto/limits.h"

namespace tessera::proto {

grpc::Status ToRpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()),
          CleanText(StdView(status.message()), kMaxTextBytes)};
}

absl::Status FromRpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace tessera::proto
