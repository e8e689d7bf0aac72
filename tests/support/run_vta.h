#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/status.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/ir/evaluate.h"
#include "compiler/runtime/vta.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/simulator.h"

namespace tessera {

// What simulating kernels came to.
struct VtaRun {
  std::vector<vta::Report> reports;                         // one a kernel
  std::vector<std::vector<vta::Instruction>> instructions;  // as they were expanded
};

// Runs kernels on the simulator, on parameter bytes in their stored layouts.
inline absl::StatusOr<VtaRun> RunVta(absl::Span<const codegen::vta::Kernel> kernels,
                                     absl::Span<const absl::Span<std::byte>> buffers,
                                     const vta::Timing& timing = {}) {
  constexpr uint32_t kAlignment = 4096, kUopBytes = 1 << 20;
  std::vector<uint32_t> addresses;
  uint32_t end = kAlignment;
  const auto round_up = [](size_t n) {
    return static_cast<uint32_t>((n + kAlignment - 1) / kAlignment * kAlignment);
  };
  for (const auto& buffer : buffers) {
    addresses.push_back(end);
    end += round_up(buffer.size());
  }
  const uint32_t uop_address = end;
  std::vector<uint8_t> dram(end + kUopBytes, 0xa5);
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::memcpy(&dram[addresses[i]], buffers[i].data(), buffers[i].size());
  }
  VtaRun run;
  for (const codegen::vta::Kernel& kernel : kernels) {
    const std::vector<int64_t> words = vta::Assemble(kernel.code);
    const tessera_vta_program program{words.data(), static_cast<int64_t>(words.size())};
    std::vector<tessera_vta_buffer> arguments;
    for (const int argument : kernel.arguments) {
      arguments.push_back({addresses[argument], static_cast<int64_t>(buffers[argument].size())});
    }
    tessera_vta_stream stream = {};
    const int expanded = tessera_vta_expand(
        &program, arguments.data(), static_cast<int64_t>(arguments.size()), uop_address, &stream);
    if (expanded != TESSERA_VTA_OK || stream.uop_count * 4 > kUopBytes) {
      tessera_vta_stream_free(&stream);
      return absl::InternalError(absl::StrCat("expanding: error ", expanded));
    }
    std::memcpy(&dram[uop_address], stream.uops, static_cast<size_t>(stream.uop_count) * 4);
    std::vector<vta::Instruction>& instructions = run.instructions.emplace_back();
    for (int64_t i = 0; i < stream.instruction_count; ++i) {
      const vta::Word word = {stream.instructions[2 * i], stream.instructions[2 * i + 1]};
      instructions.push_back(vta::Decode(word, kernel.code.config).value());
    }
    tessera_vta_stream_free(&stream);
    TESSERA_ASSIGN_OR_RETURN(
        run.reports.emplace_back(),
        vta::Simulate(instructions, kernel.code.config, timing, absl::MakeSpan(dram)));
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::memcpy(buffers[i].data(), &dram[addresses[i]], buffers[i].size());
  }
  return run;
}

}  // namespace tessera
