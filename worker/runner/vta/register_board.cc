#include "worker/runner/vta/register_board.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::vta {
namespace {

// A board with what it is made of.
struct MappedBoard {
  explicit MappedBoard(const tessera_vta_mapping& mapping) : mapping(mapping) {}
  MappedBoard(const MappedBoard&) = delete;
  MappedBoard& operator=(const MappedBoard&) = delete;
  ~MappedBoard() { tessera_vta_unmap(&mapping); }

  const tessera_vta_mapping mapping;
  std::unique_ptr<RegisterBoard> board;
};

}  // namespace

RegisterBoard::RegisterBoard(std::unique_ptr<tessera_vta_board> board)
    : Board({static_cast<uint8_t*>(board->driver.dram), board->driver.dram_address,
             board->driver.dram_bytes}),
      board_(std::move(board)) {}

absl::StatusOr<std::unique_ptr<RegisterBoard>> RegisterBoard::Open(const tessera_vta_access& access,
                                                                   const Dram& dram,
                                                                   absl::Duration timeout) {
  auto board = std::make_unique<tessera_vta_board>();
  board->access = access;
  board->dram = dram.host;
  board->dram_address = dram.address;
  board->dram_bytes = dram.bytes;
  board->timeout = absl::ToDoubleSeconds(timeout);
  const int status = tessera_vta_board_open(board.get());
  const std::string why = absl::StrCat("VTA: ", board->fault);
  if (status == TESSERA_VTA_OUT_OF_MEMORY) return absl::InvalidArgumentError(why);
  if (status != TESSERA_VTA_OK) return absl::UnavailableError(why);
  return std::unique_ptr<RegisterBoard>(new RegisterBoard(std::move(board)));
}

absl::StatusOr<uint64_t> RegisterBoard::Run(uint32_t address, int64_t count) {
  const tessera_vta_driver& driver = board_->driver;
  TESSERA_RETURN_IF_ERROR(CheckInstructions(
      {static_cast<uint8_t*>(driver.dram), driver.dram_address, driver.dram_bytes}, address,
      count));
  uint64_t cycles = 0;
  const int status = driver.run(driver.self, address, count, &cycles);
  if (status == TESSERA_VTA_OK) return cycles;
  const std::string why = absl::StrCat("VTA: ", board_->fault);
  return status == TESSERA_VTA_TIMED_OUT ? absl::DeadlineExceededError(why)
                                         : absl::FailedPreconditionError(why);
}

absl::StatusOr<std::shared_ptr<Board>> OpenMappedBoard(const std::string& registers_file,
                                                       uint32_t registers_base,
                                                       const std::string& dram_file,
                                                       const std::string& dram_folder,
                                                       absl::Duration timeout) {
  char why[600] = "";
  tessera_vta_mapping mapping;
  const int error = tessera_vta_map(registers_file.c_str(), registers_base, dram_file.c_str(),
                                    dram_folder.c_str(), &mapping, {why, sizeof(why)});
  if (error != 0) {
    return absl::Status(absl::ErrnoToStatusCode(error), absl::StrCat("VTA: ", why));
  }
  auto mapped = std::make_shared<MappedBoard>(mapping);
  TESSERA_ASSIGN_OR_RETURN(
      mapped->board, RegisterBoard::Open(tessera_vta_mapped_access(&mapped->mapping),
                                         {static_cast<uint8_t*>(mapping.dram), mapping.dram_address,
                                          mapping.dram_bytes},
                                         timeout));
  Board* board = mapped->board.get();
  return std::shared_ptr<Board>(std::move(mapped), board);
}

}  // namespace tessera::vta
