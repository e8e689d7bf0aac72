#include "cli/exit_code.h"

#include <catch2/catch.hpp>

#include "cli/child_process.h"
#include "cli/job_file.h"

namespace tessera::cli {
namespace {

TEST_CASE("what was named wrongly is bad input, whatever its status", "[cli]") {
  CHECK(ExitCode(absl::OkStatus()) == 0);
  CHECK(ExitCode(absl::InvalidArgumentError("trials is 0")) == 2);
  CHECK(ExitCode(absl::NotFoundError("job 99 does not exist")) == 2);
  CHECK(ExitCode(absl::AlreadyExistsError("key a is taken by job 3")) == 2);
  CHECK(ExitCode(ReadJobFile("/no/such/file").status()) == 2);
  CHECK(ExitCode(ReadJobFile("/dev/null/file").status()) == 2);
}

TEST_CASE("what is nobody's input is a failure or an interruption", "[cli]") {
  CHECK(ExitCode(absl::UnavailableError("no server answers")) == 1);
  CHECK(ExitCode(absl::InternalError("job 1 failed")) == 1);
  CHECK(ExitCode(absl::FailedPreconditionError("job 1 has ended already")) == 1);
  CHECK(ExitCode(absl::ResourceExhaustedError("no space left")) == 1);
  CHECK(ExitCode(absl::PermissionDeniedError("cannot write")) == 1);
  CHECK(ExitCode(absl::DataLossError("library file ops.h was evicted")) == 1);
  CHECK(ExitCode(absl::UnimplementedError("the server has no such call")) == 1);
  CHECK(ExitCode(absl::CancelledError("stopped watching")) == 130);
  CHECK(ExitCode(ChildProcess::Start("tessera-nothing", {}).status()) == 1);
}

}  // namespace
}  // namespace tessera::cli
