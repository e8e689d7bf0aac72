#include "worker/runner/vta/simulated_board.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "compiler/vta/encoding.h"

namespace tessera::vta {

absl::StatusOr<std::unique_ptr<SimulatedBoard>> SimulatedBoard::Create(const Config& config,
                                                                       const Timing& timing,
                                                                       int64_t dram_bytes) {
  void* memory = mmap(nullptr, static_cast<size_t>(dram_bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("VTA: ", dram_bytes, " bytes of simulated DRAM: ", strerror(errno)));
  }
  return std::unique_ptr<SimulatedBoard>(new SimulatedBoard(
      config, timing, {.host = static_cast<uint8_t*>(memory), .address = 0, .bytes = dram_bytes}));
}

SimulatedBoard::~SimulatedBoard() { munmap(dram_.host, static_cast<size_t>(dram_.bytes)); }

absl::StatusOr<uint64_t> SimulatedBoard::Run(uint32_t address, int64_t count) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Instruction> program,
                           ReadInstructions(dram_, address, count, config_));
  TESSERA_ASSIGN_OR_RETURN(const Report report,
                           Simulate(program, config_, timing_,
                                    absl::MakeSpan(dram_.host, static_cast<size_t>(dram_.bytes))));
  return static_cast<uint64_t>(report.cycles);
}

absl::StatusOr<std::vector<Instruction>> ReadInstructions(const Dram& dram, uint32_t address,
                                                          int64_t count, const Config& config) {
  TESSERA_RETURN_IF_ERROR(CheckInstructions(dram, address, count));
  std::vector<Instruction> program;
  program.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    memcpy(word.data(), dram.host + (address - dram.address) + i * int64_t{sizeof(word)},
           sizeof(word));
    absl::StatusOr<Instruction> instruction = Decode(word, config);
    if (!instruction.ok()) {
      return Annotate(instruction.status(), absl::StrCat("instruction ", i));
    }
    program.push_back(*std::move(instruction));
  }
  return program;
}

}  // namespace tessera::vta
