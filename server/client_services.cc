#include "server/client_services.h"

#include "proto/rpc_status.h"

namespace tessera::server {

grpc::Status ToClient(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return proto::ToRpc(status);
  return proto::ToRpc(absl::AbortedError(status.message()));
}

}  // namespace tessera::server
