#pragma once

#include "base/status.h"
#include "compiler/codegen/ptx.h"
#include "compiler/ir/evaluate.h"
#include "tests/cuda/ptx_machine.h"

namespace tessera {

// Runs what a program became, interpreted.
inline absl::Status RunDeviceCode(const codegen::gpu::DeviceCode& code,
                                  absl::Span<const absl::Span<std::byte>> buffers) {
  const auto kernels = ptx::ParsePtx(code.source);
  if (!kernels.ok()) return Annotate(kernels.status(), code.source);
  // As devices align their memory; what nobody wrote is no number.
  std::vector<std::vector<std::byte>> stored;
  std::vector<ptx::Word> addresses;
  ptx::Memory memory;
  const auto add = [&](size_t bytes) {
    constexpr size_t kAlignment = 256;
    std::vector<std::byte>& storage = stored.emplace_back(bytes + kAlignment, std::byte{0xff});
    const auto begin = reinterpret_cast<ptx::Word>(storage.data());
    addresses.push_back((begin + kAlignment - 1) / kAlignment * kAlignment);
    memory[addresses.back()] = static_cast<int64_t>(bytes);
    return reinterpret_cast<std::byte*>(addresses.back());
  };
  for (const absl::Span<std::byte> buffer : buffers) {
    std::memcpy(add(buffer.size()), buffer.data(), buffer.size());
  }
  add(static_cast<size_t>(code.workspace_bytes));
  for (const codegen::gpu::Launch& launch : code.launches[0]) {
    ptx::Launch started;
    for (size_t axis = 0; axis < 3; ++axis) {
      started.blocks[axis] = static_cast<uint32_t>(launch.blocks[axis]);
      started.threads[axis] = static_cast<uint32_t>(launch.block_threads[axis]);
    }
    started.shared_bytes = launch.shared_bytes;
    for (const codegen::gpu::Argument& argument : launch.arguments) {
      started.params.push_back(argument.buffer == codegen::gpu::kWorkspaceArgument
                                   ? addresses.back()
                                   : addresses[static_cast<size_t>(argument.buffer)]);
    }
    TESSERA_RETURN_IF_ERROR(
        Annotate(ptx::Run(kernels->at(launch.kernel), started, memory), code.source));
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::memcpy(buffers[i].data(), reinterpret_cast<std::byte*>(addresses[i]), buffers[i].size());
  }
  return absl::OkStatus();
}

// Runs a lowered program as the PTX that it becomes.
inline absl::Status RunPtx(const ir::Program& program, const ir::Target& target,
                           absl::Span<const absl::Span<std::byte>> buffers) {
  TESSERA_ASSIGN_OR_RETURN(const codegen::gpu::DeviceCode code,
                           codegen::GeneratePtx({program}, target));
  return RunDeviceCode(code, buffers);
}

}  // namespace tessera
