#include "codesign/simulate.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "compiler/runtime/vta.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/vta/bytecode.h"

namespace tessera::codesign {
namespace {

constexpr int64_t kPage = 4096;
constexpr int64_t kDramBytes = int64_t{1} << 32;  // that addresses of 32 bits reach

struct Stream {
  tessera_vta_stream stream = {};
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { tessera_vta_stream_free(&stream); }
};

int64_t Paged(int64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// DRAM with a tensor behind the other; the first page is nobody's.
struct Placement {
  std::vector<tessera_vta_buffer> buffers;
  int64_t end = kPage;

  void Place(int64_t bytes) {
    // Where the end is past DRAM, CheckDram refuses all of them.
    buffers.push_back({static_cast<uint32_t>(end), bytes});
    end += Paged(bytes);
  }
};

absl::Status CheckDram(int64_t end) {
  if (end <= kDramBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "its tensors and micro-ops take ", end, " bytes of DRAM, of which a VTA reaches ", kDramBytes,
      "; choose smaller shapes, or split the operator"));
}

absl::StatusOr<SimulatedKernel> SimulateKernel(const codegen::vta::Kernel& kernel,
                                               const Placement& placement,
                                               const vta::Timing& timing) {
  const std::vector<int64_t> words = vta::Assemble(kernel.code);
  const tessera_vta_program program = {words.data(), std::ssize(words)};
  std::vector<tessera_vta_buffer> arguments;
  for (const int argument : kernel.arguments) arguments.push_back(placement.buffers[argument]);
  // A page at least for micro-ops.
  TESSERA_RETURN_IF_ERROR(CheckDram(placement.end + kPage));
  Stream of;
  const int expanded = tessera_vta_expand(&program, arguments.data(), std::ssize(arguments),
                                          static_cast<uint32_t>(placement.end), &of.stream);
  if (expanded == TESSERA_VTA_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError("no memory for the instructions of a program");
  }
  TESSERA_CHECK(expanded == TESSERA_VTA_OK);  // Assemble's words
  constexpr int64_t kUopBytes = sizeof(uint32_t);
  const int64_t dram_bytes = placement.end + Paged(of.stream.uop_count * kUopBytes);
  TESSERA_RETURN_IF_ERROR(CheckDram(dram_bytes));
  std::vector<uint8_t> dram(static_cast<size_t>(dram_bytes), 0);
  if (of.stream.uop_count > 0) {
    std::memcpy(&dram[static_cast<size_t>(placement.end)], of.stream.uops,
                static_cast<size_t>(of.stream.uop_count * kUopBytes));
  }
  SimulatedKernel simulated;
  std::vector<vta::Instruction>& instructions = simulated.instructions;
  instructions.reserve(static_cast<size_t>(of.stream.instruction_count));
  for (int64_t i = 0; i < of.stream.instruction_count; ++i) {
    const vta::Word word = {of.stream.instructions[2 * i], of.stream.instructions[2 * i + 1]};
    TESSERA_ASSIGN_OR_RETURN(instructions.emplace_back(), vta::Decode(word, kernel.code.config));
  }
  TESSERA_ASSIGN_OR_RETURN(simulated.report, vta::Simulate(instructions, kernel.code.config, timing,
                                                           absl::MakeSpan(dram)));
  return simulated;
}

}  // namespace

absl::Status CheckTensors(const te::Dag& dag) {
  Placement placement;
  for (const te::Input& input : dag.inputs) placement.Place(input.buffer->StoredBytes());
  for (const ir::Buffer& output : dag.outputs) placement.Place(output->StoredBytes());
  return CheckDram(placement.end);
}

absl::StatusOr<std::vector<SimulatedKernel>> Simulate(const schedule::Schedule& schedule,
                                                      const ir::Target& target,
                                                      const vta::Timing& timing) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<codegen::vta::Kernel> kernels,
                           codegen::vta::Generate(schedule, loops, target));
  Placement placement;
  for (const ir::Buffer& buffer : passes::MakeParameters(schedule)) {
    placement.Place(buffer->StoredBytes());
  }
  std::vector<SimulatedKernel> simulated;
  for (const codegen::vta::Kernel& kernel : kernels) {
    TESSERA_ASSIGN_OR_RETURN(simulated.emplace_back(), SimulateKernel(kernel, placement, timing));
  }
  return simulated;
}

}  // namespace tessera::codesign
