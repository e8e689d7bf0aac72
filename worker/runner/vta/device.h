#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/runner/device.h"
#include "worker/runner/vta/board.h"
#include "worker/runner/vta/setup.h"

namespace tessera::vta {

// The device over a board, which takes programs for `setup`'s configuration: code of kind "vta",
// whose source is as of compiler/vta/kernels.h. Buffer i of a program is its launch's argument i.
// Seconds are cycles by the setup's clock or, where the board counts none, the host's, which makes
// the instructions in that time, too. Errors: InvalidArgument for programs that can't run there,
// ResourceExhausted where DRAM has no room, else the board's.
std::unique_ptr<runner::Device> MakeDevice(std::shared_ptr<Board> board, const Setup& setup);

// By the text of a setup (ParseSetup). Errors as of ParseSetup and the boards.
absl::StatusOr<std::unique_ptr<runner::Device>> OpenSimulator(std::string_view setup);
absl::StatusOr<std::unique_ptr<runner::Device>> OpenBoard(std::string_view setup);

}  // namespace tessera::vta
