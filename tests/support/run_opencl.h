#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "compiler/codegen/gpu/opencl.h"
#include "compiler/ir/evaluate.h"
#include "proto/device_code.h"
#include "tests/support/opencl_device.h"
#include "worker/runner/opencl/device.h"

namespace tessera {

inline proto::DeviceCode ToDeviceCode(const codegen::gpu::DeviceCode& code) {
  proto::DeviceCode made;
  made.kind = "opencl";
  made.workspace_bytes = code.workspace_bytes;
  for (const codegen::gpu::Launch& launch : code.launches[0]) {
    proto::KernelLaunch& one = made.launches.emplace_back(proto::KernelLaunch{
        launch.kernel, launch.blocks, launch.block_threads, launch.shared_bytes, {}});
    for (const codegen::gpu::Argument& argument : launch.arguments) {
      one.arguments.push_back({argument.buffer, static_cast<proto::ArgumentKind>(argument.kind)});
    }
  }
  made.source = code.source;
  return made;
}

// Runs a lowered program on the device that tests use.
inline absl::Status RunOpenCl(const ir::Program& program, const ir::Target& target,
                              absl::Span<const absl::Span<std::byte>> buffers) {
  TESSERA_ASSIGN_OR_RETURN(const codegen::gpu::DeviceCode code,
                           codegen::gpu::GenerateOpenCl({program}, target));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<runner::Device> opened,
                           opencl::OpenDevice(OpenClTestDevice()));
  for (size_t i = 0; i < buffers.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(opened->AddBuffer(static_cast<int64_t>(buffers[i].size())));
    TESSERA_RETURN_IF_ERROR(opened->Write(static_cast<int>(i), 0, buffers[i]));
  }
  TESSERA_RETURN_IF_ERROR(Annotate(opened->Load(ToDeviceCode(code), ""), code.source));
  TESSERA_RETURN_IF_ERROR(opened->Fill(proto::kWorkspaceArgument, 0xff));
  TESSERA_RETURN_IF_ERROR(opened->Call(1).status());
  for (size_t i = 0; i < buffers.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(opened->Read(static_cast<int>(i), 0, buffers[i]));
  }
  return absl::OkStatus();
}

}  // namespace tessera
