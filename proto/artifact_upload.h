#pragma once

#include <string>

#include "absl/status/status.h"
#include "proto/worker.grpc.pb.h"

namespace tessera::proto {

// Sends an artifact in chunks. Gives up after a minute and a second for each MiB. Errors: those of
// ArtifactService.Upload.
absl::Status UploadArtifact(v1::ArtifactService::StubInterface& artifacts,
                            const std::string& digest, const std::string& bytes);

}  // namespace tessera::proto
