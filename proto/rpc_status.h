#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tessera::proto {

// The two status types have the same codes.
grpc::Status ToRpc(const absl::Status& status);
absl::Status FromRpc(const grpc::Status& status);

}  // namespace tessera::proto
