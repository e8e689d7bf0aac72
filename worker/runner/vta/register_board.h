#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "compiler/runtime/vta_registers.h"
#include "worker/runner/vta/board.h"

namespace tessera::vta {

// A board by registers: the driver of compiler/runtime/vta_registers.h, which libraries have, too.
class RegisterBoard final : public Board {
 public:
  // What `access` uses and DRAM outlive the board, to which the first page of DRAM belongs.
  // `timeout`: of one program. Unavailable where the accelerator does not answer; InvalidArgument
  // where DRAM has no more than that page.
  static absl::StatusOr<std::unique_ptr<RegisterBoard>> Open(const tessera_vta_access& access,
                                                             const Dram& dram,
                                                             absl::Duration timeout);

 private:
  explicit RegisterBoard(std::unique_ptr<tessera_vta_board> board);

  // DeadlineExceeded: it has not ended in time, and nothing runs on the board any more until its
  // bitstream is loaded again.
  absl::StatusOr<uint64_t> Run(uint32_t address, int64_t count) override;

  const std::unique_ptr<tessera_vta_board> board_;
};

// One by what tessera_vta_map maps; these are its arguments. Errors: those of Open; NotFound,
// PermissionDenied and the like name the file; OutOfRange for DRAM that the accelerator does not
// reach.
absl::StatusOr<std::shared_ptr<Board>> OpenMappedBoard(const std::string& registers_file,
                                                       uint32_t registers_base,
                                                       const std::string& dram_file,
                                                       const std::string& dram_folder,
                                                       absl::Duration timeout);

}  // namespace tessera::vta
